"""Many tests at once: how likely is any of them to look this sure by luck alone?

Step-down max statistics (Westfall and Young, 1993; Romano and Wolf, 2005): each observed statistic is compared with the
largest of all that are left, drawn together, so that what the tests share counts once. Unlike Bonferroni's and Holm's
bounds, a hundred cells of one history are not taken for a hundred histories.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gearing.evaluation.statistics.bootstrap import resamples

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
LEVEL = 0.05


def step_down(observed: ArrayLike, null: ArrayLike) -> Floats:
    """P-values that hold for all tests together.

    Parameters
    ----------
    observed : (n_tests,)
        Statistics, larger is surer, of one scale.
    null : (n_draws, n_tests)
        The same where nothing is true, drawn jointly.

    Returns
    -------
    (n_tests,) float64
        The chance of calling any true null hypothesis false, when those at or below ``p`` are, is at most ``p``.
    """
    observed, null = np.asarray(observed, float), np.asarray(null, float)
    if null.ndim != 2 or null.shape[1:] != observed.shape:
        raise ValueError(
            f"observed has shape {observed.shape}, null {null.shape}; they are (tests,) and (draws, tests)."
        )
    order = np.argsort(-observed, kind="stable")
    # Column k: the largest among the tests from the k-th surest on.
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
        A test per row: what each day adds to its mean; NaN where it has no such day.
    mean_block : float
        Of the stationary bootstrap [days]; whole days are drawn for all tests at once.

    Returns
    -------
    DataFrame
        Per test ``estimate`` (mean a day), ``p`` alone and ``p_family``; 1 where nothing ever differs.
    """
    import pandas as pd

    values = days.to_numpy(float)
    known = np.isfinite(values)
    values, n = np.where(known, values, 0.0), values.shape[1]
    estimate = values.sum(axis=1) / known.sum(axis=1)
    draws = []
    for rows in resamples(n, min(mean_block, n / 2), replications, seed):
        counts = np.stack([np.bincount(row, minlength=n) for row in rows]).astype(float)
        draws.append((counts @ values.T) / np.maximum(counts @ known.T, 1.0))
    drawn = np.concatenate(draws) - estimate
    error = drawn.std(axis=0, ddof=1)
    varies = error > 0.0
    scale = np.where(varies, error, 1.0)
    observed, null = np.abs(estimate) / scale * varies, np.abs(drawn) / scale
    alone = (1.0 + np.count_nonzero(null >= observed, axis=0)) / (1.0 + len(null))
    told = {"estimate": estimate, "p": alone, "p_family": step_down(observed, null)}
    return pd.DataFrame(told, index=days.index)


def family_of_shifts(growth: pd.DataFrame) -> pd.Series:
    """Whether series stand above their own circular shifts, for all of them together.

    Parameters
    ----------
    growth : DataFrame, shape (n_tests, 1 + n_shifts)
        A test per row: what the series itself reached, then what each shift did; shift k is the same one in all rows.

    Returns
    -------
    Series
        ``p_family`` per test, one-sided; 1 where all shifts end alike.
    """
    import pandas as pd

    values = growth.to_numpy(float)
    null = values[:, 1:].T
    spread = null.std(axis=0, ddof=1)
    varies = spread > 0.0
    scale = np.where(varies, spread, 1.0)
    centre = null.mean(axis=0)
    observed = np.where(varies, (values[:, 0] - centre) / scale, -np.inf)
    return pd.Series(step_down(observed, (null - centre) / scale), index=growth.index, name="p_family")
