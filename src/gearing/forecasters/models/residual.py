"""Boosted trees on the residual of a linear forecast, and averages of forecasters."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from gearing.forecasters.models.base import VarianceForecaster
from gearing.forecasters.models.onnx_graph import average_graph, mean_graph

BEST = ("ridge", "elastic_net", "ridge_lightgbm", "har_lightgbm", "lightgbm_log")


class ResidualVariance(VarianceForecaster):
    """A base forecaster times boosted trees fitted on target / base forecast.

    Parameters
    ----------
    base, correction : forecasters
        Default: Ridge, and a small gamma LightGBM. Trees are fitted on the base's in-sample ratio, so they must be few.

    Attributes
    ----------
    base_, correction_ : fitted clones
    """

    def __init__(self, base: Any = None, correction: Any = None):
        self.base = base
        self.correction = correction

    def _fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        base, correction = self._parts()
        self.base_ = clone(base).fit(X, y)
        self.correction_ = clone(correction).fit(X, y / self.base_.predict(X))

    def _parts(self) -> tuple[Any, Any]:
        from gearing.forecasters.models.boosting import LightGBMVariance
        from gearing.forecasters.models.linear import RidgeVariance

        base = RidgeVariance() if self.base is None else self.base
        small = LightGBMVariance(n_trees=50, n_leaves=4, rows_per_leaf=60, l2=20.0)
        return base, small if self.correction is None else self.correction

    def _log_variance(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.log(self.base_.predict(X)) + np.log(self.correction_.predict(X))

    def to_onnx(self) -> Any:
        """ONNX model of ``predict``."""
        return mean_graph([self.base_.to_onnx(), self.correction_.to_onnx()], [1.0, 1.0])


class MeanVariance(VarianceForecaster):
    """Geometric mean of several forecasters over the same columns.

    Parameters
    ----------
    members : sequence of (name, forecaster), optional
        Default: the five of ``BEST``, which led on the years before 2023.

    Attributes
    ----------
    members_ : list of fitted clones
    """

    def __init__(self, members: Any = None):
        self.members = members

    def _fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        self.members_ = [clone(member).fit(X, y) for _, member in self._chosen()]

    def _chosen(self) -> list[tuple[str, Any]]:
        from gearing.forecasters.register import forecaster

        if self.members is None:
            return [(name, forecaster(name).estimator()) for name in BEST]
        return list(self.members)

    def _log_variance(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.mean([np.log(member.predict(X)) for member in self.members_], axis=0)

    def to_onnx(self) -> Any:
        """ONNX model of ``predict``."""
        return average_graph([member.to_onnx() for member in self.members_])
