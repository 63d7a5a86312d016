"""Basis: the traded price against mark and index."""

import numpy as np

from gearing.features.feature import feature
from gearing.features.windows import Array, rolling_max, rolling_mean
from gearing.market import MarketData
from gearing.market.timing import bars_in


@feature(unit="log", lower=-0.5, upper=0.5, lookback="0h", source="ln(last / mark) at the close")
def mark_basis(market: MarketData) -> Array:
    """Log distance of the traded close from the mark's."""
    return np.log(market.close / market.mark_close)


@feature(
    unit="log",
    lower=-0.5,
    upper=0.5,
    lookback="{window}",
    windows=("24h", "7d"),
    source="mean of ln(last / mark)",
)
def mean_mark_basis(market: MarketData, window: str) -> Array:
    """Mean log distance of the traded close from the mark's over the window."""
    return rolling_mean(np.log(market.close / market.mark_close), bars_in(window, market.bar))


@feature(
    unit="log",
    lower=0.0,
    upper=2.0,
    lookback="{window}",
    windows=("24h",),
    source="widest ln(last / mark) of highs and lows",
)
def mark_dislocation(market: MarketData, window: str) -> Array:
    """How far the traded price's wicks left the mark's within the window."""
    above = np.abs(np.log(market.high / market.mark_high))
    below = np.abs(np.log(market.low / market.mark_low))
    return rolling_max(np.maximum(above, below), bars_in(window, market.bar))


@feature(
    unit="log", lower=-0.5, upper=0.5, lookback="0h", source="ln(mark / index) at the close", needs=("index",)
)
def index_basis(market: MarketData) -> Array:
    """Log distance of the mark's close from the index; an index of bars counts by its close."""
    assert market.index is not None  # the feature needs it
    index = market.index[..., 3] if market.index.ndim == 3 else market.index
    return np.log(market.mark_close / index)
