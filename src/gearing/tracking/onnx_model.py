"""An ONNX file as an MLflow model; MLflow stores this file as the model's code, so it imports nothing of gearing."""

from typing import Any

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel


class OnnxModel(PythonModel):
    """Runs the ONNX file logged with it: rows of columns to the network's first output.

    A recurrent network begins with an empty memory for every row; one that chooses among levels may take each of them.
    """

    def load_context(self, context: Any) -> None:
        """Open the network; called once when the model is loaded."""
        self.open(context.artifacts["onnx"])

    def open(self, path: str) -> None:
        """Open the network of a file."""
        import onnxruntime

        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def predict(
        self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None
    ) -> np.ndarray:
        """Return the network's output (n_rows, n_outputs) of a table or array (n_rows, n_columns).

        An array has the columns in the order of the signature.
        """
        rows = np.ascontiguousarray(np.asarray(model_input), dtype=np.float32)
        first, *others = self.session.get_inputs()
        feeds = {first.name: rows} | {one.name: _neutral(one, len(rows)) for one in others}
        return self.session.run(None, feeds)[0]


def _neutral(one: Any, count: int) -> np.ndarray:
    """Input that a table of rows does not have: every level allowed, or an empty memory."""
    shape = [size if isinstance(size, int) else count for size in one.shape]
    return np.ones(shape, bool) if one.type == "tensor(bool)" else np.zeros(shape, np.float32)


mlflow.models.set_model(OnnxModel())
