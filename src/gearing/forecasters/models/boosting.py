"""Gradient boosting of variance by LightGBM."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gearing.forecasters.models.base import VarianceForecaster
from gearing.forecasters.models.linear import order_of_values
from gearing.forecasters.models.onnx_graph import tree_graph


@dataclass(eq=False, repr=False)
class LightGBMVariance(VarianceForecaster):
    """Boosted trees with a log link (LightGBM; Ke et al., 2017).

    Half the deviance of a gamma distribution is QLIKE, so ``objective="gamma"`` trains on the reported loss;
    ``objective="log"`` fits squared errors of log variance and corrects the bias by out-of-fold residuals.

    Parameters
    ----------
    objective : {"gamma", "log"}, default="gamma"
    n_trees, learning_rate, n_leaves, rows_per_leaf
        Size of the ensemble; small trees, because daily rows are few and noisy.
    column_share, row_share : float
        Share of columns and rows each tree uses.
    l2 : float
        Penalty on leaf values.
    seed : int, default=0
    n_threads : int, default=1

    Attributes
    ----------
    booster_ : lightgbm.Booster
    log_scale_ : float
        Log of the mean training variance, added to the trees' sum.
    """

    objective: str = "gamma"
    n_trees: int = 200
    learning_rate: float = 0.03
    n_leaves: int = 6
    rows_per_leaf: int = 40
    column_share: float = 0.5
    row_share: float = 0.7
    l2: float = 5.0
    seed: int = 0
    n_threads: int = 1

    def _fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        if self.objective not in ("gamma", "log"):
            raise ValueError(f"objective is 'gamma' or 'log', not {self.objective!r}.")
        self.log_scale_ = float(np.log(y.mean()))
        relative = y / y.mean()
        if self.objective == "gamma":
            self.booster_ = self._train(X, relative)
            return
        target = np.log(relative)
        self.booster_ = self._train(X, target)
        self.log_scale_ += float(np.log(np.exp(target - self._out_of_fold(X, target)).mean()))

    def _train(self, X: NDArray[np.float64], target: NDArray[np.float64]) -> Any:
        import lightgbm

        parameters = {
            "objective": "gamma" if self.objective == "gamma" else "regression",
            "learning_rate": self.learning_rate,
            "num_leaves": self.n_leaves,
            "min_data_in_leaf": self.rows_per_leaf,
            "feature_fraction": self.column_share,
            "bagging_fraction": self.row_share,
            "bagging_freq": 1,
            "lambda_l2": self.l2,
            "seed": self.seed,
            "num_threads": self.n_threads,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        return lightgbm.train(parameters, lightgbm.Dataset(X, target), num_boost_round=self.n_trees)

    def _out_of_fold(
        self, X: NDArray[np.float64], target: NDArray[np.float64], folds: int = 5
    ) -> NDArray[np.float64]:
        """Prediction of each row by trees fitted without its fold; folds depend on values, not on order."""
        fold = np.empty(len(target), dtype=np.int64)
        fold[order_of_values(X, target)] = np.arange(len(target)) % folds
        predicted = np.empty_like(target)
        for k in range(folds):
            inside = fold != k
            if inside.all() or not inside.any():
                return np.full_like(target, target.mean())
            predicted[~inside] = self._train(X[inside], target[inside]).predict(X[~inside])
        return predicted

    def _log_variance(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        trees = self.booster_.predict(X, raw_score=True, num_threads=self.n_threads)
        return np.asarray(trees) + self.log_scale_

    def to_onnx(self) -> Any:
        """ONNX model of ``predict``."""
        trees = [_nodes(tree["tree_structure"]) for tree in self.booster_.dump_model()["tree_info"]]
        return tree_graph(trees, self.n_features_in_, self.log_scale_)


def _nodes(structure: dict[str, Any]) -> list[dict[str, float]]:
    """A dumped LightGBM tree as a list of nodes, root first."""
    found: list[dict[str, float]] = []

    def visit(node: dict[str, Any]) -> int:
        place = len(found)
        if "leaf_value" in node:
            found.append({"leaf": node["leaf_value"]})
            return place
        found.append({"feature": node["split_feature"], "threshold": node["threshold"]})
        found[place]["left"] = visit(node["left_child"])
        found[place]["right"] = visit(node["right_child"])
        return place

    visit(structure)
    return found
