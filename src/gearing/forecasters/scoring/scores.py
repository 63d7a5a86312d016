"""Scores of variance forecasts, per row and overall.

``y`` is the realised variance of the target, ``f`` the forecast of its conditional mean. QLIKE and squared
errors rank forecasts as the true variance would, though realised variance is only a noisy proxy (Patton,
2011); errors of volatility or of its log do not, and are secondary.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def qlike(y: Array, f: Array) -> Array:
    """y/f - ln(y/f) - 1 of every row; zero for a perfect forecast."""
    ratio = y / f
    return ratio - np.log(ratio) - 1.0


def rmse_log_volatility(y: Array, f: Array) -> float:
    """Root mean square of ln(volatility / forecast volatility)."""
    return float(np.sqrt(np.mean((0.5 * np.log(y / f)) ** 2)))


@dataclass(frozen=True)
class MincerZarnowitz:
    """Regression of realised on forecast volatility; intercept 0 and slope 1 would be unbiased."""

    intercept: float
    slope: float
    r2: float


def mincer_zarnowitz(y: Array, f: Array) -> MincerZarnowitz:
    """Regress sqrt(y) on sqrt(f) (Mincer and Zarnowitz, 1969)."""
    realised, forecast = np.sqrt(y), np.sqrt(f)
    slope, intercept = np.polyfit(forecast, realised, 1)
    return MincerZarnowitz(float(intercept), float(slope), float(np.corrcoef(forecast, realised)[0, 1] ** 2))


def out_of_sample_r2(y: Array, f: Array, benchmark: Array) -> float:
    """1 - squared errors over those of a benchmark known at the same time, such as the expanding mean."""
    return float(1.0 - np.sum((y - f) ** 2) / np.sum((y - benchmark) ** 2))


def expanding_mean(y: Array, n_ahead: int = 1) -> Array:
    """Mean of the targets that had ended when each row was forecast; the first rows use the first value.

    ``n_ahead`` is how many rows a target covers: 1 for daily rows and a horizon of a day.
    """
    means = np.cumsum(y) / np.arange(1, len(y) + 1)
    return np.concatenate([np.full(n_ahead, y[0]), means[:-n_ahead]])


@dataclass(frozen=True)
class DieboldMariano:
    """Test of equal expected loss.

    Attributes
    ----------
    difference : float
        Mean loss of the first forecast less that of the second; negative where the first is better.
    t, p : float
        Statistic and two-sided p-value.
    """

    difference: float
    t: float
    p: float


def diebold_mariano(loss: Array, other: Array, lag: int | None = None, overlap: int = 1) -> DieboldMariano:
    """Compare two forecasts of the same rows (Diebold and Mariano, 1995).

    Parameters
    ----------
    loss, other : (n_rows,)
        In order of time.
    lag : int, optional
        Newey-West lag; default the larger of ``overlap - 1`` and n^(1/3).
    overlap : int
        Rows that one target covers.

    Notes
    -----
    With the correction of Harvey, Leybourne and Newbold (1997) and Student's t, n - 1 degrees of freedom.
    """
    from scipy import stats

    difference = loss - other
    n = len(difference)
    lag = max(overlap - 1, round(n ** (1 / 3))) if lag is None else lag
    variance = newey_west(difference, lag) / n
    if not variance > 0.0:
        return DieboldMariano(float(difference.mean()), 0.0, 1.0)
    correction = np.sqrt(max((n + 1 - 2 * overlap + overlap * (overlap - 1) / n) / n, 0.0))
    t = float(correction * difference.mean() / np.sqrt(variance))
    return DieboldMariano(float(difference.mean()), t, float(2.0 * stats.t.sf(abs(t), n - 1)))


def newey_west(x: Array, lag: int) -> float:
    """Long-run variance of a series with Bartlett weights (Newey and West, 1987)."""
    centred = x - x.mean()
    total = float(centred @ centred)
    for k in range(1, min(lag, len(x) - 1) + 1):
        total += 2.0 * (1.0 - k / (lag + 1)) * float(centred[k:] @ centred[:-k])
    return total / len(x)
