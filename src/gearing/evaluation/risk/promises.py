"""Was a promise met? How often an event came, with an interval, and how many independent events stand behind it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gearing.evaluation.statistics.bootstrap import block_mean

Array = NDArray[np.float64]
_LEAST_BLOCK = 20.0  # days
_FEW = 10  # independent events below which resampled blocks tell too little


@dataclass(frozen=True)
class Realised:
    """How often an event followed a daily start.

    Attributes
    ----------
    frequency, low, high : float
        Share of the starts, and its 95 % interval.
    n : int
        Starts.
    independent : int
        Independent events: days with an event that lie more than a horizon apart.
    """

    frequency: float
    low: float
    high: float
    n: int
    independent: int

    def __str__(self) -> str:
        return (
            f"{self.frequency:.1%} [{self.low:.1%}, {self.high:.1%}] of {self.n} starts, "
            f"{self.independent} independent events"
        )


def realised(hits: Array, horizon_days: float, *, seed: int = 0, replications: int = 500) -> Realised:
    """Share of starts with an event.

    Parameters
    ----------
    hits : (n_days,) or (n_contracts, n_days)
        1 where the event followed, 0 where it did not, NaN where there was no start. Contracts of a day are resampled
        together.
    horizon_days : float

    Notes
    -----
    The interval resamples blocks of days (stationary bootstrap) of at least two horizons. With fewer than ten
    independent events it is that of a Poisson count of them instead (Garwood, 1936), each with the mean number of hits:
    resampled blocks would give no width to a frequency of zero.
    """
    table = np.atleast_2d(hits)
    known = np.isfinite(table)
    count, weight = np.where(known, table, 0.0).sum(axis=0), known.sum(axis=0).astype(np.float64)
    count, weight = count[weight > 0.0], weight[weight > 0.0]
    n, independent = int(weight.sum()), independent_events(count > 0.0, horizon_days)
    if n < 2:
        return Realised(np.nan, np.nan, np.nan, n, independent)
    if independent < _FEW:
        low, high = _poisson(independent, float(count.sum()), horizon_days, float(weight.max()), n)
        return Realised(float(count.sum() / n), low, high, n, independent)
    found = block_mean(count, block_of(horizon_days), weights=weight, seed=seed, replications=replications)
    return Realised(*found, n, independent)


def block_of(horizon_days: float) -> float:
    """Mean length of the resampled blocks of a horizon, in days."""
    return max(_LEAST_BLOCK, 2.0 * horizon_days)


def independent_events(hit: NDArray[np.bool_], horizon_days: float) -> int:
    """Number of days with an event, each more than a horizon after the one counted before."""
    events: int = 0
    last: float = -np.inf
    for day in np.flatnonzero(hit):
        if day - last > horizon_days:
            events, last = events + 1, float(day)
    return events


def _poisson(events: int, hits: float, horizon_days: float, per_day: float, n: int) -> tuple[float, float]:
    """Exact 95 % interval of a Poisson count of events, as a share of starts."""
    from scipy.stats import chi2

    size = hits / events if events else max(horizon_days * per_day / 2.0, 1.0)  # hits of an event
    low = 0.5 * chi2.ppf(0.025, 2 * events) if events else 0.0
    high = 0.5 * chi2.ppf(0.975, 2 * events + 2)
    return float(low * size / n), float(min(high * size / n, 1.0))


def pinball(excursion: Array, distance: Array, probability: float) -> Array:
    """Loss of a distance as the quantile that is exceeded with a probability; least for the true one."""
    beyond = excursion - distance
    return np.where(beyond > 0.0, (1.0 - probability) * beyond, -probability * beyond)


def broken_and_timid(frequencies: Sequence[Realised], promised: Sequence[float]) -> tuple[int, int]:
    """Promises whose whole interval lies above the promise, and below it."""
    pairs = list(zip(frequencies, promised, strict=True))
    return sum(one.low > p for one, p in pairs), sum(one.high < p for one, p in pairs)
