"""Correlation between the contracts of a market."""

import numpy as np

from gearing.features.families.returns import bar_returns
from gearing.features.feature import feature
from gearing.features.windows import Array, rolling_mean
from gearing.market import MarketData
from gearing.market.timing import bars_in


@feature(
    unit="correlation",
    lower=-1.0,
    upper=1.0,
    lookback=("1bar", "{window}"),
    windows=("7d", "30d"),
    source="mean pairwise correlation of bar returns, not demeaned",
)
def mean_correlation(market: MarketData, window: str) -> Array:
    """Mean correlation of a contract's bar returns with those of the others; 1 where there is no other.

    The others are those whose returns of the whole window are known: listed before it, and still traded.
    """
    returns, n = bar_returns(market), bars_in(window, market.bar)
    if market.n_contracts == 1:
        return 1.0 + 0.0 * rolling_mean(returns, n)
    scale = np.sqrt(rolling_mean(returns**2, n))
    total, count = np.zeros_like(returns), np.zeros_like(returns)
    for other in range(market.n_contracts):
        joint = rolling_mean(returns * returns[:, other : other + 1], n)
        spread = scale * scale[:, other : other + 1]
        pair = np.where(spread == 0.0, 0.0, np.clip(joint / spread, -1.0, 1.0))
        known = np.isfinite(pair)
        known[:, other] = False
        total += np.where(known, pair, 0.0)
        count += known
    mean = np.where(count == 0.0, 1.0, total / np.maximum(count, 1.0))
    return np.where(np.isnan(scale), np.nan, mean)
