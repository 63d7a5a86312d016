"""Heterogeneous autoregression of log variance."""

import numpy as np
from numpy.typing import NDArray

from gearing.forecasters.models.linear import LinearVariance


class HARVolatility(LinearVariance):
    """Least squares of log variance on the logs of past variances (HAR; Corsi, 2009).

    A row of X is self-contained: logs of variance over a day, a week and a month (``log_variance_24h``,
    ``_7d``, ``_30d``), known at the close of the row's bar, and further columns (weekday).

    Parameters
    ----------
    bias_correction : {"leave_one_out", None}, default="leave_one_out"
        A log model predicts a median. "leave_one_out" multiplies by the mean of exp(residual), where each
        row's residual comes from a fit without that row: in-sample residuals are too small.
        Walk-forward forecasts also correct by their past errors.

    Attributes
    ----------
    coef_ : (n_columns,) float64
    intercept_ : float
        Log of the smearing factor included.
    smearing_ : float

    Notes
    -----
    Redundant columns (seven weekday shares and a constant) take the least-norm solution.
    """

    def __init__(self, bias_correction: str | None = "leave_one_out"):
        self.bias_correction = bias_correction

    def _fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        if self.bias_correction not in ("leave_one_out", None):
            raise ValueError(f"bias_correction is 'leave_one_out' or None, not {self.bias_correction!r}.")
        centre, target = X.mean(axis=0), np.log(y)
        inner = _Projection(X - centre)
        self._bound(X)
        self.coef_ = inner.solve(target - target.mean())
        fitted = (X - centre) @ self.coef_ + target.mean()
        self.smearing_ = 1.0
        if self.bias_correction:
            self.smearing_ = float(np.exp(inner.residual_without_self(target - fitted)).mean())
        self.intercept_ = float(target.mean() - centre @ self.coef_ + np.log(self.smearing_))


class _Projection:
    """Singular values of centred columns, without redundant ones."""

    def __init__(self, centred: NDArray[np.float64]):
        left, size, right = np.linalg.svd(centred, full_matrices=False)
        keep = size > size.max(initial=0.0) * 1e-6  # features are float32: what is smaller is rounding
        self.left, self.size, self.right = left[:, keep], size[keep], right[keep]

    def solve(self, target: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.right.T @ ((self.left.T @ target) / self.size)

    def residual_without_self(self, residual: NDArray[np.float64]) -> NDArray[np.float64]:
        """Residual of each row when it is left out of the fit, by its leverage (constant included)."""
        leverage = (self.left**2).sum(axis=1) + 1.0 / len(residual)
        return residual / np.maximum(1.0 - leverage, 0.1)
