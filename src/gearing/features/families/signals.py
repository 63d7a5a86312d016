"""Direction signals: columns in [-1, 1], the sign being the side.

``direction="signal:momentum_side_30d"`` multiplies the leverage of any policy by such a column. Add your own
with ``table.join("mine", values, lower=-1, upper=1)``.
"""

from functools import partial

import numpy as np

from gearing.features.families.funding import funding_carry
from gearing.features.families.returns import window_return
from gearing.features.families.trend import scaled_momentum
from gearing.features.feature import feature
from gearing.features.windows import Array
from gearing.market import MarketData

side_feature = partial(feature, unit="side", lower=-1.0, upper=1.0)
HIGH_CARRY = 0.20  # funding a year that a short is opened for; the usual 0.01 % per 8 hours is 0.11
LOW_CARRY = 0.0  # below it longs are paid
FULL_CARRY = 0.60  # funding a year at which a gradual carry signal is fully short
MOMENTUM = "time-series momentum: Moskowitz, Ooi and Pedersen (2012)"
CARRY = "funding carry: Koijen, Moskowitz, Pedersen and Vrugt (2018), with funding as the carry"


@side_feature(lookback="{window}", windows=("7d", "30d", "90d"), source=MOMENTUM)
def momentum_side(market: MarketData, window: str) -> Array:
    """Long (1) after a rise over the window, short (-1) after a fall."""
    return np.sign(window_return(market, window))


@side_feature(lookback="{window}", windows=("7d", "30d", "90d"), source=MOMENTUM)
def momentum_long(market: MarketData, window: str) -> Array:
    """Long (1) after a rise over the window, flat (0) after a fall."""
    rise = window_return(market, window)
    return np.where(np.isnan(rise), np.nan, (rise > 0.0).astype(np.float64))


@side_feature(lookback="{window}", windows=("7d", "30d"), source=MOMENTUM)
def momentum_strength(market: MarketData, window: str) -> Array:
    """Gradual side: tanh of the window's return in standard deviations."""
    return np.tanh(scaled_momentum(market, window))


@side_feature(lookback="{window}", windows=("7d", "30d"), source=CARRY)
def carry_side(market: MarketData, window: str) -> Array:
    """Short (-1) while longs pay more than 20 % a year, long (1) while they are paid, else flat (0)."""
    carry = funding_carry(market, window)
    side = np.where(carry > HIGH_CARRY, -1.0, np.where(carry < LOW_CARRY, 1.0, 0.0))
    return np.where(np.isnan(carry), np.nan, side)


@side_feature(lookback="{window}", windows=("7d", "30d"), source=CARRY)
def carry_strength(market: MarketData, window: str) -> Array:
    """Gradual side: fully short where longs pay 60 % a year, fully long where they are paid as much."""
    return -np.clip(funding_carry(market, window) / FULL_CARRY, -1.0, 1.0)
