"""What is forecast: the realised variance of the bars after a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..features.durations import YEAR, bars_in, parse_duration
from ..features.returns import bar_returns
from ..features.windows import rolling_sum

if TYPE_CHECKING:
    from ..market import MarketData


def future_variance(market: MarketData, horizon: str = "24h") -> NDArray[np.float64]:
    """Sum of squared log returns of the bars inside the horizon after each close (n_bars, n_contracts).

    Row k covers bars k+1 .. k+n; the last n rows are NaN, for their bars are still to come.
    """
    n = bars_in(horizon, market.bar)
    past = rolling_sum(bar_returns(market) ** 2, n)
    ahead = np.full_like(past, np.nan)
    ahead[: max(len(past) - n, 0)] = past[n:]
    return ahead


def annual_volatility(variance: NDArray[np.float64], horizon: str) -> NDArray[np.float64]:
    """Annualised volatility of a variance over the horizon (365 days of 24 hours)."""
    return np.sqrt(variance * float(YEAR / parse_duration(horizon)))
