"""Penalised linear models of log variance, and the gamma regression of variance."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gearing.forecasters.models.base import VarianceForecaster
from gearing.forecasters.models.onnx_graph import linear_graph

ALPHAS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


class LinearVariance(VarianceForecaster):
    """Log variance, linear in standardised columns; subclasses estimate the coefficients.

    A value further outside the range of the training rows than that range is wide counts as that far outside. A line
    knows nothing there: when SOLUSDT's funding rose a hundredfold in November 2022, Ridge's forecast fell by a factor
    of e^15.

    Attributes
    ----------
    coef_ : (n_columns,) float64
        Of the raw columns.
    intercept_ : float
        Log of the smearing factor included.
    lower_, upper_ : (n_columns,) float64
        Ends of what a column counts as; of `PanelForecaster`, whose columns have bounds of their own, none.
    """

    lower_: NDArray[np.float64] | None = None
    upper_: NDArray[np.float64] | None = None

    def _set_line(self, X: np.ndarray, coefficients: np.ndarray, level: float) -> None:
        """Fold the standardisation of X back into the line; ``level`` is its value at the mean row."""
        mean, spread = standards(X)
        self.coef_ = coefficients / spread
        self.intercept_ = float(level - mean @ self.coef_)
        self._bound(X)

    def _bound(self, X: np.ndarray) -> None:
        """Take the range of the training rows, widened by itself on either side."""
        low, high = X.min(axis=0), X.max(axis=0)
        self.lower_, self.upper_ = low - (high - low), high + (high - low)

    def _log_variance(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = X if self.lower_ is None else np.clip(X, self.lower_, self.upper_)
        return rows @ self.coef_ + self.intercept_

    def to_onnx(self) -> Any:
        """ONNX model of ``predict``."""
        return linear_graph(self.coef_, self.intercept_, self.lower_, self.upper_)


class RidgeVariance(LinearVariance):
    """Ridge regression of log variance (Hoerl and Kennard, 1970), its penalty chosen by leave-one-out errors.

    Parameters
    ----------
    alphas : sequence of float
        Penalties to choose from, on standardised columns.

    Attributes
    ----------
    alpha_ : float
        The penalty of least squared leave-one-out error.
    smearing_ : float
        Mean of exp(leave-one-out residual): turns the predicted median into a mean.
    """

    def __init__(self, alphas: Sequence[float] = ALPHAS):
        self.alphas = alphas

    def _fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        mean, spread = standards(X)
        target = np.log(y)
        left, size, right = np.linalg.svd((X - mean) / spread, full_matrices=False)
        along = left.T @ (target - target.mean())
        trials = [_leave_one_out(left, size, along, target - target.mean(), alpha) for alpha in self.alphas]
        best = int(np.argmin([(residual**2).sum() for residual in trials]))
        self.alpha_ = float(self.alphas[best])
        self.smearing_ = float(np.exp(trials[best]).mean())
        coefficients = right.T @ (size / (size**2 + self.alpha_) * along)
        self._set_line(X, coefficients, target.mean() + np.log(self.smearing_))


class ElasticNetVariance(LinearVariance):
    """Elastic net of log variance (Zou and Hastie, 2005), its penalty chosen by five folds.

    Parameters
    ----------
    l1_ratio : float, default=0.5
    n_alphas : int, default=20
    """

    def __init__(self, l1_ratio: float = 0.5, n_alphas: int = 20):
        self.l1_ratio = l1_ratio
        self.n_alphas = n_alphas

    def _fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        from sklearn.linear_model import ElasticNet, ElasticNetCV

        order = order_of_values(X, y)  # folds must not depend on the order of rows
        mean, spread = standards(X)
        scaled, target, fold = ((X - mean) / spread)[order], np.log(y)[order], np.arange(len(y)) % 5
        splits = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(min(5, len(y)))]
        self.search_ = ElasticNetCV(l1_ratio=self.l1_ratio, alphas=self.n_alphas, cv=splits, max_iter=5_000)
        self.search_.fit(scaled, target)
        best = ElasticNet(alpha=self.search_.alpha_, l1_ratio=self.l1_ratio, max_iter=5_000)
        residuals = [target[out] - best.fit(scaled[i], target[i]).predict(scaled[out]) for i, out in splits]
        self.smearing_ = float(np.exp(np.concatenate(residuals)).mean())
        self._set_line(X, self.search_.coef_, float(self.search_.intercept_) + np.log(self.smearing_))


class GammaVariance(LinearVariance):
    """Gamma regression with a log link: linear in logs, trained on QLIKE.

    Parameters
    ----------
    alpha : float, default=0.03
        L2 penalty on standardised columns.
    """

    def __init__(self, alpha: float = 0.03):
        self.alpha = alpha

    def _fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        from sklearn.linear_model import GammaRegressor

        mean, spread = standards(X)
        model = GammaRegressor(alpha=self.alpha, max_iter=2_000, solver="newton-cholesky")
        model.fit((X - mean) / spread, y / y.mean())
        self._set_line(X, model.coef_, float(model.intercept_) + np.log(y.mean()))


def order_of_values(X: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """An order of rows that depends on their values only."""
    return np.lexsort((*X.T, y))


def standards(X: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and spread of every column; the spread of a constant column counts as 1."""
    spread = X.std(axis=0)
    return X.mean(axis=0), np.where(spread > 0.0, spread, 1.0)


def _leave_one_out(
    left: np.ndarray, size: np.ndarray, along: np.ndarray, centred: np.ndarray, alpha: float
) -> np.ndarray:
    """Residual of every row from the ridge fit without it."""
    shrink = size**2 / (size**2 + alpha)
    leverage = (left**2) @ shrink + 1.0 / len(centred)
    return (centred - left @ (shrink * along)) / np.maximum(1.0 - leverage, 0.1)
