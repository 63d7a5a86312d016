"""Quantiles of a sample with a generalised Pareto tail."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
THRESHOLD = 0.10  # the largest tenth of the sample is the tail
_LARGEST_SHAPE = 0.9  # beyond it the mean of the tail is all but infinite


def upper_quantiles(sample: Array, levels: Array) -> Array:
    """Values that are exceeded with the given probabilities.

    Parameters
    ----------
    sample : (n,)
    levels : (n_levels,)
        Probabilities of exceedance, ascending. Below a tenth the quantile is that of a generalised Pareto distribution
        fitted on the exceedances of the 90 % point by probability-weighted moments (Hosking and Wallis, 1987), at a
        tenth and above that of the sample.

    Returns
    -------
    array, shape (n_levels,)
        Descending.
    """
    inner = levels >= THRESHOLD
    found = np.empty(len(levels))
    found[inner] = np.quantile(sample, 1.0 - levels[inner])
    threshold = np.quantile(sample, 1.0 - THRESHOLD)
    found[~inner] = threshold + _exceedance(
        sample[sample > threshold] - threshold, levels[~inner] / THRESHOLD
    )
    return found


def _exceedance(excess: Array, share: Array) -> Array:
    """What a share of the excesses exceeds, by the fitted tail; 0 without excesses."""
    if excess.size < 2:
        return np.full(share.shape, excess.max(initial=0.0))
    x = np.sort(excess)
    mean = x.mean()
    weighted = float((x * (1.0 - (np.arange(1, x.size + 1) - 0.35) / x.size)).mean())
    shape = (
        min(2.0 - mean / (mean - 2.0 * weighted), _LARGEST_SHAPE) if mean > 2.0 * weighted else _LARGEST_SHAPE
    )
    spread = mean * (1.0 - shape)  # the mean of the distribution is spread / (1 - shape)
    if abs(shape) < 1e-6:
        return -spread * np.log(share)
    return spread / shape * (share**-shape - 1.0)
