"""Forecasts with a level as their only parameter: the last variance, or a weighted mean of past ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gearing.forecasters.models.base import VarianceForecaster
from gearing.forecasters.models.onnx_graph import linear_graph


class ProportionalVariance(VarianceForecaster):
    """Variance proportional to exp of the first column, a log of past variance; other columns are ignored.

    With ``log_variance_24h`` the forecast is the last day's variance, with ``ewma_log_variance_*`` the
    exponentially weighted one (RiskMetrics, 1996).

    Attributes
    ----------
    log_scale_ : float
        Log of mean target over mean past variance: about the horizon in days.
    """

    def _fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        self.log_scale_ = float(np.log(y.mean()) - np.log(np.exp(X[:, 0]).mean()))

    def _log_variance(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return X[:, 0] + self.log_scale_

    def to_onnx(self) -> Any:
        """ONNX model of ``predict``."""
        return linear_graph(np.eye(self.n_features_in_)[0], self.log_scale_)
