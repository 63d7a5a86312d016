"""The public path of `trades_signal`, which is defined in ``gearing.market.sources.freqtrade``."""

from gearing.market.sources.freqtrade import trades_signal

__all__ = ["trades_signal"]
