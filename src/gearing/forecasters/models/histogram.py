"""Gradient boosting of variance by scikit-learn."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gearing.forecasters.models.base import VarianceForecaster
from gearing.forecasters.models.onnx_graph import tree_graph


@dataclass(eq=False, repr=False)
class HistGradientVariance(VarianceForecaster):
    """Histogram gradient boosting with the gamma loss, which is QLIKE (scikit-learn).

    Parameters
    ----------
    n_trees, learning_rate, n_leaves, rows_per_leaf, l2
        As in ``LightGBMVariance``.
    seed : int, default=0
    """

    n_trees: int = 100
    learning_rate: float = 0.05
    n_leaves: int = 6
    rows_per_leaf: int = 40
    l2: float = 5.0
    seed: int = 0

    def _fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor

        self.log_scale_ = float(np.log(y.mean()))
        self.trees_ = HistGradientBoostingRegressor(
            loss="gamma",
            max_iter=self.n_trees,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.n_leaves,
            min_samples_leaf=self.rows_per_leaf,
            l2_regularization=self.l2,
            max_features=0.5,
            early_stopping=False,
            random_state=self.seed,
        ).fit(X, y / y.mean())

    def _log_variance(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.log(self.trees_.predict(X)) + self.log_scale_

    def to_onnx(self) -> Any:
        """ONNX model of ``predict``."""
        # scikit-learn shows the trees nowhere else.
        trees = [_nodes(one.nodes) for (one,) in self.trees_._predictors]
        start = float(np.ravel(self.trees_._baseline_prediction)[0])
        return tree_graph(trees, self.n_features_in_, self.log_scale_ + start)


def _nodes(tree: NDArray[np.void]) -> list[dict[str, float]]:
    """A tree of scikit-learn as a list of nodes, root first."""
    return [
        {"leaf": float(node["value"])}
        if node["is_leaf"]
        else {
            "feature": int(node["feature_idx"]),
            "threshold": float(node["num_threshold"]),
            "left": int(node["left"]),
            "right": int(node["right"]),
        }
        for node in tree
    ]
