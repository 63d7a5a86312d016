"""Aggregating scores over training seeds and tasks.

After Agarwal et al., 2021, "Deep reinforcement learning at the edge of the statistical precipice".

A score table has shape (n_seeds, n_tasks): one number per trained agent and task (a fold, a contract, a
market). Intervals resample seeds within each task, so they describe training variance on these tasks, not
other tasks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


def interquartile_mean(scores: ArrayLike) -> float:
    """Mean of the middle half of all scores: less noisy than the median, robust to outliers.

    A quarter of the scores, rounded down, is left out at each end; of fewer than four none, which is the plain mean.
    """
    flat = np.sort(np.asarray(scores, dtype=float), axis=None)
    cut = flat.size // 4
    return float(flat[cut : flat.size - cut].mean())


def mean_name(count: int) -> str:
    """Name of `interquartile_mean` of so many scores: "IQM", or "mean" of fewer than four, all of which count."""
    return "IQM" if count // 4 else "mean"


def aggregate(
    scores: ArrayLike,
    *,
    seed: int,
    statistic: Callable[[Floats], float] = interquartile_mean,
    replications: int = 2000,
    level: float = 0.95,
) -> Interval:
    """A statistic of all scores with a stratified bootstrap interval.

    Parameters
    ----------
    scores : array, shape (n_seeds, n_tasks)
    statistic : callable
        From a score table to a number; default the interquartile mean.
    """
    found = _bootstrap(statistic, [_checked(scores, "scores")], seed, replications, level)
    return Interval(*map(float, found))


def probability_of_improvement(
    scores: ArrayLike, baseline: ArrayLike, *, seed: int, replications: int = 2000, level: float = 0.95
) -> Interval:
    """Probability that a random run beats a random run of the baseline on the same task, averaged over tasks.

    Ties count half (the Mann-Whitney statistic). The tables share their tasks; numbers of seeds may differ.
    """
    scores, baseline = _checked(scores, "scores"), _checked(baseline, "baseline")
    if scores.shape[1] != baseline.shape[1]:
        raise ValueError(f"scores are of {scores.shape[1]} tasks, the baseline's of {baseline.shape[1]}.")
    return Interval(*map(float, _bootstrap(_wins, [scores, baseline], seed, replications, level)))


@dataclass(frozen=True)
class Profile:
    """Share of runs that score above each threshold, with pointwise intervals; shapes (n_thresholds,)."""

    thresholds: Floats
    share: Floats
    low: Floats
    high: Floats


def performance_profile(
    scores: ArrayLike, thresholds: ArrayLike, *, seed: int, replications: int = 2000, level: float = 0.95
) -> Profile:
    """Share of all runs above each threshold: the whole distribution."""
    levels = np.asarray(thresholds, dtype=float)

    def share_above(table: Floats) -> Floats:
        return np.mean(table.reshape(-1, 1) > levels, axis=0)

    return Profile(levels, *_bootstrap(share_above, [_checked(scores, "scores")], seed, replications, level))


def _bootstrap(
    statistic: Callable[..., Any], tables: list[Floats], seed: int, replications: int, level: float
) -> tuple[Any, Any, Any]:
    """A statistic with the bounds of its interval; seeds are resampled within each task of each table."""
    rng = np.random.default_rng(seed)

    def redrawn(scores: Floats) -> Floats:
        return np.take_along_axis(scores, rng.integers(len(scores), size=scores.shape), axis=0)

    draws = [statistic(*map(redrawn, tables)) for _ in range(replications)]
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return statistic(*tables), low, high


def _wins(scores: Floats, baseline: Floats) -> float:
    gap = scores[:, None, :] - baseline[None, :, :]
    return float(np.mean((gap > 0) + 0.5 * (gap == 0)))


def _checked(scores: ArrayLike, name: str) -> Floats:
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 2 or scores.size == 0:
        raise ValueError(f"{name} has shape {scores.shape}; it is a table of (seeds, tasks).")
    if not np.all(np.isfinite(scores)):
        raise ValueError(f"{name} holds a value that is not finite; give a ruined run the score of its ruin.")
    return scores
