"""Controls that scale the whole account: a factor, and a floor under its drawdown."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gearing.market.timing import DAY, parse_duration, stamp
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

    Exposure falls from 1 at the peak to 0 at the floor (Grossman and Zhou, 1993, without their growth). With the peak
    since the account's start, an account that has lost much stays small until it has earned it back; with the peak of
    a window it returns once the fall is older than that. Between decisions nothing acts.

    Parameters
    ----------
    limit : float
        Drawdown at which all is closed; twice the drawdown budget is usual.
    window : str, optional
        The peak is the highest equity at a decision within this duration, whole days; None is since the account's
        start, at the closes of all bars.
    """

    limit: float = 0.5
    window: str | None = None

    def __post_init__(self) -> None:
        check_numbers(self)
        check_fraction(self, "limit")
        if self.window is not None:
            length = parse_duration(self.window, None)
            if length < DAY or length % DAY != np.timedelta64(0, "ms"):
                raise ValueError(
                    f"DrawdownFloor: window is {self.window}; it must be whole days, such as 365d."
                )

    @property
    def required_columns(self) -> tuple[str, ...]:
        """The drawdown since the start, unless a window replaces it."""
        return ("drawdown",) if self.window is None else ()

    def apply(self, targets: np.ndarray, guards: np.recarray, now: Situation, memory: Any) -> Decision:
        """Scaled targets; what would be held (NaN) stays until the floor, where it is closed."""
        if self.window is None:
            drawdown = now.columns["drawdown"].astype(np.float64)  # (n, 1)
        else:
            days = int(parse_duration(self.window, None) // DAY)
            memory = _with_today(now, memory, days)
            recent = memory[0] > _day(now)[:, None] - days
            peak = np.where(recent, memory[1], 0.0).max(axis=1)
            drawdown = (1.0 - now.equity / peak)[:, None]
        left = np.clip((self.limit - drawdown) / self.limit, 0.0, 1.0)
        return np.where(left == 0.0, 0.0, targets * left), guards, memory


def _day(now: Situation) -> np.ndarray:
    """Number of the UTC day (n,)."""
    return now.time.astype("datetime64[D]").astype(np.int64)


def _with_today(now: Situation, memory: Any, days: int) -> tuple[np.ndarray, np.ndarray]:
    """Day numbers and highest equity of the last days, both (n, days), in a ring; today's included."""
    today, n = _day(now), now.equity.size
    empty = np.full((n, days), -1, np.int64), np.zeros((n, days))
    seen, highest = empty if memory is None else (array.copy() for array in memory)
    seen[now.begins], highest[now.begins] = -1, 0.0
    row, place = np.arange(n), today % days
    known = np.where(seen[row, place] == today, highest[row, place], 0.0)
    seen[row, place], highest[row, place] = today, np.maximum(known, now.equity)
    return seen, highest
