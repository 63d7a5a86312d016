"""Forecasts kept on disk, so that an experiment that stopped goes on where it was."""

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
    folder: Path | None, rows: Rows, facts: dict[str, Any], compute: Callable[[], Forecast]
) -> Forecast:
    """The forecast from ``folder`` if it was made of the same rows and facts, else computed and kept.

    Parameters
    ----------
    facts : dict
        Everything besides the rows that decides the outcome: recipe, parameters, schedule, versions.
    """
    if folder is None:
        return compute()
    key = digest(facts, rows.X, rows.y, rows.known_at, rows.contract, length=32)
    place = folder / f"{key}.npz"
    if place.is_file():
        with np.load(place) as stored:
            return Forecast(rows.take(stored["index"]), stored["value"], stored["fitted_until"])
    made = compute()
    index = _index_in(rows, made.rows)
    write_arrays(place, {"index": index, "value": made.value, "fitted_until": made.fitted_until})
    return made


def _index_in(rows: Rows, part: Rows) -> np.ndarray:
    """Where each row of ``part`` stands in ``rows``."""
    place = {key: i for i, key in enumerate(zip(rows.contract, rows.known_at, strict=True))}
    return np.array([place[key] for key in zip(part.contract, part.known_at, strict=True)], dtype=np.int64)
