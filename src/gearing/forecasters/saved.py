"""Forecasts on disk: arrays and the graph of the newest fit. Nothing is pickled, so reading runs no code."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gearing.forecasters.column import ForecastColumn
from gearing.forecasters.register import Recipe, forecaster
from gearing.forecasters.rows import ARRAYS, Rows
from gearing.forecasters.walk_forward import Forecast
from gearing.storage.atomic import write_arrays, write_atomically

_FORECAST, _COLUMN, _GRAPH = "forecast.npz", "column.npz", "forecaster.onnx"
_IN_FORECAST = (*ARRAYS, "columns", "horizon", "kind", "value", "fitted_until")
_IN_COLUMN = ("name", "recipe", "horizon", "values", "fitted_until")
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "lightgbm", "arch", "torch")


class StoredForecaster:
    """A fitted forecaster read from its ONNX graph.

    Parameters
    ----------
    content : bytes
        The graph.
    """

    def __init__(self, content: bytes):
        self.content = content

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Variance (n_rows,), in the single precision of the graph."""
        rows = np.ascontiguousarray(X, np.float32)
        return np.asarray(self._session.run(None, {"X": rows})[0], np.float64).ravel()

    def to_onnx(self) -> Any:
        """The graph."""
        import onnx

        return onnx.load_model_from_string(self.content)

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        return onnxruntime.InferenceSession(self.content, providers=["CPUExecutionProvider"])


def library_versions() -> dict[str, str]:
    """Versions of the libraries whose fits a stored forecast depends on."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def save_forecast(made: Forecast, recipe: Recipe, folder: Path) -> None:
    """Write a forecast; its newest fit too where the recipe exports and onnx is installed."""
    rows = {name: getattr(made.rows, name) for name in ARRAYS}
    about = {"columns": np.array(made.rows.columns), "horizon": np.array(made.rows.horizon)}
    arrays = {**rows, **about, "kind": np.array(made.rows.kind), "value": made.value}
    if recipe.exports and made.last_model is not None and find_spec("onnx") is not None:
        graph = made.last_model.to_onnx().SerializeToString()
        write_atomically(folder / _GRAPH, lambda draft: draft.write_bytes(graph))
    write_arrays(folder / _FORECAST, {**arrays, "fitted_until": made.fitted_until})


def load_forecast(folder: Path) -> Forecast:
    """Read what `save_forecast` wrote; ``last_model`` is None where no graph was written.

    Raises
    ------
    ValueError
        Naming the file, where it is missing or damaged.
    """
    stored = _arrays(folder / _FORECAST, _IN_FORECAST)
    arrays: dict[str, Any] = {name: stored[name] for name in ARRAYS}
    columns = tuple(stored["columns"].tolist())
    rows = Rows(**arrays, columns=columns, horizon=str(stored["horizon"]), kind=str(stored["kind"]))
    graph = folder / _GRAPH
    model = StoredForecaster(graph.read_bytes()) if graph.is_file() else None
    return Forecast(rows, stored["value"], stored["fitted_until"], model)


def save_column(column: ForecastColumn, folder: Path) -> None:
    """Write a forecast column."""
    save_forecast(column.forecast, column.recipe, folder)
    about = {"name": column.name, "recipe": column.recipe.name, "horizon": column.horizon}
    texts = {name: np.array(value) for name, value in about.items()}
    write_arrays(folder / _COLUMN, {**texts, "values": column.values, "fitted_until": column.fitted_until})


def load_column(folder: Path) -> ForecastColumn:
    """Read what `save_column` wrote.

    Raises
    ------
    ValueError
        Naming the file, where it is missing or damaged.
    """
    stored, made = _arrays(folder / _COLUMN, _IN_COLUMN), load_forecast(folder)
    return ForecastColumn(
        str(stored["name"]), stored["values"], stored["fitted_until"], forecaster(str(stored["recipe"])),
        made.last_model, made, str(stored["horizon"]),
    )  # fmt: skip


def _arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in names}
    except (
        AttributeError,
        TypeError,
        OSError,
        ValueError,
        KeyError,
        EOFError,
        BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(
            f"{path} is missing or damaged; delete the folder {path.parent}, and a run makes it again."
        ) from error
