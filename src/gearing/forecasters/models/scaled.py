"""Scaled and averaged fitted forecasters, so that a walk-forward's corrections can be exported."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gearing.forecasters.models.onnx_graph import average_graph, scaled_graph


class ScaledForecaster:
    """Fitted model whose variances are multiplied by ``scale``.

    Parameters
    ----------
    model : fitted forecaster
    scale : float
        Positive.
    """

    def __init__(self, model: Any, scale: float):
        if not scale > 0.0:
            raise ValueError(f"the scale of a variance must be positive, not {scale!r}.")
        self.model = model
        self.scale = scale

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Variance (n_rows,)."""
        return self.scale * self.model.predict(X)

    def to_onnx(self) -> Any:
        """ONNX model of ``predict``."""
        return scaled_graph(self.model.to_onnx(), self.scale)

    def __repr__(self) -> str:
        return f"ScaledForecaster({self.model!r}, scale={np.round(self.scale, 4)})"


@dataclass(frozen=True, eq=False)
class AveragedForecaster:
    """Geometric mean of fitted models that read the same columns.

    Parameters
    ----------
    models : sequence of fitted forecasters
    """

    models: Sequence[Any]

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Variance (n_rows,)."""
        return np.exp(np.mean([np.log(model.predict(X)) for model in self.models], axis=0))

    def to_onnx(self) -> Any:
        """ONNX model of ``predict``."""
        return average_graph([model.to_onnx() for model in self.models])
