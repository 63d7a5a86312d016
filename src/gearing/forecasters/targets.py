"""Forecast targets: the realised variance of the bars after a decision."""

import numpy as np
from numpy.typing import NDArray

from gearing.features.families.ranges import garman_klass_variance
from gearing.features.families.returns import bar_returns
from gearing.features.families.volatility import BIPOWER
from gearing.features.windows import lag, rolling_sum
from gearing.market.data import MarketData
from gearing.market.timing import YEAR, bars_in, parse_duration


def future_variance(market: MarketData, horizon: str = "24h") -> NDArray[np.float64]:
    """Sum of squared log returns of the bars inside the horizon after each close (n_bars, n_contracts).

    Row k covers bars k+1 .. k+n; the last n rows are NaN, because their bars are still to come.
    """
    n = bars_in(horizon, market.bar)
    past = rolling_sum(bar_returns(market) ** 2, n)
    ahead = np.full_like(past, np.nan)
    ahead[: max(len(past) - n, 0)] = past[n:]
    return ahead


def measured_future_variance(market: MarketData, horizon: str = "24h") -> NDArray[np.float64]:
    """Geometric mean of four measures of the variance after each close (n_bars, n_contracts): a less noisy target.

    Squared returns, absolute returns, ranges (Garman and Klass) and bipower variation, over the bars of
    ``future_variance``. A line in logs fitted to it is the mean of the four lines fitted to each. NaN where one of
    them is zero.
    """
    n, returns = bars_in(horizon, market.bar), bar_returns(market)
    size = np.abs(returns)
    past = (
        rolling_sum(returns**2, n),
        np.pi / 2.0 * rolling_sum(size, n) ** 2 / n,
        rolling_sum(garman_klass_variance(market), n),
        BIPOWER * rolling_sum(size * lag(size, 1), n),
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.stack(past)).mean(axis=0)
    ahead = np.full_like(logs, np.nan)
    ahead[: max(len(logs) - n, 0)] = np.exp(logs[n:])
    return np.where(ahead > 0.0, ahead, np.nan)


def finer_future_variance(market: MarketData, horizon: str = "24h") -> NDArray[np.float64]:
    """``future_variance`` from the market's finer bars: a less noisy measure.

    NaN where any finer bar of the horizon is missing.

    Raises
    ------
    ValueError
        If the market has no finer bars.
    """
    if market.finer is None:
        raise ValueError(
            "this market has no finer bars; load it with finer='5m' (or another part of its bar)."
        )
    finer = market.finer
    ahead = future_variance(finer, horizon)
    last_inside = np.searchsorted(finer.open_time, market.open_time + market.bar) - 1
    there = (last_inside >= 0) & (
        finer.open_time[np.maximum(last_inside, 0)] + finer.bar == market.open_time + market.bar
    )
    return np.where(there[:, None], ahead[np.maximum(last_inside, 0)], np.nan)


def annual_volatility(variance: NDArray[np.float64], horizon: str) -> NDArray[np.float64]:
    """Annualised volatility of a variance over the horizon (365 days of 24 hours)."""
    return np.sqrt(variance * float(YEAR / parse_duration(horizon)))
