"""Stratified bootstrap of scores over training seeds (Agarwal et al., 2021).

A policy's scores are a table of trainings (seeds) and tasks. A resample draws trainings with replacement, task by task,
so intervals describe how much the training varies on these tasks; they say nothing about other tasks. Tasks that one
training was tested on, such as the contracts of a group, are drawn together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]  # from tables (..., n_seeds, n_tasks) to numbers (..., *)
_CHUNK = 4_000_000  # scores held at a time


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, eq=False)
class Runs:
    """Scores of one policy.

    Attributes
    ----------
    scores : (n_seeds, n_tasks) float64
        NaN where a task has fewer seeds than the others; known scores come first.
    stratum : (n_tasks,) int64
        Tasks of one number were played by the same trainings; row k of them is one training.
    counts : (n_strata,) int64
        Trainings of each stratum.
    """

    scores: Floats
    stratum: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, scores: ArrayLike, strata: Sequence[Any] | None = None, name: str = "scores") -> Runs:
        """From a table (n_seeds, n_tasks) and a label for each task; without labels each task is its own stratum.

        Raises
        ------
        ValueError
            If the table is empty, a task has no score, a score is infinite, or a training lacks one of its tasks.
        """
        table = np.asarray(scores, dtype=float)
        if table.ndim != 2 or table.size == 0:
            raise ValueError(f"{name} has shape {table.shape}; it is a table of (seeds, tasks).")
        known = ~np.isnan(table)
        if not known.any(axis=0).all() or np.isinf(table).any():
            raise ValueError(
                f"{name} holds a value that is not finite; give a ruined run the score of its ruin."
            )
        labels = list(range(table.shape[1])) if strata is None else list(strata)
        place = {label: k for k, label in enumerate(dict.fromkeys(labels))}
        stratum = np.array([place[label] for label in labels])
        first = np.array([labels.index(label) for label in place])
        if (known != known[:, first][:, stratum]).any():
            raise ValueError(f"{name}: a training was tested on some of its tasks only; leave it out.")
        order = np.argsort(~known, axis=0, kind="stable")
        return cls(np.take_along_axis(table, order, axis=0), stratum, known[:, first].sum(axis=0))

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which entries of ``scores`` are scores (n_seeds, n_tasks)."""
        return ~np.isnan(self.scores)

    @property
    def varies(self) -> bool:
        """Whether there is more than one training to draw from."""
        return bool((self.counts > 1).any())

    def indices(self, replications: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Trainings drawn for each stratum (replications, n_seeds, n_strata); rows beyond a count are not used."""
        size = (replications, len(self.scores), self.counts.size)
        return rng.integers(self.counts, size=size)

    def resampled(self, replications: int, rng: np.random.Generator) -> Iterator[Floats]:
        """Redrawn tables in chunks, (some, n_seeds, n_tasks) each."""
        size = max(1, _CHUNK // self.scores.size)
        for done in range(0, replications, size):
            drawn = self.indices(min(size, replications - done), rng)[:, :, self.stratum]
            redrawn = np.take_along_axis(self.scores[None], drawn, axis=1)
            yield np.where(self.known, redrawn, np.nan)

    def multiplicities(self, replications: int, rng: np.random.Generator) -> Floats:
        """How often each training is drawn, as a share (replications, n_seeds, n_strata)."""
        drawn = self.indices(replications, rng)
        used = np.arange(len(self.scores))[:, None] < self.counts
        shares = [((drawn == k) & used).sum(axis=1) / self.counts for k in range(len(self.scores))]
        return np.stack(shares, axis=1)


def interval_of(
    statistic: Statistic, runs: Runs, *, seed: int, replications: int = 2000, level: float = 0.95
) -> tuple[Any, Any, Any]:
    """A statistic with the bounds of its percentile interval; NaN bounds where there is one training only.

    Parameters
    ----------
    statistic : callable
        Takes tables (..., n_seeds, n_tasks), in which NaN are no scores.
    """
    estimate = statistic(runs.scores)
    if not runs.varies:
        return estimate, estimate * np.nan, estimate * np.nan
    rng = np.random.default_rng(seed)
    draws = np.concatenate([statistic(tables) for tables in runs.resampled(replications, rng)])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return estimate, low, high


def interquartile_means(tables: Floats) -> Floats:
    """Interquartile mean of each table; every run counts the same."""
    flat = np.sort(tables.reshape(*tables.shape[:-2], -1), axis=-1)  # NaN last
    count = int((~np.isnan(flat)).sum(axis=-1).flat[0])
    cut = count // 4
    return flat[..., cut : count - cut].mean(axis=-1)


def means(tables: Floats) -> Floats:
    """Mean over tasks of the mean over seeds."""
    return np.nanmean(tables, axis=-2).mean(axis=-1)


def medians(tables: Floats) -> Floats:
    """Median over tasks of the mean over seeds."""
    return np.median(np.nanmean(tables, axis=-2), axis=-1)


def optimality_gaps(tables: Floats, optimum: float = 1.0) -> Floats:
    """What the mean lacks of the optimum, runs above it counting as the optimum."""
    return optimum - means(np.minimum(tables, optimum))


def shares_above(tables: Floats, thresholds: Floats) -> Floats:
    """Share of runs above each threshold, mean over tasks; shape (..., n_thresholds)."""
    above = np.where(np.isnan(tables)[..., None], np.nan, tables[..., None] > thresholds)
    return np.nanmean(above, axis=-3).mean(axis=-2)


def win_shares(runs: Sequence[Runs], *, seed: int, replications: int = 2000) -> tuple[Floats, Floats]:
    """Probability that a random run of one policy beats one of another on the same task, mean over tasks.

    Ties count half, which makes it the Mann-Whitney statistic over the number of pairs.

    Returns
    -------
    estimate : (n_policies, n_policies)
        Row over column; 0.5 on the diagonal.
    draws : (replications, n_policies, n_policies)
        The same of redrawn trainings.
    """
    rng = np.random.default_rng(seed)
    shares = [one.multiplicities(replications, rng) for one in runs]
    n, n_tasks = len(runs), runs[0].scores.shape[1]
    estimate, draws = np.full((n, n), 0.5), np.full((replications, n, n), 0.5)
    for i in range(n):
        for j in range(i):
            wins = _wins(runs[i].scores, runs[j].scores)
            a, b = runs[i].stratum, runs[j].stratum
            estimate[i, j] = (wins.sum(axis=(1, 2)) / (runs[i].counts[a] * runs[j].counts[b])).mean()
            half = np.einsum("rat,tab->rtb", shares[i][:, :, a], wins, optimize=True)
            draws[:, i, j] = np.einsum("rtb,rbt->r", half, shares[j][:, :, b], optimize=True) / n_tasks
            estimate[j, i], draws[:, j, i] = 1.0 - estimate[i, j], 1.0 - draws[:, i, j]
    return estimate, draws


def _wins(scores: Floats, others: Floats) -> Floats:
    """1 where a run beats another, 0.5 for a tie (n_tasks, n_seeds, n_others); 0 where one of them is no run."""
    gap = scores.T[:, :, None] - others.T[:, None, :]
    return np.where(np.isnan(gap), 0.0, (gap > 0) + 0.5 * (gap == 0))


def rank_shares(runs: Sequence[Runs], *, seed: int, draws: int = 10_000) -> Floats:
    """Probability of each rank, 1 the best, when one random run of each policy is drawn on a task; mean over tasks.

    Policies that tie share their ranks.

    Returns
    -------
    (n_policies, n_policies) float64
        Policy by rank; rows and columns add up to one.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for one in runs:
        picked = rng.integers(one.counts, size=(draws, one.counts.size))[:, one.stratum]
        drawn.append(np.take_along_axis(one.scores, picked, axis=0))
    table = np.stack(drawn, axis=-1)  # (draws, n_tasks, n_policies)
    better = (table[..., None, :] > table[..., :, None]).sum(axis=-1)
    tied = (table[..., None, :] == table[..., :, None]).sum(axis=-1)
    ranks = np.arange(len(runs))[:, None]
    taken = (ranks >= better[..., None, :]) & (ranks < (better + tied)[..., None, :])
    return (taken / tied[..., None, :]).mean(axis=(0, 1)).T
