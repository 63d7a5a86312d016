"""Implied volatility (DVOL), and a proxy for markets without it."""

import numpy as np

from gearing.features.families.volatility import MOST, realized_volatility, volatility_feature
from gearing.features.feature import feature
from gearing.features.windows import Array, change, rolling_mean
from gearing.market import MarketData
from gearing.market.timing import bars_in

NEEDS = ("implied_volatility",)


@volatility_feature(lookback="0h", source="DVOL (Deribit)", needs=NEEDS)
def implied_volatility(market: MarketData) -> Array:
    """Implied volatility last published before the close, from the market data."""
    return _implied(market)


@feature(unit="log", lower=-5.0, upper=5.0, lookback="24h", source="DVOL (Deribit)", needs=NEEDS)
def implied_change_24h(market: MarketData) -> Array:
    """Log change of implied volatility over 24 hours."""
    return change(np.log(_implied(market)), bars_in("24h", market.bar))


@feature(
    unit="annualised",
    lower=-MOST,
    upper=MOST,
    lookback="{window}",
    windows=("7d", "30d"),
    source="variance risk premium on volatilities: Bollerslev, Tauchen and Zhou (2009)",
    needs=NEEDS,
)
def implied_minus_realized(market: MarketData, window: str) -> Array:
    """Implied volatility less the window's realised volatility."""
    return _implied(market) - realized_volatility(market, window)


@volatility_feature(
    lookback=("24h", "{window}"),
    windows=("30d",),
    source="stand-in without options: mean of daily realised volatility, which implied volatility tracks",
)
def implied_proxy(market: MarketData, window: str) -> Array:
    """Mean of 24-hour realised volatility over the window."""
    return rolling_mean(realized_volatility(market, "24h"), bars_in(window, market.bar))


def _implied(market: MarketData) -> Array:
    values = market.implied_volatility
    assert values is not None  # every feature here needs it
    return values[..., 3] if values.ndim == 3 else values
