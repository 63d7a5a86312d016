"""Trailing windows whose values depend on the bars inside them only.

Running totals carry the rounding errors of all history, so a live process that starts from a short history would
disagree with a backtest. Here a window of n bars is summed from blocks of 1, 2, 4, ... bars: log2(n) passes, and
the same additions in the same order wherever the window is. All arrays have bars on axis 0; rows before the first
complete window are NaN.

A live process computes one bar at a time: inside a :class:`~gearing.features.streaming.memory.WindowMemory` the same
functions take arrays of one row and the rows before it from the memory.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gearing.features.streaming.memory import Blocks, Ring, Seen, SpacedRing, current

Array = NDArray[np.float64]
Moments = tuple[float, float]  # mean, squared deviations


def lag(x: Array, n: int) -> Array:
    """Value ``n`` bars ago."""
    if n == 0:
        return x
    memory = current()
    if memory is not None:
        if memory.is_stepping:
            return memory.take().exchange(x)
        memory.keep(Ring(x, n))
    return _lagged(x, n)


def _lagged(x: Array, n: int) -> Array:
    out = np.full_like(x, np.nan)
    out[n:] = x[: max(len(x) - n, 0)]
    return out


def change(x: Array, n: int = 1) -> Array:
    """Difference to the value ``n`` bars ago."""
    return x - lag(x, n)


class _Combination(NamedTuple):
    """How two blocks of bars become one.

    Attributes
    ----------
    arrays : callable
        ``arrays(recent, older, bars in the recent part, bars in the older part)``.
    numbers : callable
        The same of plain numbers, or of tuples of them, with the same bits.
    parts : int
        Numbers of a block; several are the last axis of the arrays.
    """

    arrays: Callable[[Array, Array, int, int], Array]
    numbers: Callable[[Any, Any, int, int], Any]
    parts: int = 1


def _fold(x: Array, n: int, combine: _Combination) -> Array:
    """Combine the last ``n`` values."""
    if n < 1:
        raise ValueError(f"a window holds at least one bar, not {n}.")
    memory = current()
    if memory is None:
        return _folded(x, n, combine, ())
    if memory.is_stepping:
        lanes: list[Blocks] = memory.take()
        found = [lane.step(block) for lane, block in zip(lanes, _lanes(x, combine.parts), strict=True)]
        return np.array(found, np.float64).reshape(x.shape)
    begun = [Blocks(n, combine.numbers) for _ in range(x[0].size // combine.parts)]
    memory.keep(begun)
    return _folded(x, n, combine, begun)


def _folded(x: Array, n: int, combine: _Combination, begun: Sequence[Blocks]) -> Array:
    block, size = np.asarray(x, dtype=np.float64), 1
    total, covered = block, 0

    def ago(count: int) -> Array:
        for j, lane in enumerate(begun):
            last = block[-count:].reshape(min(count, len(block)), len(begun), combine.parts)
            lane.keep(_lanes(last[:, j], combine.parts), count)
        return _lagged(block, count)

    while True:
        if n & size:
            total = combine.arrays(total, ago(covered), covered, size) if covered else block
            covered += size
        if 2 * size > n:
            return total
        block = combine.arrays(block, ago(size), size, size)
        size *= 2


def _lanes(x: Array, parts: int) -> list[Any]:
    """Blocks as plain numbers, or as tuples of them."""
    return x.ravel().tolist() if parts == 1 else list(map(tuple, x.reshape(-1, parts).tolist()))


def _added(recent: Any, older: Any, *_: int) -> Any:
    return recent + older


_SUM = _Combination(_added, _added)
_MAX = _Combination(
    lambda recent, older, *_: np.maximum(recent, older),
    lambda recent, older, *_: recent if recent >= older or recent != recent else older,
)
_MIN = _Combination(
    lambda recent, older, *_: np.minimum(recent, older),
    lambda recent, older, *_: recent if recent <= older or recent != recent else older,
)


def rolling_sum(x: Array, n: int, decay: float = 1.0) -> Array:
    """Sum over the last ``n`` bars, each ``decay`` times as heavy as the bar after it."""

    def heavier(recent: Any, older: Any, size: int, _: int) -> Any:
        return recent + decay**size * older

    return _fold(x, n, _SUM if decay == 1.0 else _Combination(heavier, heavier))


def rolling_mean(x: Array, n: int) -> Array:
    """Mean over the last ``n`` bars."""
    return rolling_sum(x, n) / n


def mean_so_far(x: Array, n: int, decay: float = 1.0, least: int = 1) -> Array:
    """Mean over those of the last ``n`` bars that have a value, each ``decay`` times as heavy as the bar after it.

    Unlike the other windows it does not wait until it is full: a contract listed last month has the mean of a month
    in a window of a year. NaN with fewer than ``least`` values.
    """
    present = np.isfinite(x)
    total = _sum_of_present(np.where(present, x, 0.0), n, decay)
    weight = _sum_of_present(present.astype(np.float64), n, decay)
    count = weight if decay == 1.0 else _sum_of_present(present.astype(np.float64), n, 1.0)
    return np.where(count >= least, total / np.maximum(weight, 1e-300), np.nan)


def _sum_of_present(x: Array, n: int, decay: float) -> Array:
    """Sum over the last ``n`` bars, those before the first counting as zero."""

    def added(recent: Array, older: Array, size: int, _: int) -> Array:
        return recent + decay**size * np.where(np.isnan(older), 0.0, older)

    def numbers_added(recent: float, older: float, size: int, _: int) -> float:
        return recent + decay**size * (older if older == older else 0.0)

    return _fold(x, n, _Combination(added, numbers_added))


def rolling_max(x: Array, n: int) -> Array:
    """Largest value of the last ``n`` bars."""
    return _fold(x, n, _MAX)


def rolling_min(x: Array, n: int) -> Array:
    """Smallest value of the last ``n`` bars."""
    return _fold(x, n, _MIN)


def exponential_mean(x: Array, half_life: int, n: int) -> Array:
    """Mean of the last ``n`` bars with weights that halve every ``half_life`` bars and add to one."""
    decay = 0.5 ** (1.0 / half_life)
    return rolling_sum(x, n, decay) * (1.0 - decay) / (1.0 - decay**n)


def rolling_mean_and_variance(x: Array, n: int) -> tuple[Array, Array]:
    """Mean and population variance of the last ``n`` bars.

    Blocks are merged by their mean and sum of squared deviations (Chan, Golub and LeVeque, 1983), so that
    a price of 100 000 that moves by a tick keeps its digits.
    """
    moments = np.zeros((*x.shape, 2))  # mean, squared deviations
    moments[..., 0] = x
    merged = _fold(moments, n, _MOMENTS)
    return merged[..., 0], merged[..., 1] / n


def _merge(recent: Array, older: Array, n_recent: int, n_older: int) -> Array:
    gap, count = recent[..., 0] - older[..., 0], float(n_recent + n_older)
    merged = recent + older
    merged[..., 0] = older[..., 0] + gap * n_recent / count
    merged[..., 1] += gap**2 * n_recent * n_older / count
    return merged


def _merged(recent: Moments, older: Moments, n_recent: int, n_older: int) -> Moments:
    gap, count = recent[0] - older[0], float(n_recent + n_older)
    deviations = recent[1] + older[1] + gap * gap * n_recent * n_older / count
    return older[0] + gap * n_recent / count, deviations


_MOMENTS = _Combination(_merge, _merged, parts=2)


def trailing_rank(x: Array, n: int, step: int = 1) -> Array:
    """Share of the ``n`` earlier values, ``step`` bars apart, below the present one; ties count half."""
    memory = current()
    if memory is not None and memory.is_stepping:
        return _rank(x, memory.take().exchange(x), n)
    below = np.zeros_like(x)
    for k in range(1, n + 1):
        earlier = _lagged(x, k * step)
        below += np.where(np.isnan(earlier), np.nan, (earlier < x) + 0.5 * (earlier == x))
    if memory is not None:
        memory.keep(SpacedRing(x, n * step, step))
    return np.where(np.isnan(x), np.nan, below / n)


def _rank(x: Array, earlier: Array, n: int) -> Array:
    """``trailing_rank`` of one bar among ``n`` earlier ones; sums of halves are exact in any order."""
    below = np.where(np.isnan(earlier), np.nan, (earlier < x) + 0.5 * (earlier == x)).sum(
        axis=0, keepdims=True
    )
    return np.where(np.isnan(x), np.nan, below / n)


def last_seen(x: Array, present: NDArray[np.bool_], limit: int, otherwise: float) -> Array:
    """Latest value marked ``present`` within the last ``limit`` bars, ``otherwise`` where there is none."""
    memory = current()
    if memory is not None and memory.is_stepping:
        value, age = memory.take().step(x, present)
        return np.where(age < limit, value, otherwise)
    index = np.arange(len(x)).reshape(-1, *[1] * (x.ndim - 1))
    latest = np.maximum.accumulate(np.where(present, index, -1), axis=0)
    age = np.where(latest >= 0, index - latest, limit)
    value = np.take_along_axis(x, np.maximum(latest, 0), axis=0)
    if memory is not None:
        memory.keep(Seen(value[-1:], age[-1:]))
    return np.where(age < limit, value, otherwise)
