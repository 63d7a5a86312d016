"""Bollinger bands."""

import numpy as np

from gearing.features.feature import feature
from gearing.features.streaming.memory import once
from gearing.features.windows import Array, rolling_mean_and_variance
from gearing.market import MarketData
from gearing.market.timing import bars_in

SOURCE = "Bollinger (2001), two standard deviations"


@once
def _moments(market: MarketData, window: str) -> tuple[Array, Array]:
    """Mean and variance of the window's closes."""
    return rolling_mean_and_variance(market.close, bars_in(window, market.bar))


@feature(
    unit="fraction of mean", lower=0.0, upper=8.0, lookback="{window}", windows=("24h", "20d"), source=SOURCE
)
def bollinger_width(market: MarketData, window: str) -> Array:
    """Distance between the bands over their middle."""
    mean, variance = _moments(market, window)
    return 4.0 * np.sqrt(variance) / mean


@feature(
    unit="half widths", lower=-5.0, upper=5.0, lookback="{window}", windows=("24h", "20d"), source=SOURCE
)
def bollinger_position(market: MarketData, window: str) -> Array:
    """Distance of the close from the middle in half widths: 1 on the upper band, 0 where nothing moved."""
    mean, variance = _moments(market, window)
    half = 2.0 * np.sqrt(variance)
    return np.where(half == 0.0, 0.0, (market.close - mean) / half)
