"""A policy compared with fixed leverage of the same mean, and of the same volatility.

Without these comparisons deleveraging passes for skill: lower leverage alone looks good in a falling market.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from gearing.evaluation.accounts import Accounts, play_sizes, simulator_like
from gearing.evaluation.backtesting import run_account
from gearing.evaluation.result import BacktestResult
from gearing.evaluation.statistics.inference import Difference, growth_difference
from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.policies.rules import FixedLeverage
from gearing.simulation.simulator import Simulator

Measure = Literal["leverage", "volatility"]
GRID_SIZE = 48  # fixed leverages between which a matched one is interpolated
_SMALLEST = 0.02
_CANDIDATES, _ROUNDS = 24, 3


@dataclass(frozen=True, eq=False)
class FixedGrid:
    """Fixed leverages of ascending size on one path.

    Attributes
    ----------
    sizes : (n,)
    accounts : Accounts
    """

    sizes: np.ndarray
    accounts: Accounts

    @classmethod
    def play(cls, simulator: Simulator, flat: bool = False) -> FixedGrid:
        """One account for each size, up to the simulation's largest leverage; ``flat``: the first is zero."""
        sizes = np.geomspace(_SMALLEST, simulator.config.max_leverage, simulator.n_accounts - flat)
        return cls.of(simulator, np.append(0.0, sizes) if flat else sizes)

    @classmethod
    def of(cls, simulator: Simulator, sizes: np.ndarray) -> FixedGrid:
        """One account for each of the given sizes."""
        return cls(sizes, play_sizes(simulator, sizes[:, None, None]))

    @property
    def growth(self) -> np.ndarray:
        """Daily log growth (n, n_days)."""
        return self.accounts.daily_log_growth

    def rising(self, measure: Measure) -> np.ndarray:
        """Mean effective leverage, or volatility a year, made monotonic where accounts were ruined (n,)."""
        return np.maximum.accumulate(getattr(self.accounts, measure))

    def matched_size(self, measure: Measure, wanted: np.ndarray) -> np.ndarray:
        """Interpolated sizes at which the measure has the wanted values."""
        return np.interp(wanted, self.rising(measure), self.sizes)

    def at_leverage(self, wanted: float, values: np.ndarray) -> np.ndarray:
        """Values of the fixed leverage with a mean effective leverage, interpolated between two sizes.

        Parameters
        ----------
        values : (n, ...)
            Values of each size.
        """
        return interpolated(self.rising("leverage"), values, wanted)


def interpolated(rising: np.ndarray, values: np.ndarray, wanted: float) -> np.ndarray:
    """Values (n, ...) at a wanted level, linear between the two neighbours of ``rising`` (n,), constant beyond."""
    k = int(np.clip(np.searchsorted(rising, wanted), 1, rising.size - 1))
    share = np.clip((wanted - rising[k - 1]) / max(rising[k] - rising[k - 1], 1e-12), 0.0, 1.0)
    return (1.0 - share) * values[k - 1] + share * values[k]


@dataclass(frozen=True, eq=False)
class MatchedFixed:
    """A policy, and fixed leverage of the same mean and of the same volatility.

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
        """Log growth a year of the policy less that of each fixed leverage, on the same days."""
        leverage, volatility = (
            growth_difference(self.result.daily_log_growth, fixed.daily_log_growth, seed=seed)
            for fixed in (self.same_leverage, self.same_volatility)
        )
        return leverage, volatility

    @property
    def table(self) -> pd.DataFrame:
        """Policy and both fixed leverages, one row each."""
        return pd.concat([r.table for r in (self.result, self.same_leverage, self.same_volatility)])


def matched_fixed(
    result: BacktestResult, market: MarketData, features: FeatureTable | None = None
) -> MatchedFixed:
    """Find the fixed leverages of the same mean effective leverage, and of the same volatility, as a policy.

    Parameters
    ----------
    result : BacktestResult
        The policy's result on ``market``.
    features : FeatureTable, optional
        Required if the direction is a column that is not a registered feature.

    Notes
    -----
    Where no fixed leverage survives with the same volatility, the largest leverage with a lower one is returned.
    """
    mean = float(result.gross_leverage.mean())
    wanted: dict[Measure, float] = {"leverage": mean, "volatility": result.performance.volatility}
    sizes = [_search(result, market, features, measure, level) for measure, level in wanted.items()]
    fixed = (
        run_account(FixedLeverage(size), simulator_like(result, market, features, 1), f"fixed {size:.2f}x")
        for size in sizes
    )
    return MatchedFixed(result, *fixed)


def _search(
    result: BacktestResult, market: MarketData, features: FeatureTable | None, measure: Measure, wanted: float
) -> float:
    """Fixed leverage at which the measure has the wanted value, by successively finer grids."""
    low, high = 1e-3, result.config.max_leverage
    if not wanted > 0.0:
        return 0.0
    for _ in range(_ROUNDS):
        sizes = np.geomspace(low, high, _CANDIDATES)
        rising = FixedGrid.of(simulator_like(result, market, features, _CANDIDATES), sizes).rising(measure)
        k = int(np.clip(np.searchsorted(rising, wanted), 1, _CANDIDATES - 1))
        low, high = sizes[k - 1], sizes[k]
        if high / low < 1.001:
            break
    return float(np.interp(wanted, rising[k - 1 : k + 1], sizes[k - 1 : k + 1]))
