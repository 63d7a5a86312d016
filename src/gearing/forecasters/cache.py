"""Forecasts cached on disk, so that an interrupted experiment resumes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gearing.forecasters.rows import Rows
from gearing.forecasters.walk_forward import Forecast
from gearing.storage.atomic import write_arrays
from gearing.storage.digest import digest


def cached_forecast(
    folder: Path | None, rows: Rows, settings: dict[str, Any], compute: Callable[[], Forecast]
) -> Forecast:
    """The forecast stored in ``folder`` for the same rows and settings, else computed and stored.

    Parameters
    ----------
    settings : dict
        Everything else that determines the result: recipe, parameters, schedule, versions.
    """
    if folder is None:
        return compute()
    key = digest(settings, rows.X, rows.y, rows.known_at, rows.contract, length=32)
    place = folder / f"{key}.npz"
    if place.is_file():
        with np.load(place) as stored:
            return Forecast(rows.take(stored["index"]), stored["value"], stored["fitted_until"])
    made = compute()
    index = _index_in(rows, made.rows)
    write_arrays(place, {"index": index, "value": made.value, "fitted_until": made.fitted_until})
    return made


def _index_in(rows: Rows, part: Rows) -> np.ndarray:
    """Index in ``rows`` of each row of ``part``."""
    place = {key: i for i, key in enumerate(zip(rows.contract, rows.known_at, strict=True))}
    return np.array([place[key] for key in zip(part.contract, part.known_at, strict=True)], dtype=np.int64)
