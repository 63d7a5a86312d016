"""The database of the tracking tests, laid out once, and the archive of the download tests."""

from tests.market.sources.test_download import archive, market, server
from tests.tracking.conftest import empty_database, uri

__all__ = ["archive", "empty_database", "market", "server", "uri"]
