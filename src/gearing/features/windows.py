"""Trailing windows whose values depend on the bars inside them only.

Running totals carry the rounding errors of all history, so a live process that starts from a short history would
disagree with a backtest. Here a window of n bars is summed from blocks of 1, 2, 4, ... bars: log2(n) passes, and
the same additions in the same order wherever the window is. All arrays have bars on axis 0; rows before the first
complete window are NaN.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def lag(x: Array, n: int) -> Array:
    """Value ``n`` bars ago."""
    if n == 0:
        return x
    out = np.full_like(x, np.nan)
    out[n:] = x[: max(len(x) - n, 0)]
    return out


def change(x: Array, n: int = 1) -> Array:
    """Difference to the value ``n`` bars ago."""
    return x - lag(x, n)


def _fold(x: Array, n: int, combine: Callable[[Array, Array, int], Array]) -> Array:
    """Combine the last ``n`` values; ``combine(recent, older, size)``, size = bars in the recent part."""
    if n < 1:
        raise ValueError(f"a window holds at least one bar, not {n}.")
    block, size = np.asarray(x, dtype=np.float64), 1
    total, covered = block, 0
    while size <= n:
        if n & size:
            total = combine(total, lag(block, covered), covered) if covered else block
            covered += size
        block = combine(block, lag(block, size), size)
        size *= 2
    return total


def rolling_sum(x: Array, n: int, decay: float = 1.0) -> Array:
    """Sum over the last ``n`` bars, each ``decay`` times as heavy as the bar after it."""
    return _fold(x, n, lambda recent, older, size: recent + decay**size * older)


def rolling_mean(x: Array, n: int) -> Array:
    """Mean over the last ``n`` bars."""
    return rolling_sum(x, n) / n


def rolling_max(x: Array, n: int) -> Array:
    """Largest value of the last ``n`` bars."""
    return _fold(x, n, lambda recent, older, size: np.maximum(recent, older))


def rolling_min(x: Array, n: int) -> Array:
    """Smallest value of the last ``n`` bars."""
    return _fold(x, n, lambda recent, older, size: np.minimum(recent, older))


def exponential_mean(x: Array, half_life: int, n: int) -> Array:
    """Mean of the last ``n`` bars with weights that halve every ``half_life`` bars and add to one."""
    decay = 0.5 ** (1.0 / half_life)
    return rolling_sum(x, n, decay) * (1.0 - decay) / (1.0 - decay**n)


def rolling_mean_and_variance(x: Array, n: int) -> tuple[Array, Array]:
    """Mean and population variance of the last ``n`` bars.

    Blocks are merged by their mean and sum of squared deviations (Chan, Golub and LeVeque, 1983), so that
    a price of 100 000 that moves by a tick keeps its digits.
    """
    moments = np.stack([np.ones_like(x), x, np.zeros_like(x)])  # count, mean, squared deviations
    merged = _fold(np.moveaxis(moments, 0, -1), n, lambda recent, older, size: _merge(recent, older))
    return merged[..., 1], merged[..., 2] / n


def _merge(recent: Array, older: Array) -> Array:
    count = recent[..., 0] + older[..., 0]
    gap = recent[..., 1] - older[..., 1]
    mean = older[..., 1] + gap * recent[..., 0] / count
    squares = recent[..., 2] + older[..., 2] + gap**2 * recent[..., 0] * older[..., 0] / count
    return np.stack([count, mean, squares], axis=-1)


def trailing_rank(x: Array, n: int, step: int = 1) -> Array:
    """Share of the ``n`` earlier values, ``step`` bars apart, below the present one; ties count half."""
    below = np.zeros_like(x)
    for k in range(1, n + 1):
        earlier = lag(x, k * step)
        below += np.where(np.isnan(earlier), np.nan, (earlier < x) + 0.5 * (earlier == x))
    return np.where(np.isnan(x), np.nan, below / n)


def last_seen(x: Array, present: NDArray[np.bool_], limit: int, otherwise: float) -> Array:
    """Latest value marked ``present`` within the last ``limit`` bars, ``otherwise`` where there is none."""
    index = np.arange(len(x)).reshape(-1, *[1] * (x.ndim - 1))
    latest = np.maximum.accumulate(np.where(present, index, -1), axis=0)
    found = (latest >= 0) & (index - latest < limit)
    return np.where(found, np.take_along_axis(x, np.maximum(latest, 0), axis=0), otherwise)
