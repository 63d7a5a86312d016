"""Which contracts of a market can be traded at a close, and what is known of them."""

import numpy as np

from gearing.features.families.funding import RECENT, funding_by_bar
from gearing.features.feature import share_feature
from gearing.features.windows import Array, rolling_sum
from gearing.market import MarketData
from gearing.market.timing import bars_in


@share_feature(lookback="0h", source="bars of the contract")
def available(market: MarketData) -> Array:
    """1 where the contract trades, else 0; in a `FeatureSet`, 1 only where its other columns are known as well.

    A set with this column gives contracts that are not available zeros, clipped to the bounds, instead of NaN. So one
    account can trade contracts that were listed at different times.
    """
    return market.tradable.astype(np.float64)


@share_feature(lookback=RECENT, source="settlements in the data")
def funding_known(market: MarketData) -> Array:
    """1 where a funding settlement was stamped within a day before the close, else 0."""
    _, _, count = funding_by_bar(market)
    return (rolling_sum(count, bars_in(RECENT, market.bar)) > 0.0).astype(np.float64)
