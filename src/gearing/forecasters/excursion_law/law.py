"""The law: the distribution of the largest adverse log move over every horizon, given today's scale.

A move is a multiple of the scale. The distribution of the multiples is pooled over contracts and walks forward: row d
of a law uses what had ended at the midnight of day d. A position that is held longer is never less likely to meet a
price: the move of a horizon is at least that of every shorter one, at each probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from gearing.forecasters.excursion_law.scale import Array, days_of
from gearing.forecasters.excursion_law.starts import SIDES
from gearing.names import shown

# Probabilities at which a table holds the multiple.
LEVELS = np.array(
    [1e-5, 1e-4, 5e-4, 0.001, 0.002, 0.0035, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.10, 0.15, 0.20,
     0.25, 0.30, 0.40, 0.50, 0.60, 0.70, 0.80, 0.90, 0.95, 0.99]
)  # fmt: skip
CALIBRATED = np.array([0.01, 0.05, 0.25])  # budgets whose promises are calibrated online
LEAST, MOST = 0.001, 0.5  # budgets that a law states
# A crash of the whole market spoils all starts of a horizon: a budget allows probability x 365 / days of them a year.
# Below one in four years, quantiles of a few years of history cannot know the distance.
_RAREST = 0.25
_NEW = 7.0  # days after which a contract's own scale counts as much as the pool's


@dataclass(frozen=True, eq=False)
class ExcursionLaw:
    """Distances and probabilities of adverse moves, walking forward.

    Attributes
    ----------
    symbols : tuple of str
        Contracts of the pool.
    horizons : tuple of str
        Ascending.
    days : (n_days,) datetime64[D]
        Midnights, UTC; later moments use the last.
    multiples : (n_fits, n_horizons, 2, n_levels) float64
        Multiple of the scale that is exceeded with each of `LEVELS`, for a long and a short; NaN before there are
        enough starts.
    worst : (n_fits, n_horizons, 2) float64
        The largest multiple ever seen.
    weekdays : (n_fits, n_horizons, 7) float64
        Factor of the scale by the weekday of the start, Monday first.
    fit_of_day : (n_days,) int
        Which fit a day uses.
    shift : (n_days, n_horizons, 2, n_calibrated) float64
        What is added to the log of a budget before its multiple is looked up: the online calibration.
    middle : (n_horizons, n_days) float64
        Median log scale of the pool: what a contract without a past gets.
    seen : (2,) float64
        Smallest and largest daily scale of the pool's starts.
    events : (n_days, n_horizons, 2) float64
        Independent events so far: times that some contract of the pool went beyond its 1 % distance, a horizon apart.
    n_starts : (n_days,) int
        DailyStarts of the pool so far.
    """

    symbols: tuple[str, ...]
    horizons: tuple[str, ...]
    days: NDArray[np.datetime64]
    multiples: Array
    worst: Array
    weekdays: Array
    fit_of_day: NDArray[np.int64]
    shift: Array
    middle: Array
    seen: Array
    events: Array
    n_starts: NDArray[np.int64]

    def frozen(self, day: np.datetime64) -> ExcursionLaw:
        """The law as it stood at a midnight, used for all later days."""
        k = int(self.rows_of(np.array([day]))[0])
        last = slice(k, k + 1)
        return replace(
            self, days=self.days[last], fit_of_day=self.fit_of_day[last], shift=self.shift[last],
            middle=self.middle[:, last], events=self.events[last], n_starts=self.n_starts[last],
        )  # fmt: skip

    def rows_of(self, moments: NDArray[np.datetime64]) -> NDArray[np.int64]:
        """Row of each moment: its own day, or the last one."""
        return np.clip(np.searchsorted(self.days, moments.astype("datetime64[D]"), side="right") - 1, 0, None)

    @cached_property
    def _log_levels(self) -> Array:
        return np.log(LEVELS)

    def scaled(self, moments: NDArray[np.datetime64], scale: Array, age: Array) -> Array:
        """The scale with the pool's prior for young contracts and the weekdays (n_horizons, n).

        Parameters
        ----------
        moments : (n,) datetime64
        scale : (n_horizons, n)
            As known at the moments.
        age : (n,)
            Days since the contract's first bar.
        """
        rows = self.rows_of(moments)
        own = age / (age + _NEW)
        with np.errstate(divide="ignore", invalid="ignore"):
            blended = own * np.log(scale) + (1.0 - own) * self.middle[:, rows]
        blended = np.where(np.isfinite(scale), blended, self.middle[:, rows])
        passed = (moments - moments.astype("datetime64[D]")) / np.timedelta64(1, "D")
        today = (moments.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
        fits = self.fit_of_day[rows]
        factor = (1.0 - passed) * self.weekdays[fits, :, today].T + passed * self.weekdays[
            fits, :, (today + 1) % 7
        ].T
        return np.exp(blended) * factor

    def distance(
        self, moments: NDArray[np.datetime64], scaled: Array, probability: float, *, floor: bool = True
    ) -> Array:
        """Adverse log moves that are exceeded with a probability (n_horizons, 2, n).

        Infinite where the law refuses a promise, see `refusal`; NaN where the pool had too few starts.

        Parameters
        ----------
        scaled : (n_horizons, n)
            See `scaled`.
        floor : bool
            Whether promises that history cannot know get the stated floor or are refused.
        """
        check_budget(probability)
        rows = self.rows_of(moments)
        found = self.multiple_of(rows, probability) * scaled[:, None, :]
        if floor:
            for h, horizon in enumerate(self.horizons):
                if is_rare(horizon, probability):
                    worst = self.worst[self.fit_of_day[rows], h, 0] * scaled[h]
                    found[h, 0] = np.maximum(found[h, 0], worst)
                    found[h, 1] = np.where(np.isfinite(found[h, 1]), np.inf, np.nan)
        # A longer holding period meets every price that a shorter one meets.
        return np.maximum.accumulate(found, axis=0)

    def probability(self, moments: NDArray[np.datetime64], scaled: Array, distance: Array) -> Array:
        """Probabilities that adverse moves reach log distances (n_horizons, 2, n); the inverse of `distance`.

        Parameters
        ----------
        distance : broadcast to (n_horizons, 2, n)
        """
        rows = self.rows_of(moments)
        with np.errstate(divide="ignore", invalid="ignore"):
            multiple = np.broadcast_to(distance, (len(self.horizons), 2, rows.size)) / scaled[:, None, :]
        found = np.stack(
            [
                [self._probability_of(rows, h, s, multiple[h, s]) for s in range(2)]
                for h in range(len(multiple))
            ]
        )
        return np.maximum.accumulate(found, axis=0)

    def multiple_of(self, rows: NDArray[np.int64], probability: float) -> Array:
        """Multiples of a calibrated budget (n_horizons, 2, n)."""
        level = np.log(probability) + self._shift_at(rows, np.log(probability))
        table = self.multiples[self.fit_of_day[rows]]
        return np.moveaxis(multiples_at(table, level[..., None])[..., 0], 0, -1)

    def _shift_at(self, rows: NDArray[np.int64], log_budget: float) -> Array:
        """Shift of any budget, linear in its log between the calibrated ones (n, n_horizons, 2)."""
        at = np.interp(log_budget, np.log(CALIBRATED), np.arange(len(CALIBRATED)))
        k = min(int(at), len(CALIBRATED) - 2)
        return self.shift[rows, :, :, k] * (1.0 - (at - k)) + self.shift[rows, :, :, k + 1] * (at - k)

    def _probability_of(self, rows: NDArray[np.int64], h: int, s: int, multiple: Array) -> Array:
        """Budget whose multiple this is, row by row (n,)."""
        table = self.multiples[self.fit_of_day[rows], h, s]  # descending
        k = np.clip((table > multiple[:, None]).sum(axis=1) - 1, 0, len(LEVELS) - 2)
        high, low = (np.take_along_axis(table, (k + step)[:, None], axis=1)[:, 0] for step in (0, 1))
        share = np.clip((high - multiple) / np.maximum(high - low, 1e-12), 0.0, 1.0)
        level = self._log_levels[k] + share * (self._log_levels[k + 1] - self._log_levels[k])
        log_p = _uncalibrated(level, self.shift[rows, h, s])
        found = np.where(multiple <= 0.0, 1.0, np.exp(np.minimum(log_p, 0.0)))
        return np.where(np.isfinite(multiple) & np.isfinite(table[:, 0]), found, np.nan)

    def refusal(self, horizon: str, side: int, probability: float) -> str | None:
        """Why a promise is refused; None where it is not."""
        if side > 0 or not is_rare(horizon, probability):
            return None
        h = self.horizons.index(horizon)
        events = self.events[-1, h, SIDES.index(side)]
        return (
            f"a short over {horizon} at {probability:.3g} may meet a rise of the whole market once in "
            f"{_years_of_one(horizon, probability):.0f} years, and a rise has no largest size; the pool has "
            f"{events:.0f} independent events beyond its 1 % distance. No leverage can be promised; give a larger "
            "probability or a shorter horizon."
        )


def multiples_at(table: Array, level: Array) -> Array:
    """Multiples at log levels (..., n), linear in the log level; ``table`` is (..., n_levels)."""
    levels = np.log(LEVELS)
    k = np.clip(np.searchsorted(levels, level) - 1, 0, len(LEVELS) - 2)
    low, high = (np.take_along_axis(table, k + step, axis=-1) for step in (0, 1))
    return low + np.clip((level - levels[k]) / (levels[k + 1] - levels[k]), 0.0, 1.0) * (high - low)


def _uncalibrated(level: Array, shift: Array) -> Array:
    """Log budgets (n,) that shifts (n, n_calibrated) move to these log levels (n,)."""
    nodes = np.log(CALIBRATED) + shift
    k = np.clip((level[:, None] >= nodes).sum(axis=1) - 1, 0, len(CALIBRATED) - 2)
    low, high = (np.take_along_axis(nodes, (k + step)[:, None], axis=1)[:, 0] for step in (0, 1))
    share = np.clip((level - low) / (high - low), 0.0, 1.0)
    shifts = [np.take_along_axis(shift, (k + step)[:, None], axis=1)[:, 0] for step in (0, 1)]
    return level - (1.0 - share) * shifts[0] - share * shifts[1]


def check_budget(probability: float) -> None:
    """Refuse a probability that the law does not state."""
    if not isinstance(probability, Real) or isinstance(probability, bool):
        raise TypeError(f"the probability is {shown(probability)}; give a fraction, such as 0.05 for 5 %.")
    if not LEAST <= probability <= MOST:
        raise ValueError(
            f"the probability is {probability}; the law of excursions states those from {LEAST:g} to {MOST:g}."
        )


def is_rare(horizon: str, probability: float) -> bool:
    """Whether a budget allows market-wide crashes so seldom that a few years of history cannot know its distance."""
    return probability * 365.0 / days_of(horizon) < _RAREST


def _years_of_one(horizon: str, probability: float) -> float:
    return days_of(horizon) / (365.0 * probability)


def check_promise(horizon: str, side: int, probability: float) -> None:
    """Refuse what no law can promise, before any data are read."""
    check_budget(probability)
    days_of(horizon)
    if side < 0 and is_rare(horizon, probability):
        raise ValueError(
            f"a short over {horizon} at {probability:g} cannot be promised: its budget allows one rise of the whole "
            f"market in {_years_of_one(horizon, probability):.0f} years, more than the history there is. Give a "
            "larger probability or a shorter horizon."
        )


def excursion_column(horizon: str, probability: float, side: int) -> str:
    """Name of the column with the distance of a budget: ``excursion_down_7d_5`` is 5 % within 7 days, for a long."""
    way = "down" if side > 0 else "up"
    return f"excursion_{way}_{days_of(horizon):g}d_{100.0 * probability:g}".replace(".", "_")


def read_column(name: str) -> tuple[str, float, int] | None:
    """Horizon, probability and side of a column's name; None for any other name."""
    parts = name.split("_", 3)
    if len(parts) != 4 or parts[0] != "excursion" or parts[1] not in ("down", "up"):
        return None
    try:
        probability = float(parts[3].replace("_", ".")) / 100.0
        days_of(parts[2])
    except ValueError:
        return None
    return parts[2], probability, 1 if parts[1] == "down" else -1


def columns_of(horizon: str, probability: float, sides: Sequence[int] = SIDES) -> tuple[str, ...]:
    """Names of the columns of a budget, one a side."""
    return tuple(excursion_column(horizon, probability, side) for side in sides)
