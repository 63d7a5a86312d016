"""Placebo test: the policy's leverage series, circularly shifted in time.

A circular shift preserves the mean, the spread and the autocorrelation of a leverage series, but not its timing. The
side is not shifted.
"""

from dataclasses import dataclass

import numpy as np

from gearing.evaluation.accounts import play_sizes, simulator_like
from gearing.evaluation.playing import all_decisions
from gearing.evaluation.result import BacktestResult
from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.simulation.simulator import Simulator


@dataclass(frozen=True, eq=False)
class Placebo:
    """Log growth a year of a policy, compared with its shifted series.

    Attributes
    ----------
    growth : float
        Of the unshifted series.
    shifted : (n_shifts,) float64
    ruined : float
        Share of the shifts that were ruined.
    """

    growth: float
    shifted: np.ndarray
    ruined: float

    @property
    def p_value(self) -> float:
        """Share of series, including the unshifted one, that grew at least as much."""
        return float((1 + np.count_nonzero(self.shifted >= self.growth)) / (1 + self.shifted.size))

    @property
    def interval(self) -> tuple[float, float]:
        """Middle 95 % of the shifts."""
        low, high = np.quantile(self.shifted, [0.025, 0.975])
        return float(low), float(high)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.growth:+.3f} among shifts of [{low:+.3f}, {high:+.3f}], p = {self.p_value:.3f}"


def circular_shifts(
    result: BacktestResult,
    market: MarketData,
    features: FeatureTable | None = None,
    *,
    shifts: int = 300,
    seed: int = 0,
) -> Placebo:
    """Run a policy's leverage series at random circular shifts, in one batch of accounts.

    Parameters
    ----------
    result : BacktestResult
        The policy's result on ``market``; its targets after all risk controls are shifted.
    features : FeatureTable, optional
        Required if the direction is a column that is not a registered feature.
    shifts : int
        At least 200 for a distribution.
    seed : int
        Seed of the shifts.
    """
    count = result.end
    simulator = simulator_like(result, market, features, shifts + 1)
    sizes = _magnitudes(result, simulator)[:count]
    by = np.random.default_rng(seed).integers(1, max(count, 2), shifts)
    order = (np.arange(count)[None, :] - np.append(0, by)[:, None]) % count
    played = np.zeros((shifts + 1, len(result.target), sizes.shape[1]))
    played[:, :count] = sizes[order]
    accounts = play_sizes(simulator, played)
    growth = accounts.growth
    return Placebo(float(growth[0]), growth[1:], float(accounts.ruined[1:].mean()))


def _magnitudes(result: BacktestResult, simulator: Simulator) -> np.ndarray:
    """Magnitudes before the side is applied; where the side was flat, the previous magnitude stays."""
    if result.config.direction == "free":
        return np.nan_to_num(result.target)
    _, side = all_decisions(simulator)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.abs(result.target) / np.abs(side)
    for k in range(len(size)):  # NaN: held, or no side
        gone = ~np.isfinite(size[k])
        size[k][gone] = size[k - 1][gone] if k else 0.0
    return size
