"""Controls that scale the whole account: a factor, and a floor under its drawdown."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gearing.market.timing import stamp
from gearing.policies.controls.guards import Decision
from gearing.policies.registry import control
from gearing.policies.rules.rule import check_fraction, check_numbers, check_positive, put_numbers
from gearing.simulation.controls import Situation


@control("exposure_scale")
@dataclass(frozen=True)
class ExposureScale:
    """Multiply all targets by a factor: the scale that `gearing.evaluation.scale_to_budget` fits to a risk budget.

    Parameters
    ----------
    factor : float, or tuple of float
        One, or one for each time in ``since``.
    since : tuple of str
        Ascending UTC times from which the factors hold; before the first, targets are 0. Empty with one factor.
    max_leverage : float
        Largest target leverage of a position after scaling; not more than the simulation's.
    """

    factor: float | tuple[float, ...] = 1.0
    since: tuple[str, ...] = ()
    max_leverage: float = 20.0
    required_columns: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_numbers(self)
        check_positive(self, "max_leverage")
        given = self.factor if isinstance(self.factor, list | tuple) else [self.factor]
        object.__setattr__(self, "factor", given)
        put_numbers(self, "factor")
        factors: Any = self.factor
        if not factors or min(factors) < 0.0:
            raise ValueError(f"ExposureScale: factor is {self.factor}; give numbers of 0 or more.")
        object.__setattr__(self, "since", tuple(str(stamp(time, "since")) for time in self.since))
        if len(factors) != max(1, len(self.since)):
            raise ValueError(
                f"ExposureScale: {len(factors)} factors for {len(self.since)} times in since; give one factor for each "
                "time, or one factor and no times."
            )
        if list(self.since) != sorted(set(self.since)):
            raise ValueError(f"ExposureScale: since is {self.since}; the times must ascend.")

    def apply(self, targets: np.ndarray, guards: np.recarray, now: Situation, memory: Any) -> Decision:
        """Targets times the factor in force; what would be held (NaN) stays."""
        factors = np.asarray(self.factor, np.float64)
        if self.since:
            place = np.searchsorted(np.array(self.since, "datetime64[ms]"), now.time, side="right")
            factors = np.concatenate([[0.0], factors])[place]
        scaled = targets * np.broadcast_to(factors, len(targets))[:, None]
        return np.clip(scaled, -self.max_leverage, self.max_leverage), guards, memory


@control("drawdown_floor")
@dataclass(frozen=True)
class DrawdownFloor:
    """Exposure in proportion to what is left above a floor: targets x (limit - drawdown) / limit.

    The drawdown is that from the peak since the account's start, so that exposure falls from 1 at the peak to 0 at the
    floor (Grossman and Zhou, 1993, without their growth). Between decisions nothing acts.

    Parameters
    ----------
    limit : float
        Drawdown at which all is closed; twice the drawdown budget is usual.
    """

    limit: float = 0.5
    required_columns: ClassVar[tuple[str, ...]] = ("drawdown",)

    def __post_init__(self) -> None:
        check_numbers(self)
        check_fraction(self, "limit")

    def apply(self, targets: np.ndarray, guards: np.recarray, now: Situation, memory: Any) -> Decision:
        """Scaled targets; what would be held (NaN) stays until the floor, where it is closed."""
        drawdown = now.columns["drawdown"].astype(np.float64)  # (n, 1)
        left = np.clip((self.limit - drawdown) / self.limit, 0.0, 1.0)
        return np.where(left == 0.0, 0.0, targets * left), guards, memory
