"""An ONNX file as an MLflow model; MLflow stores this file as the model's code."""

from typing import Any

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel


class OnnxModel(PythonModel):
    """Runs the ONNX file logged with it: raw rows to the network's first output."""

    def load_context(self, context: Any) -> None:
        """Open the network; called once when the model is loaded."""
        import onnxruntime

        self.session = onnxruntime.InferenceSession(
            context.artifacts["onnx"], providers=["CPUExecutionProvider"]
        )

    def predict(
        self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None
    ) -> np.ndarray:
        """Return the network's output for each row; columns in the order of the bundle's table."""
        rows = np.ascontiguousarray(model_input, dtype=np.float32)
        return self.session.run(None, {self.session.get_inputs()[0].name: rows})[0]


mlflow.models.set_model(OnnxModel())
