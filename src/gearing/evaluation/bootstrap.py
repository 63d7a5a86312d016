"""Resampling of dependent series in blocks (stationary bootstrap; Politis and Romano, 1994).

Blocks start anywhere and have geometric lengths, so a resampled series is stationary. One set of indices
serves all series that share a calendar: pairing and dependence between them survive.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_CHUNK = 2_000_000  # indices held at a time


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
        raise ValueError(f"mean block {mean_block} must lie between 1 and the length of the series, {n}.")
    restarts = rng.random((replications, n)) < 1.0 / mean_block
    restarts[:, 0] = True
    starts = rng.integers(n, size=(replications, n))
    when = np.where(restarts, np.arange(n), 0)
    latest = np.maximum.accumulate(when, axis=1)  # when the current block began
    return (np.take_along_axis(starts, latest, axis=1) + np.arange(n) - latest) % n


def resamples(n: int, mean_block: float, replications: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """The same indices in pieces that fit into memory, shape (some, n) each."""
    rng = np.random.default_rng(seed)
    size = max(1, _CHUNK // n)
    for done in range(0, replications, size):
        yield stationary_indices(n, mean_block, min(size, replications - done), rng)
