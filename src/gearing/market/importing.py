"""The address under which other programs import `trades_signal`; it lives in ``gearing.market.sources.importing``."""

from gearing.market.sources.importing import trades_signal

__all__ = ["trades_signal"]
