"""Base class of variance forecasters: checks, tags and positive variances."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data


class VarianceForecaster(RegressorMixin, BaseEstimator):
    """Regressor of a variance; subclasses write ``_fit(X, y)`` and ``_log_variance(X)``.

    ``y`` must be positive: a realised variance of zero has no logarithm, so such rows are left out before.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> VarianceForecaster:
        """Fit on rows X (n_rows, n_columns) and the variances y (n_rows,) that followed.

        Raises
        ------
        ValueError
            If a variance is not positive.
        """
        self._fit(*self._checked(X, y))
        return self

    def _checked(self, X: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rows and positive variances as arrays; sets ``n_features_in_``."""
        X, y = validate_data(self, X, y, y_numeric=True, dtype=np.float64, ensure_min_samples=2)
        X, y = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
        if not (y > 0.0).all():
            raise ValueError(
                f"variances must be positive, but row {int(np.argmin(y))} has {y.min():g}; "
                "leave such rows out (a day on which the price never moved)."
            )
        return X, y

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Conditional mean of the variance (n_rows,)."""
        check_is_fitted(self)
        rows = np.asarray(validate_data(self, X, reset=False, dtype=np.float64))
        return np.exp(self._log_variance(rows))

    def _fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        raise NotImplementedError

    def _log_variance(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        raise NotImplementedError

    def to_onnx(self) -> Any:
        """ONNX model of ``predict``: float32 X (n, n_columns) to float32 variance (n, 1).

        Raises
        ------
        NotImplementedError
            If inference cannot be expressed in ONNX; its recipe has ``exports=False``.
        """
        raise NotImplementedError(
            f"{type(self).__name__} does not export to ONNX; recipes with exports=True do, see forecasters()."
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        tags.regressor_tags.poor_score = True  # exp of a line, not made for linear targets
        return tags
