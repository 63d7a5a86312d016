"""Returns of the traded price."""

import numpy as np

from gearing.features.feature import feature
from gearing.features.streaming.memory import once
from gearing.features.windows import Array, change, lag
from gearing.market import MarketData
from gearing.market.timing import bars_in


@once
def bar_returns(market: MarketData) -> Array:
    """Log return of each bar's close over the close before it (n_bars, n_contracts); NaN in the first row."""
    return change(np.log(market.close))


@feature(unit="log", lower=-1.0, upper=1.0, lookback="1bar", source="ln(close / previous close)")
def log_return(market: MarketData) -> Array:
    """Log return of the bar."""
    return bar_returns(market)


@feature(
    unit="log",
    lower=-3.0,
    upper=3.0,
    lookback="{window}",
    windows=("24h", "7d"),
    source="ln(close / close a window ago)",
    name="return",
)
def window_return(market: MarketData, window: str) -> Array:
    """Log return over the window."""
    return change(np.log(market.close), bars_in(window, market.bar))


@feature(
    unit="log",
    lower=-3.0,
    upper=3.0,
    lookback=("24h", "{window}"),
    windows=("24h", "7d"),
    source="lags of daily returns, as GARCH reads them",
)
def return_24h_before(market: MarketData, window: str) -> Array:
    """Log return of the 24 hours that ended a window ago."""
    return lag(window_return(market, "24h"), bars_in(window, market.bar))


@feature(
    unit="log",
    lower=0.0,
    upper=3.0,
    lookback="{window}",
    windows=("24h", "7d", "30d"),
    source="leverage effect in HAR models: Corsi and Reno (2012)",
)
def downside_return(market: MarketData, window: str) -> Array:
    """Size of the window's log return where it was negative, else zero."""
    return np.maximum(-window_return(market, window), 0.0)
