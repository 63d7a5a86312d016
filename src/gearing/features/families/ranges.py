"""Volatility from highs and lows."""

from collections.abc import Callable

import numpy as np

from gearing.features.families.volatility import (
    annualised,
    log_variance_feature,
    mean_per_day,
    volatility_feature,
)
from gearing.features.feature import Compute, feature
from gearing.features.streaming.memory import once
from gearing.features.windows import (
    Array,
    lag,
    rolling_max,
    rolling_mean,
    rolling_mean_and_variance,
    rolling_min,
)
from gearing.market import MarketData
from gearing.market.timing import bars_in, bars_per_day


@once
def parkinson_variance(market: MarketData) -> Array:
    """Variance of each bar from its range, ln(high/low)^2 / (4 ln 2)."""
    return np.log(market.high / market.low) ** 2 / (4.0 * np.log(2.0))


@once
def garman_klass_variance(market: MarketData) -> Array:
    """Variance of each bar from its four prices."""
    body = np.log(market.close / market.open)
    return 0.5 * np.log(market.high / market.low) ** 2 - (2.0 * np.log(2.0) - 1.0) * body**2


@once
def rogers_satchell_variance(market: MarketData) -> Array:
    """Variance of each bar from its four prices, unbiased by a drift inside the bar."""
    up = np.log(market.high / market.close) * np.log(market.high / market.open)
    down = np.log(market.low / market.close) * np.log(market.low / market.open)
    return up + down


ESTIMATORS = {
    "parkinson": (parkinson_variance, "Parkinson (1980)", ("1h", "6h", "24h", "7d", "30d")),
    "garman_klass": (garman_klass_variance, "Garman and Klass (1980)", ("24h", "7d", "30d")),
    "rogers_satchell": (rogers_satchell_variance, "Rogers and Satchell (1991)", ("24h", "7d")),
}


def _root_of_mean(per_bar: Callable[[MarketData], Array]) -> Compute:
    """Root of the window's mean of a variance per bar, annualised."""
    return lambda market, window: annualised(mean_per_day(market, per_bar(market), window))


def _log_of_mean(per_bar: Callable[[MarketData], Array]) -> Compute:
    """Log of the window's mean of a variance per bar, per day."""
    return lambda market, window: np.log(mean_per_day(market, per_bar(market), window))


for _name, (_per_bar, _source, _) in ESTIMATORS.items():
    volatility_feature(
        lookback="{window}", windows=("24h", "7d"), source=_source, name=f"{_name}_volatility"
    )(_root_of_mean(_per_bar))


@volatility_feature(lookback=("1bar", "{window}"), windows=("24h", "7d"), source="Yang and Zhang (2000)")
def yang_zhang_volatility(market: MarketData, window: str) -> Array:
    """Gap variance + k x body variance + (1 - k) x Rogers-Satchell, the weight k of least variance."""
    n = max(bars_in(window, market.bar), 2)
    gap = np.log(market.open) - lag(np.log(market.close), 1)
    body = np.log(market.close / market.open)
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    unbiased = n / (n - 1)
    gaps, bodies = rolling_mean_and_variance(gap, n)[1], rolling_mean_and_variance(body, n)[1]
    inside = rolling_mean(rogers_satchell_variance(market), n)
    per_bar = unbiased * (gaps + k * bodies) + (1.0 - k) * inside
    return annualised(per_bar * bars_per_day(market.bar))


for _name, (_per_bar, _source, _windows) in ESTIMATORS.items():
    log_variance_feature(lookback="{window}", windows=_windows, source=_source, name=f"log_{_name}_variance")(
        _log_of_mean(_per_bar)
    )


@log_variance_feature(
    lookback="{window}", windows=("24h", "7d"), source="Parkinson (1980) on the whole window"
)
def log_window_range(market: MarketData, window: str) -> Array:
    """Log of the Parkinson variance of the window's own high and low, per day."""
    n = bars_in(window, market.bar)
    whole = np.log(rolling_max(market.high, n) / rolling_min(market.low, n)) ** 2 / (4.0 * np.log(2.0))
    return np.log(whole / n * bars_per_day(market.bar))


@once
def true_range(market: MarketData) -> Array:
    """Range of each bar, the gap from the previous close included [quote]."""
    previous = lag(market.close, 1)
    return np.maximum(market.high, previous) - np.minimum(market.low, previous)


@feature(
    unit="fraction of close",
    lower=0.0,
    upper=2.0,
    lookback=("1bar", "{window}"),
    windows=("24h", "14d"),
    source="Wilder (1978), plain mean instead of his smoothing",
)
def atr(market: MarketData, window: str) -> Array:
    """Average true range of the window's bars over the close."""
    return rolling_mean(true_range(market), bars_in(window, market.bar)) / market.close
