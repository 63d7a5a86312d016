"""Resampling of dependent series in blocks (stationary bootstrap; Politis and Romano, 1994).

Blocks start anywhere and have geometric lengths, so a resampled series is stationary. The same
indices are used for all series of a calendar, which preserves pairing and dependence.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_CHUNK = 2_000_000  # indices held at a time
_CACHED = 3 * _CHUNK  # most indices that are cached


def stationary_indices(
    n: int, mean_block: float, replications: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Indices of ``replications`` resamples of a series of length ``n``, shape (replications, n).

    Parameters
    ----------
    mean_block : float
        Mean length of a block [observations], at least 1; 1 resamples single observations.
    """
    if not 1.0 <= mean_block <= n:
        raise ValueError(f"mean block {mean_block} must be between 1 and the length of the series, {n}.")
    restarts = rng.random((replications, n)) < 1.0 / mean_block
    restarts[:, 0] = True
    starts = rng.integers(n, size=(replications, n))
    when = np.where(restarts, np.arange(n), 0)
    latest = np.maximum.accumulate(when, axis=1)  # when the current block began
    return (np.take_along_axis(starts, latest, axis=1) + np.arange(n) - latest) % n


def resamples(n: int, mean_block: float, replications: int, seed: int) -> Iterable[NDArray[np.int64]]:
    """The same indices in chunks, shape (some, n) each; read-only. Blocks are at most as long as the series."""
    if n < 2:
        raise ValueError(f"a series of {n} values cannot be resampled; give at least 2, as of a longer span.")
    mean_block = min(mean_block, float(n))
    if n * replications > _CACHED:
        return _drawn(n, mean_block, replications, seed)
    return _again(n, mean_block, replications, seed)


@lru_cache(maxsize=2)
def _again(n: int, mean_block: float, replications: int, seed: int) -> tuple[NDArray[np.int64], ...]:
    """Cached indices: many comparisons on the same days use the same ones, and drawing them takes most of the time."""
    pieces = tuple(_drawn(n, mean_block, replications, seed))
    for piece in pieces:
        piece.setflags(write=False)
    return pieces


def _drawn(n: int, mean_block: float, replications: int, seed: int) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    size = max(1, _CHUNK // n)
    for done in range(0, replications, size):
        yield stationary_indices(n, mean_block, min(size, replications - done), rng)


def block_mean(
    values: NDArray[np.float64],
    mean_block: float,
    *,
    weights: NDArray[np.float64] | None = None,
    seed: int = 0,
    replications: int = 500,
) -> tuple[float, float, float]:
    """Mean of a dependent series and the bounds of its 95 % percentile interval; one value has no interval.

    Parameters
    ----------
    values : (n,)
    mean_block : float
        Mean block [observations]; at most half the series, so that short series still vary.
    weights : (n,), optional
        The mean is sum(values) / sum(weights) then: a weighted share. NaN without weight, and without values.
    """
    n = values.size
    if not n:
        return np.nan, np.nan, np.nan
    total = np.ones(n) if weights is None else weights
    if n == 1:
        return float(values[0] / total[0]) if total[0] else np.nan, np.nan, np.nan
    block = max(1.0, min(mean_block, n / 2))
    draws = []
    with np.errstate(divide="ignore", invalid="ignore"):
        for rows in resamples(n, block, replications, seed):
            draws.append(values[rows].sum(axis=1) / total[rows].sum(axis=1))
        estimate = float(np.divide(values.sum(), total.sum()))
    drawn = np.concatenate(draws)
    drawn = drawn[np.isfinite(drawn)]  # a resample without any weight has no mean
    if not drawn.size:
        return estimate, np.nan, np.nan
    low, high = np.quantile(drawn, [0.025, 0.975])
    return estimate, float(low), float(high)
