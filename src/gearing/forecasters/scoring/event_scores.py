"""Scores of probabilities: Brier, logarithmic, reliability, and intervals of differences."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def brier(y: Array, p: Array) -> Array:
    """Squared error of every probability (Brier, 1950)."""
    return (p - y) ** 2


def log_score(y: Array, p: Array, floor: float = 1e-6) -> Array:
    """Minus log probability of the outcome, probabilities clipped to [``floor``, 1 - ``floor``]."""
    p = np.clip(p, floor, 1.0 - floor)
    return -(y * np.log(p) + (1.0 - y) * np.log1p(-p))


@dataclass(frozen=True, eq=False)
class Reliability:
    """Deciles of the forecast probability.

    Attributes
    ----------
    forecast, observed : (n_bins,)
        Mean probability and frequency of touches.
    count : (n_bins,)
    """

    forecast: Array
    observed: Array
    count: NDArray[np.int64]

    @property
    def worst(self) -> float:
        """Largest distance of frequency from probability."""
        return float(np.max(np.abs(self.forecast - self.observed)))


def reliability(y: Array, p: Array, bins: int = 10) -> Reliability:
    """Sort rows by probability into bins of equal count and compare each bin's mean with the observed frequency."""
    parts = [part for part in np.array_split(np.argsort(p, kind="stable"), bins) if len(part)]
    means = np.array([(p[part].mean(), y[part].mean(), len(part)) for part in parts])
    return Reliability(means[:, 0], means[:, 1], means[:, 2].astype(np.int64))


def worst_by_chance(
    p: Array, overlap: int = 1, bins: int = 10, level: float = 0.95, replications: int = 400, seed: int = 0
) -> float:
    """``level`` quantile of the worst bin of a perfectly calibrated forecaster on samples of this length.

    Touches are drawn from the probabilities, on every ``overlap``-th row only, because overlapping targets are not
    independent.
    """
    rng = np.random.default_rng(seed)
    apart = p[::overlap]
    worst = [
        reliability((rng.random(len(apart)) < apart).astype(float), apart, bins).worst
        for _ in range(replications)
    ]
    return float(np.quantile(worst, level))


def difference_interval(
    loss: Array, other: Array, block: int, level: float = 0.95, replications: int = 1_000, seed: int = 0
) -> tuple[float, float]:
    """Interval of the mean loss difference by the stationary bootstrap (Politis and Romano, 1994).

    Parameters
    ----------
    loss, other : (n_rows,)
        In order of time.
    block : int
        Mean length of blocks, in rows; overlapping targets need several horizons.
    """
    rng = np.random.default_rng(seed)
    difference, n = loss - other, len(loss)
    means = [difference[_stationary_index(rng, n, block)].mean() for _ in range(replications)]
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)


def _stationary_index(rng: np.random.Generator, n: int, block: int) -> NDArray[np.int64]:
    """Rows of one resample: runs of geometric length that wrap around the end."""
    fresh = rng.random(n) < 1.0 / block
    fresh[0] = True
    begins = rng.integers(0, n, n)
    start = np.maximum.accumulate(np.where(fresh, np.arange(n), 0))
    return (begins[start] + np.arange(n) - start) % n
