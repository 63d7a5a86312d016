"""The public path of `trades_signal`, which is defined in ``gearing.market.sources.importing``."""

from gearing.market.sources.importing import trades_signal

__all__ = ["trades_signal"]
