"""The path inside a bar: its extremes, and the mark price; compiled."""

import math

import numpy as np

from gearing.storage.inner_functions import inner


@inner
def bridge_high(end: float, variance: float, u: float) -> float:
    """Highest point of a Brownian bridge from 0 to ``end``, by inversion of its exact distribution.

    P(max > y) = exp(-2 y (y - end) / variance) for y >= max(0, end).

    Parameters
    ----------
    end : float
        Log return of the bar.
    variance : float
        Variance of the unconditioned path over the bar.
    u : float
        Uniform in (0, 1].

    Notes
    -----
    Source: the reflection principle. The lowest point is ``-bridge_high(-end, variance, u)``.
    """
    return 0.5 * (end + math.sqrt(end * end - 2.0 * variance * math.log(u)))


@inner
def median_of_three(a: float, b: float, c: float) -> float:
    """Middle of three numbers."""
    return max(min(a, b), min(max(a, b), c))


@inner
def mark_price(index: float, last: float, premium: float, rate: float, share: float) -> float:
    """Mark price as Binance builds it: median of two fair prices and the traded one.

    Parameters
    ----------
    index, last : float
        Index and last traded price.
    premium : float
        Moving average of (mid - index) / index.
    rate : float
        Last funding rate.
    share : float
        Hours to the next settlement / hours between settlements.

    Notes
    -----
    Source: exchange rules, section 8.
    """
    return median_of_three(index * (1.0 + rate * share), index * (1.0 + premium), last)


@inner
def path_extremes(
    diffusive: float, jump: float, variance: float, when: float, split: float, uniforms: np.ndarray
) -> tuple[float, float]:
    """Highest and lowest log price of a bar that diffuses and, at most once, jumps; the open is 0.

    Parameters
    ----------
    diffusive : float
        Log return without the jump.
    jump : float
        Log size of the jump; 0 where there is none.
    variance : float
        Diffusive variance of the bar.
    when : float
        Moment of the jump as a fraction of the bar.
    split : float
        Standard normal: position of the bridge at that moment.
    uniforms : array of four numbers in (0, 1]
    """
    if jump == 0.0:
        high = bridge_high(diffusive, variance, uniforms[0])
        return high, -bridge_high(-diffusive, variance, uniforms[1])
    before = when * diffusive + math.sqrt(when * (1.0 - when) * variance) * split
    after = before + jump
    rest = diffusive - before
    early, late = when * variance, (1.0 - when) * variance
    high = max(bridge_high(before, early, uniforms[0]), after + bridge_high(rest, late, uniforms[1]))
    low = min(-bridge_high(-before, early, uniforms[2]), after - bridge_high(-rest, late, uniforms[3]))
    return high, low
