"""Liquidity: volume and trading costs, estimated from bars."""

import numpy as np

from gearing.features.families.returns import bar_returns
from gearing.features.families.volatility import mean_per_day
from gearing.features.feature import feature, share_feature
from gearing.features.streaming.memory import once
from gearing.features.windows import Array, lag, rolling_mean, rolling_sum
from gearing.market import MarketData
from gearing.market.timing import bars_in

ORDER = 10_000.0  # quote units; the default account


@once
def quote_volume(market: MarketData) -> Array:
    """Traded value of each bar at its mean price [quote] (n_bars, n_contracts)."""
    price = (market.high + market.low + market.close) / 3.0
    return market.volume * price


@feature(
    unit="ratio",
    lower=0.0,
    upper=20.0,
    lookback=("24h", "{window}"),
    windows=("7d", "30d"),
    source="volume of 24 hours over the mean day of the window",
)
def volume_ratio(market: MarketData, window: str) -> Array:
    """Base volume of the last 24 hours over the window's mean 24 hours; 1 where nothing traded."""
    day, n = bars_in("24h", market.bar), bars_in(window, market.bar)
    mean = rolling_mean(market.volume, n)
    return np.where(mean == 0.0, 1.0, rolling_mean(market.volume, day) / mean)


@feature(
    unit="log quote",
    lower=-5.0,
    upper=40.0,
    lookback="{window}",
    windows=("24h", "7d"),
    source="traded value per day",
)
def log_quote_volume(market: MarketData, window: str) -> Array:
    """Log of one plus the traded value per day."""
    return np.log1p(mean_per_day(market, quote_volume(market), window))


@feature(
    unit="log per quote",
    lower=-60.0,
    upper=10.0,
    lookback=("1bar", "{window}"),
    windows=("24h", "7d"),
    source="Amihud (2002)",
)
def log_amihud(market: MarketData, window: str) -> Array:
    """Log of the mean absolute return per traded value; bars without a trade count as no return."""
    value = quote_volume(market)
    size = np.abs(bar_returns(market))
    ratio = np.where(value > 0.0, size / np.where(value > 0.0, value, 1.0), 0.0 * size)
    return np.log(rolling_mean(ratio, bars_in(window, market.bar)))


@feature(
    unit="fraction",
    lower=0.0,
    upper=0.5,
    lookback=("1bar", "{window}"),
    windows=("24h", "7d"),
    source="Corwin and Schultz (2012), negative two-bar values set to zero",
)
def corwin_schultz_spread(market: MarketData, window: str) -> Array:
    """Bid-ask spread from the ranges of one bar and of two: variance grows with time, the spread does not."""
    high, low = market.high, market.low
    one = np.log(high / low) ** 2
    both = np.log(np.maximum(high, lag(high, 1)) / np.minimum(low, lag(low, 1))) ** 2
    root = 3.0 - 2.0 * np.sqrt(2.0)
    beta = one + lag(one, 1)
    alpha = (np.sqrt(2.0 * beta) - np.sqrt(beta)) / root - np.sqrt(both / root)
    spread = 2.0 * (np.exp(alpha) - 1.0) / (1.0 + np.exp(alpha))
    return rolling_mean(np.maximum(spread, 0.0), bars_in(window, market.bar))


@share_feature(
    lookback="{window}",
    windows=("1h", "24h"),
    source="an order of 10 000 quote units over the value traded in the window",
)
def order_share(market: MarketData, window: str) -> Array:
    """Share that a small account's order has of the window's traded value; 1 where nothing traded."""
    value = rolling_sum(quote_volume(market), bars_in(window, market.bar))
    return np.minimum(ORDER / np.maximum(value, ORDER), 1.0)
