"""Corrections for many tests: step-down p-values.

Step-down max statistics (Westfall and Young, 1993; Romano and Wolf, 2005): each observed statistic is compared with the
largest of the remaining ones, drawn jointly, which accounts for dependence between tests. Bonferroni's and Holm's
bounds treat a hundred cells of one history like a hundred histories.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gearing.evaluation.statistics.bootstrap import resamples

Floats = NDArray[np.float64]
LEVEL = 0.05


def step_down(observed: ArrayLike, null: ArrayLike) -> Floats:
    """P-values corrected for all tests together.

    Parameters
    ----------
    observed : (n_tests,)
        Statistics on one scale; larger is more significant.
    null : (n_draws, n_tests)
        Statistics under the null hypothesis, drawn jointly.

    Returns
    -------
    (n_tests,) float64
        Rejecting those at or below ``p`` rejects any true null hypothesis with probability at most ``p``.
    """
    observed, null = np.asarray(observed, float), np.asarray(null, float)
    if null.ndim != 2 or null.shape[1:] != observed.shape:
        raise ValueError(
            f"observed has shape {observed.shape}, null {null.shape}; they are (tests,) and (draws, tests)."
        )
    order = np.argsort(-observed, kind="stable")
    # Column k: the largest among the tests from the k-th most significant on.
    largest = np.maximum.accumulate(null[:, order[::-1]], axis=1)[:, ::-1]
    exceeding = np.count_nonzero(largest >= observed[order], axis=0)
    p = np.empty(observed.size)
    p[order] = np.maximum.accumulate((1.0 + exceeding) / (1.0 + len(null)))
    return p


def family_of_means(
    days: pd.DataFrame, *, seed: int = 0, mean_block: float = 20.0, replications: int = 2000
) -> pd.DataFrame:
    """Whether means are zero, two-sided: one by one, and for all of them together.

    Parameters
    ----------
    days : DataFrame, shape (n_tests, n_days)
        A test per row: contribution of each day to its mean; NaN for missing days.
    mean_block : float
        Mean block of the stationary bootstrap [days]; whole days are drawn for all tests at once.

    Returns
    -------
    DataFrame
        Per test ``estimate`` (mean a day), ``p`` alone and ``p_family``; 1 if nothing differs.
    """
    values = days.to_numpy(float)
    known = np.isfinite(values)
    values, n = np.where(known, values, 0.0), values.shape[1]
    estimate = values.sum(axis=1) / known.sum(axis=1)
    draws = []
    for rows in resamples(n, min(mean_block, n / 2), replications, seed):
        counts = np.stack([np.bincount(row, minlength=n) for row in rows]).astype(float)
        draws.append((counts @ values.T) / np.maximum(counts @ known.T, 1.0))
    drawn = np.concatenate(draws) - estimate
    scale, varies = _scale(drawn)
    observed, null = np.abs(estimate) / scale * varies, np.abs(drawn) / scale
    alone = (1.0 + np.count_nonzero(null >= observed, axis=0)) / (1.0 + len(null))
    table = {"estimate": estimate, "p": alone, "p_family": step_down(observed, null)}
    return pd.DataFrame(table, index=days.index)


def family_of_shifts(growth: pd.DataFrame) -> pd.Series:
    """Whether series exceed their circular shifts, for all of them together.

    Parameters
    ----------
    growth : DataFrame, shape (n_tests, 1 + n_shifts)
        A test per row: the value of the series, then of each shift; shift k is the same in all rows.

    Returns
    -------
    Series
        ``p_family`` per test, one-sided; 1 if all shifts are equal.
    """
    values = growth.to_numpy(float)
    null = values[:, 1:].T
    (scale, varies), centre = _scale(null), null.mean(axis=0)
    observed = np.where(varies, (values[:, 0] - centre) / scale, -np.inf)
    return pd.Series(step_down(observed, (null - centre) / scale), index=growth.index, name="p_family")


def _scale(draws: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Standard deviation of each test's draws, 1 where they are all equal; and whether they vary."""
    error = draws.std(axis=0, ddof=1)
    return np.where(error > 0.0, error, 1.0), error > 0.0
