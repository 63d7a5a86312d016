"""Growth by regime: volatility tercile x trend sign x funding sign."""

import numpy as np
import pandas as pd

from gearing.evaluation.metrics import EQUITY_FLOOR, years_between
from gearing.evaluation.result import BacktestResult
from gearing.features import FeatureSet
from gearing.market.data import MarketData

VOLATILITY, TREND, FUNDING = "realized_volatility_7d", "trend_30d", "funding_carry_7d"
TERCILES = ("calm", "usual", "wild")


def growth_by_regime(result: BacktestResult, market: MarketData) -> pd.DataFrame:
    """Log growth of a result by the regime known at each decision.

    Several contracts: the means of their columns. Terciles are those of the result's own decisions, so the table
    is descriptive, not a trading rule.

    Returns
    -------
    DataFrame
        Indexed by volatility, trend and funding: ``time`` (share of it), ``growth`` a year while in the regime,
        ``share`` of the whole growth, mean effective leverage, liquidations.
    """
    count = result.end
    regimes = _regimes(result, market)[:count]
    floored = np.maximum(result.equity, EQUITY_FLOOR * result.equity[0])
    rows = regimes.assign(
        growth=np.diff(np.log(floored))[:count],
        leverage=np.abs(result.leverage).sum(axis=1)[:count],
        liquidations=result.steps.liquidations[:count],
        years=[years_between(a, b) for a, b in zip(result.time[:count], result.time[1:], strict=False)],
    )
    groups = rows.groupby(["volatility", "trend", "funding"], sort=False)
    total, span = rows["growth"].sum(), rows["years"].sum()
    table = pd.DataFrame(
        {
            "time": groups["years"].sum() / span,
            "growth": groups["growth"].sum() / groups["years"].sum(),
            "share": groups["growth"].sum() / total if total else np.nan,
            "effective_leverage": groups["leverage"].mean(),
            "liquidations": groups["liquidations"].sum(),
        }
    )
    return table.sort_index()


def _regimes(result: BacktestResult, market: MarketData) -> pd.DataFrame:
    table = FeatureSet([VOLATILITY, TREND, FUNDING]).compute(market)
    rows = np.searchsorted(table.close_time, result.time[:-1])
    level, trend, carry = (table.column(name)[rows].mean(axis=1) for name in (VOLATILITY, TREND, FUNDING))
    tercile = np.searchsorted(np.nanquantile(level, [1 / 3, 2 / 3]), level)
    return pd.DataFrame(
        {
            "volatility": pd.Categorical(np.take(TERCILES, tercile), TERCILES, ordered=True),
            "trend": np.where(trend > 0.0, "up", "down"),
            "funding": np.where(carry > 0.0, "longs pay", "shorts pay"),
        }
    )
