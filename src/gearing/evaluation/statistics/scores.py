"""Aggregating scores over training seeds and tasks.

After Agarwal et al., 2021, "Deep reinforcement learning at the edge of the statistical precipice".

A score table has shape (n_seeds, n_tasks): one number per trained agent and task (a fold, a contract, a
market). Intervals resample seeds within each task, so they describe training variance on these tasks, not
other tasks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gearing.evaluation.statistics.stratified import Interval, Runs, interval_of, shares_above, win_shares

Floats = NDArray[np.float64]


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

    def of_each(tables: Floats) -> Floats:
        one_by_one = [statistic(table) for table in tables.reshape(-1, *tables.shape[-2:])]
        return np.array(one_by_one).reshape(tables.shape[:-2])

    found = interval_of(of_each, _checked(scores, "scores"), **_as_given(seed, replications, level))
    return Interval(*map(float, found))


def probability_of_improvement(
    scores: ArrayLike, baseline: ArrayLike, *, seed: int, replications: int = 2000, level: float = 0.95
) -> Interval:
    """Probability that a random run beats a random run of the baseline on the same task, averaged over tasks.

    Ties count half (the Mann-Whitney statistic). The tables share their tasks; numbers of seeds may differ.
    """
    ours, theirs = _checked(scores, "scores"), _checked(baseline, "baseline")
    if ours.scores.shape[1] != theirs.scores.shape[1]:
        raise ValueError(
            f"scores are of {ours.scores.shape[1]} tasks, the baseline's of {theirs.scores.shape[1]}."
        )
    estimate, draws = win_shares([ours, theirs], seed=seed, replications=replications)
    low, high = np.quantile(draws[:, 0, 1], [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(estimate[0, 1]), float(low), float(high))


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
    share_above = partial(shares_above, thresholds=levels)
    runs = _checked(scores, "scores")
    return Profile(levels, *interval_of(share_above, runs, **_as_given(seed, replications, level)))


def _as_given(seed: int, replications: int, level: float) -> dict[str, Any]:
    return {"seed": seed, "replications": replications, "level": level}


def _checked(scores: ArrayLike, name: str) -> Runs:
    """A whole table: every task has every seed."""
    if np.isnan(np.asarray(scores, dtype=float)).any():
        raise ValueError(f"{name} holds a value that is not finite; give a ruined run the score of its ruin.")
    return Runs.of(scores, name=name)
