"""The database of the tracking tests, laid out once."""

from tests.tracking.conftest import empty_database, uri

__all__ = ["empty_database", "uri"]
