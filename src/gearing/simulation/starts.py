"""Where an episode begins: a counter-based draw, so that it depends on nothing but account seed and episode number."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gearing.market.timing import stamp

_PATH, _START = 0, 1  # streams of the draws
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64 finaliser (Steele, Lea and Flood, 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def account_keys(seeds: np.ndarray) -> np.ndarray:
    """What ``uniform`` makes of account seeds; it stays the same for all episodes. Seeds count modulo 2**64."""
    return _mix(seeds.astype(np.uint64) * _GOLDEN + _GOLDEN)


def uniform(keys: np.ndarray, episodes: np.ndarray, stream: int) -> np.ndarray:
    """Uniform numbers in [0, 1) of (account, episode, stream), shape of ``keys``.

    The same triple gives the same number whatever the number of accounts or the order of the draws.
    """
    key = _mix(keys + np.asarray(episodes, np.int64).astype(np.uint64) * _GOLDEN)
    key = _mix(key + np.uint64(stream * int(_GOLDEN) % 2**64))
    return (key >> np.uint64(11)).astype(np.float64) * 2.0**-53


def chosen_rows(
    starts: Any, count: Any, path: Any, n_accounts: int, boundaries: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Path, first and last row of episodes that begin at given decisions; see ``Simulator.begin``.

    Raises
    ------
    ValueError
        If there is no such path or decision, or an episode has no decision.
    """
    starts = np.asarray(starts)
    paths, counts = (np.broadcast_to(np.asarray(values), (n_accounts,)) for values in (path, count))
    if any(values.dtype.kind not in "iu" for values in (starts, paths, counts)):
        raise ValueError("starts, count and path are numbers of decisions and paths; they must be integers.")
    if paths.min() < 0 or paths.max() >= len(boundaries):
        raise ValueError(f"path is {path}; there are the paths 0 to {len(boundaries) - 1}.")
    last = np.array([edges.size - 1 for edges in boundaries])[paths]
    if starts.shape != (n_accounts,) or starts.min() < 0 or (starts >= last).any():
        raise ValueError(
            f"starts have shape {starts.shape}; they must be {n_accounts} decisions, from 0 to {last.min() - 1}."
        )
    if counts.min() < 1:
        raise ValueError(f"count is {count}; an episode has 1 decision or more.")
    ends = starts + np.minimum(counts, last - starts)
    first, end = (
        np.array([boundaries[p][k] for p, k in zip(paths, at, strict=True)]) for at in (starts, ends)
    )
    return paths, first, end


def draw_episodes(
    keys: np.ndarray,
    episodes: np.ndarray,
    boundaries: Sequence[np.ndarray],
    row_time: np.ndarray,
    start: str,
    length: int | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Path, first and last row of an episode of each account.

    Parameters
    ----------
    keys, episodes : (n,)
        Of the accounts, and how many episodes each had before.
    boundaries : sequence of (n_decisions + 1,) int64
        Rows at which each path decides, and its end.
    row_time : (n_rows,) datetime64[ms]
    start : str
        "random", "first", or a UTC time.
    length : int or None
        Decisions of an episode; None runs to the end of the path.

    Raises
    ------
    ValueError
        If an episode does not fit into its path, or ``start`` is no time in it.
    """
    path = np.zeros(keys.size, np.int64)
    if len(boundaries) > 1:
        path = (uniform(keys, episodes, _PATH) * len(boundaries)).astype(np.int64)
    share = uniform(keys, episodes, _START) if start == "random" else None
    first, last = np.empty_like(path), np.empty_like(path)
    for p, edges in enumerate(boundaries):
        here = path == p
        if length is not None and length > edges.size - 1:
            raise ValueError(f"path {p} has {edges.size - 1} decisions, an episode needs {length}.")
        eligible = edges.size - (length or 1)
        if share is not None:
            begin = (share[here] * eligible).astype(np.int64)
        else:
            begin = np.full(here.sum(), _fixed_start(start, row_time[edges[:-1]], length))
        end = edges.size - 1 if length is None else begin + length
        first[here], last[here] = edges[begin], edges[end]
    return path, first, last


def _fixed_start(start: str, times: np.ndarray, length: int | None) -> int:
    """Number of the decision at which every episode begins, of those at ``times``."""
    if start == "first":
        return 0
    k = int(np.searchsorted(times, stamp(start, "start")))
    if k >= times.size or (length and k + length > times.size):
        raise ValueError(
            f"start {start} leaves no whole episode; decisions run from {times[0]} to {times[-1]}."
        )
    return k
