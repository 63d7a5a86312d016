"""Does timing add anything? A dynamic policy beside fixed leverage of the same average, and of the same volatility.

Without these two comparisons deleveraging passes for skill: whoever holds less leverage in a falling market looks wise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.accounts import Accounts, play_sizes, simulator_like
from gearing.evaluation.backtesting import backtest
from gearing.evaluation.metrics import daily_log_growth, daily_returns
from gearing.evaluation.result import BacktestResult
from gearing.evaluation.statistics.inference import Difference, growth_difference, sharpe_difference
from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.policies.rules import FixedLeverage

if TYPE_CHECKING:
    import pandas as pd

_CANDIDATES, _ROUNDS = 24, 3


@dataclass(frozen=True, eq=False)
class Twins:
    """A policy and its two fixed twins.

    Attributes
    ----------
    result : BacktestResult
    same_leverage, same_volatility : BacktestResult
        Fixed leverage under the same settings, named by its size.
    """

    result: BacktestResult
    same_leverage: BacktestResult
    same_volatility: BacktestResult

    def growth(self, seed: int = 0) -> tuple[Difference, Difference]:
        """Log growth a year of the policy less that of each twin, on the same days."""
        mine = daily_log_growth(self.result.time, self.result.equity)
        return tuple(  # type: ignore[return-value]
            growth_difference(mine, daily_log_growth(twin.time, twin.equity), seed=seed)
            for twin in (self.same_leverage, self.same_volatility)
        )

    def sharpe(self, seed: int = 0) -> tuple[Difference | None, Difference | None]:
        """Sharpe ratio of the policy less that of each twin; None where one of the two was ruined."""
        return tuple(  # type: ignore[return-value]
            None if self.result.ruined or twin.ruined else _sharpe_difference(self.result, twin, seed)
            for twin in (self.same_leverage, self.same_volatility)
        )

    @property
    def table(self) -> pd.DataFrame:
        """The three of them, one row each."""
        import pandas as pd

        return pd.concat([r.table for r in (self.result, self.same_leverage, self.same_volatility)])


def fixed_twins(result: BacktestResult, market: MarketData, features: FeatureTable | None = None) -> Twins:
    """Find the fixed leverages of the same mean effective leverage, and of the same volatility, as a policy.

    Parameters
    ----------
    result : BacktestResult
        Of the policy on ``market``.
    features : FeatureTable, optional
        Needed where the direction is a column that is no registered feature.

    Notes
    -----
    A volatility that no fixed leverage survives has no twin; the largest leverage with a lower one stands in.
    """
    leverage = float(np.abs(result.leverage[: result.end]).sum(axis=1).mean())
    found = _search(result, market, features, leverage, lambda accounts: accounts.leverage)
    level = _search(
        result, market, features, result.performance.volatility, lambda accounts: accounts.volatility
    )
    return Twins(result, *(_fixed(result, market, features, size) for size in (found, level)))


def _search(
    result: BacktestResult,
    market: MarketData,
    features: FeatureTable | None,
    wanted: float,
    measure: Callable[[Accounts], np.ndarray],
) -> float:
    """Fixed leverage at which the measure has the wanted value, by grids that close in on it."""
    low, high = 1e-3, result.config.max_leverage
    if not wanted > 0.0:
        return 0.0
    for _ in range(_ROUNDS):
        sizes = np.geomspace(low, high, _CANDIDATES)
        simulator = simulator_like(result, market, features, _CANDIDATES)
        rising = np.maximum.accumulate(measure(play_sizes(simulator, sizes[:, None, None])))
        k = int(np.clip(np.searchsorted(rising, wanted), 1, _CANDIDATES - 1))
        low, high = sizes[k - 1], sizes[k]
        if high / low < 1.001:
            break
    return float(np.interp(wanted, rising[k - 1 : k + 1], sizes[k - 1 : k + 1]))


def _fixed(
    result: BacktestResult, market: MarketData, features: FeatureTable | None, size: float
) -> BacktestResult:
    settings = {name: getattr(result.config, name) for name in result.config.__dataclass_fields__}
    settings |= {"start": str(result.time[0]), "controls": ()}
    columns = features if features is not None else ["log_return"]
    rule: Any = FixedLeverage(size)
    return backtest(rule, market, columns, name=f"fixed {size:.2f}x", **settings)


def _sharpe_difference(mine: BacktestResult, other: BacktestResult, seed: int) -> Difference:
    pair = (daily_returns(one.time, one.equity) for one in (mine, other))
    return sharpe_difference(*pair, seed=seed)
