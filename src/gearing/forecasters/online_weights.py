"""A convex combination of forecasts whose weights learn online from past losses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# Chosen of 0.02, 0.1 and 0.5 by QLIKE on eleven contracts before 2023, see docs/volatility.md.
RATE = 0.5
_STEEPEST = 3.0  # a crash moves the weights no further than a variance of four times the forecast


def online_mean(
    forecasts: Array,
    realised: Array,
    known_at: NDArray[np.datetime64],
    ends_at: NDArray[np.datetime64],
    rate: float = RATE,
) -> Array:
    """Weighted geometric mean of variance forecasts, by exponentiated gradients of QLIKE (Kivinen and Warmuth, 1997).

    All forecasts begin with the same weight; that of forecast k is multiplied by exp(-rate x g ln(f_k / f)) once a
    target has ended, g = 1 - realised / f being the slope of QLIKE in the log of the mean f.

    Parameters
    ----------
    forecasts : (n_rows, n_forecasts)
        Of one contract, in order of time; NaN where a forecast is not there: the others share its weight.
    realised : (n_rows,)
        NaN where it is not known yet.
    known_at, ends_at : (n_rows,) datetime64
        When a row was known, and when its target ended: no weight knows a target before.
    rate : float

    Returns
    -------
    array, shape (n_rows,)
        NaN where no forecast is there.
    """
    logs, weights = np.log(forecasts), np.zeros(forecasts.shape[1])
    made, ended = np.full(len(logs), np.nan), 0
    for row, moment in enumerate(known_at):
        while ended < row and ends_at[ended] <= moment:
            weights -= rate * _slopes(logs[ended], made[ended], realised[ended])
            ended += 1
        there = np.isfinite(logs[row])
        if there.any():
            share = np.exp(weights[there] - weights[there].max())
            made[row] = share @ logs[row, there] / share.sum()
    return np.exp(made)


def _slopes(logs: Array, mean: float, realised: float) -> Array:
    """Slope of QLIKE in each weight; zero where a forecast, or the outcome, is not known."""
    if not (np.isfinite(mean) and realised > 0.0):
        return np.zeros(logs.shape)
    slope = np.clip(1.0 - realised / np.exp(mean), -_STEEPEST, _STEEPEST)
    return np.where(np.isfinite(logs), slope * (logs - mean), 0.0)
