"""Volatility from the returns of whole bars: realised variance and its parts."""

from functools import partial

import numpy as np

from gearing.features.families.returns import bar_returns
from gearing.features.feature import feature, share_feature
from gearing.features.streaming.memory import once
from gearing.features.windows import Array, exponential_mean, lag, rolling_max, rolling_mean, trailing_rank
from gearing.market import MarketData
from gearing.market.timing import DAY, YEAR, bars_in, bars_per_day, bars_per_year, parse_duration

MOST = 20.0  # annualised volatility: 2 000 %, an hour of +-20 % all day long
LOG_VARIANCE = (-25.0, 5.0)  # log of variance per day: a day of 0.0004 % to one of 1 200 %
volatility_feature = partial(feature, unit="annualised", lower=0.0, upper=MOST)
log_variance_feature = partial(
    feature, unit="log variance per day", lower=LOG_VARIANCE[0], upper=LOG_VARIANCE[1]
)
DAYS_A_YEAR = float(YEAR / DAY)
BIPOWER = np.pi / 2  # 1 / E|z|^2 of a standard normal z


def mean_per_day(market: MarketData, per_bar: Array, window: str) -> Array:
    """Mean over the window of what every bar adds, scaled to a day (n_bars, n_contracts)."""
    return rolling_mean(per_bar, bars_in(window, market.bar)) * bars_per_day(market.bar)


@once
def variance_per_day(market: MarketData, window: str) -> Array:
    """Mean squared bar return over the window, scaled to a day (n_bars, n_contracts)."""
    return mean_per_day(market, bar_returns(market) ** 2, window)


def annualised(variance_a_day: Array) -> Array:
    """Volatility per year of 365 days."""
    return np.sqrt(variance_a_day * DAYS_A_YEAR)


@volatility_feature(
    lookback="{window}",
    windows=("6h", "24h", "7d", "30d"),
    source="Andersen, Bollerslev, Diebold and Labys (2003)",
)
def realized_volatility(market: MarketData, window: str) -> Array:
    """Square root of the mean squared bar return, annualised; returns are not demeaned."""
    return annualised(variance_per_day(market, window))


@log_variance_feature(
    lookback="{window}",
    windows=("6h", "24h", "3d", "7d", "14d", "30d", "90d"),
    source="HAR components: Corsi (2009)",
)
def log_variance(market: MarketData, window: str) -> Array:
    """Log of realised variance per day."""
    return np.log(variance_per_day(market, window))


@log_variance_feature(
    lookback=("24h", "{window}"), windows=("24h", "2d", "3d", "6d"), source="HAR with separate daily lags"
)
def log_variance_before(market: MarketData, window: str) -> Array:
    """Log of realised variance of the 24 hours that ended a window ago."""
    return lag(log_variance(market, "24h"), bars_in(window, market.bar))


@log_variance_feature(
    lookback="{window}",
    windows=("7d", "30d"),
    source="mean of daily logs, less moved by one crash than the log of the mean",
)
def mean_log_variance(market: MarketData, window: str) -> Array:
    """Mean over the window's days of log daily variance."""
    days = bars_in(window, market.bar) // bars_in("24h", market.bar)
    daily = log_variance(market, "24h")
    return np.mean([lag(daily, k * bars_in("24h", market.bar)) for k in range(max(days, 1))], axis=0)


@log_variance_feature(
    lookback=("1bar", "{window}"), windows=("24h", "7d"), source="Barndorff-Nielsen and Shephard (2004)"
)
def log_bipower_variance(market: MarketData, window: str) -> Array:
    """Log of bipower variation per day: products of neighbouring returns, which one jump cannot inflate."""
    return np.log(bipower_variance(market, window))


@once
def bipower_variance(market: MarketData, window: str) -> Array:
    """Bipower variation per day (n_bars, n_contracts)."""
    size = np.abs(bar_returns(market))
    return mean_per_day(market, BIPOWER * size * lag(size, 1), window)


@share_feature(
    lookback=("1bar", "{window}"), windows=("24h", "7d"), source="1 - BV/RV: Huang and Tauchen (2005)"
)
def jump_share(market: MarketData, window: str) -> Array:
    """Share of realised variance that came in jumps; 0 where bipower variation is the larger."""
    whole = variance_per_day(market, window)
    share = 1.0 - bipower_variance(market, window) / whole
    return np.where(whole == 0.0, 0.0, np.clip(share, 0.0, 1.0))


@share_feature(
    lookback="{window}",
    windows=("24h", "7d"),
    source="semivariances: Barndorff-Nielsen, Kinnebrock and Shephard (2010)",
)
def downside_share(market: MarketData, window: str) -> Array:
    """Share of realised variance that came from falling bars; one half where nothing moved."""
    squares, n = bar_returns(market) ** 2, bars_in(window, market.bar)
    falling = rolling_mean(np.where(bar_returns(market) < 0.0, squares, squares * 0.0), n)
    whole = rolling_mean(squares, n)
    return np.where(whole == 0.0, 0.5, falling / whole)


@feature(
    unit="relative",
    lower=0.0,
    upper=20.0,
    lookback="{window}",
    windows=("24h",),
    source="HARQ: Bollerslev, Patton and Quaedvlieg (2016)",
)
def relative_quarticity(market: MarketData, window: str) -> Array:
    """Root of realised quarticity over realised variance: how uncertain the variance itself is."""
    n, squares = bars_in(window, market.bar), bar_returns(market) ** 2
    fourth, second = rolling_mean(squares**2, n) / 3.0, rolling_mean(squares, n)
    return np.where(second == 0.0, 0.0, np.sqrt(fourth) / second)


@feature(
    unit="log variance per day",
    lower=-500.0,
    upper=100.0,
    lookback="{window}",
    windows=("24h",),
    source="log HARQ: Bollerslev, Patton and Quaedvlieg (2016)",
)
def quarticity_interaction(market: MarketData, window: str) -> Array:
    """Log variance times its relative quarticity: an uncertain variance deserves less weight."""
    level = np.maximum(log_variance(market, window), LOG_VARIANCE[0])  # a still price: minus infinity times 0
    return level * relative_quarticity(market, window)


@log_variance_feature(
    lookback="10x{window}",
    windows=("6h", "24h", "7d"),
    source="RiskMetrics (1996), weights cut off after ten half-lives",
)
def ewma_log_variance(market: MarketData, window: str) -> Array:
    """Log of the exponentially weighted variance per day; the window is the half-life."""
    half_life = bars_in(window, market.bar)
    mean = exponential_mean(bar_returns(market) ** 2, half_life, 10 * half_life)
    return np.log(mean * bars_per_day(market.bar))


@volatility_feature(
    lookback="10x{window}",
    windows=("24h",),
    source="RiskMetrics (1996), weights cut off after ten half-lives",
)
def ewma_volatility(market: MarketData, window: str) -> Array:
    """Exponentially weighted volatility; the window is the half-life."""
    half_life = bars_in(window, market.bar)
    mean = exponential_mean(bar_returns(market) ** 2, half_life, 10 * half_life)
    return np.sqrt(mean * bars_per_year(market.bar))


@share_feature(
    lookback=("24h", "{window}"),
    windows=("30d", "90d", "365d"),
    source="trailing rank among values a day apart",
)
def volatility_percentile(market: MarketData, window: str) -> Array:
    """Share of the window's days on which volatility of 24 hours, at this same hour, was lower than now."""
    day = bars_in("24h", market.bar)
    days = max(int(parse_duration(window, market.bar) / DAY), 1)
    days = min(days, bars_in(window, market.bar))
    return trailing_rank(realized_volatility(market, "24h"), days, day)


@log_variance_feature(
    lookback=("24h", "{window}"), windows=("7d", "30d"), source="upper envelope of daily variance"
)
def max_log_variance(market: MarketData, window: str) -> Array:
    """Largest log daily variance of the window."""
    return rolling_max(log_variance(market, "24h"), bars_in(window, market.bar))
