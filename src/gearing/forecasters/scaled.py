"""A fitted forecaster times a constant: how a walk-forward bias correction travels into an export."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


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
        from .onnx_graph import scaled_graph

        return scaled_graph(self.model.to_onnx(), self.scale)

    def __repr__(self) -> str:
        return f"ScaledForecaster({self.model!r}, scale={np.round(self.scale, 4)})"
