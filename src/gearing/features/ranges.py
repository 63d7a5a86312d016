"""Volatility from highs and lows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gearing.features.feature import Compute, feature
from gearing.features.volatility import LOG_VARIANCE, MOST, annualised
from gearing.features.windows import lag, rolling_max, rolling_mean, rolling_mean_and_variance, rolling_min
from gearing.market.timing import DAY, bars_in

if TYPE_CHECKING:
    from gearing.market import MarketData

Array = NDArray[np.float64]
Register = Callable[[Compute], Compute]


def _a_day(market: MarketData, per_bar: Array, window: str) -> Array:
    return rolling_mean(per_bar, bars_in(window, market.bar)) * float(DAY / market.bar)


def parkinson_variance(market: MarketData) -> Array:
    """Variance of each bar from its range, ln(high/low)^2 / (4 ln 2)."""
    return np.log(market.high / market.low) ** 2 / (4.0 * np.log(2.0))


def garman_klass_variance(market: MarketData) -> Array:
    """Variance of each bar from its four prices."""
    body = np.log(market.close / market.open)
    return 0.5 * np.log(market.high / market.low) ** 2 - (2.0 * np.log(2.0) - 1.0) * body**2


def rogers_satchell_variance(market: MarketData) -> Array:
    """Variance of each bar from its four prices, unbiased by a drift inside the bar."""
    up = np.log(market.high / market.close) * np.log(market.high / market.open)
    down = np.log(market.low / market.close) * np.log(market.low / market.open)
    return up + down


def _volatility(source: str, windows: tuple[str, ...]) -> Register:
    return feature(
        unit="annualised", lower=0.0, upper=MOST, lookback="{window}", source=source, windows=windows
    )


def _log_variance(source: str, windows: tuple[str, ...]) -> Register:
    lower, upper = LOG_VARIANCE
    unit = "log variance per day"
    return feature(unit=unit, lower=lower, upper=upper, lookback="{window}", source=source, windows=windows)


@_volatility("Parkinson (1980)", windows=("24h", "7d"))
def parkinson_volatility(market: MarketData, window: str) -> Array:
    """Root of the mean Parkinson variance of the window's bars."""
    return annualised(_a_day(market, parkinson_variance(market), window))


@_volatility("Garman and Klass (1980)", windows=("24h", "7d"))
def garman_klass_volatility(market: MarketData, window: str) -> Array:
    """Root of the mean Garman-Klass variance of the window's bars."""
    return annualised(_a_day(market, garman_klass_variance(market), window))


@_volatility("Rogers and Satchell (1991)", windows=("24h", "7d"))
def rogers_satchell_volatility(market: MarketData, window: str) -> Array:
    """Root of the mean Rogers-Satchell variance of the window's bars."""
    return annualised(_a_day(market, rogers_satchell_variance(market), window))


@feature(
    unit="annualised",
    lower=0.0,
    upper=MOST,
    lookback=("1bar", "{window}"),
    windows=("24h", "7d"),
    source="Yang and Zhang (2000)",
)
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
    return annualised(per_bar * float(DAY / market.bar))


@_log_variance("Parkinson (1980)", windows=("1h", "6h", "24h", "7d", "30d"))
def log_parkinson_variance(market: MarketData, window: str) -> Array:
    """Log of the window's mean Parkinson variance, per day."""
    return np.log(_a_day(market, parkinson_variance(market), window))


@_log_variance("Garman and Klass (1980)", windows=("24h", "7d", "30d"))
def log_garman_klass_variance(market: MarketData, window: str) -> Array:
    """Log of the window's mean Garman-Klass variance, per day."""
    return np.log(_a_day(market, garman_klass_variance(market), window))


@_log_variance("Rogers and Satchell (1991)", windows=("24h", "7d"))
def log_rogers_satchell_variance(market: MarketData, window: str) -> Array:
    """Log of the window's mean Rogers-Satchell variance, per day."""
    return np.log(_a_day(market, rogers_satchell_variance(market), window))


@_log_variance("Parkinson (1980) on the whole window", windows=("24h", "7d"))
def log_window_range(market: MarketData, window: str) -> Array:
    """Log of the Parkinson variance of the window's own high and low, per day."""
    n = bars_in(window, market.bar)
    whole = np.log(rolling_max(market.high, n) / rolling_min(market.low, n)) ** 2 / (4.0 * np.log(2.0))
    return np.log(whole / n * float(DAY / market.bar))


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
