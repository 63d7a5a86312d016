"""Trend: the price relative to its own past."""

import numpy as np

from gearing.features.families.ranges import true_range
from gearing.features.families.returns import window_return
from gearing.features.families.volatility import variance_per_day
from gearing.features.feature import feature, share_feature
from gearing.features.windows import Array, exponential_mean, lag, rolling_max, rolling_mean, rolling_min
from gearing.market import MarketData
from gearing.market.timing import bars_in, bars_per_day


@feature(
    unit="log",
    lower=-2.0,
    upper=2.0,
    lookback="{window}",
    windows=("24h", "7d", "30d"),
    source="moving-average rule",
)
def trend(market: MarketData, window: str) -> Array:
    """Log distance of the close from its mean over the window; the sign is the direction."""
    return np.log(market.close / rolling_mean(market.close, bars_in(window, market.bar)))


@feature(
    unit="log",
    lower=-3.0,
    upper=3.0,
    lookback="{window}",
    windows=("7d", "30d", "90d"),
    source="time-series momentum: Moskowitz, Ooi and Pedersen (2012)",
)
def momentum(market: MarketData, window: str) -> Array:
    """Log return over the window; the sign is the direction."""
    return window_return(market, window)


@feature(
    unit="standard deviations",
    lower=-10.0,
    upper=10.0,
    lookback="{window}",
    windows=("7d", "30d"),
    source="time-series momentum scaled by its own volatility",
)
def scaled_momentum(market: MarketData, window: str) -> Array:
    """Return of the window over the standard deviation that the window's variance gives it."""
    days = bars_in(window, market.bar) / bars_per_day(market.bar)
    spread = np.sqrt(variance_per_day(market, window) * days)
    return np.where(spread == 0.0, 0.0, window_return(market, window) / spread)


@feature(
    unit="share of range",
    lower=0.0,
    upper=1.0,
    lookback="{window}",
    windows=("7d", "20d"),
    source="channel breakout (Donchian)",
)
def breakout(market: MarketData, window: str) -> Array:
    """Place of the close between the window's low (0) and high (1); one half where the two agree."""
    n = bars_in(window, market.bar)
    low, high = rolling_min(market.low, n), rolling_max(market.high, n)
    return np.where(high == low, 0.5, (market.close - low) / (high - low))


@feature(
    unit="log",
    lower=0.0,
    upper=3.0,
    lookback="{window}",
    windows=("30d",),
    source="distance from the trailing high",
)
def drawdown(market: MarketData, window: str) -> Array:
    """Log distance of the close below the window's highest price."""
    return np.log(rolling_max(market.high, bars_in(window, market.bar)) / market.close)


@share_feature(
    lookback=("1bar", "10x{window}", "10x{window}"),
    windows=("24h", "14h"),
    source="directional movement: Wilder (1978), exponential means cut off after ten half-lives",
)
def adx(market: MarketData, window: str) -> Array:
    """Strength of a trend whatever its direction; the window is the half-life of the averages."""
    half_life = bars_in(window, market.bar)
    n = 10 * half_life
    up, down = market.high - lag(market.high, 1), lag(market.low, 1) - market.low
    rising = exponential_mean(np.where((up > down) & (up > 0.0), up, 0.0 * up), half_life, n)
    falling = exponential_mean(np.where((down > up) & (down > 0.0), down, 0.0 * down), half_life, n)
    still = exponential_mean(true_range(market), half_life, n) == 0.0
    strength = np.abs(rising - falling) / (rising + falling)
    return exponential_mean(np.where(still | (rising + falling == 0.0), 0.0, strength), half_life, n)
