"""What policies did, as a trial leaves it on disk: a file for each account, without and with the overlay."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from gearing.evaluation.result import BacktestResult
from gearing.simulation.config import SimulationConfig
from gearing.storage.atomic import write_arrays

POLICY = "policy"  # the folder of a trained agent's weights
VALIDATION = "validation"  # its growth on validation in a trial's summary
OVERLAY = " + controls"  # behind the name of a policy that is played with the overlay


def result_file(account: str | None, overlay: bool) -> str:
    """Name of the file of an account; None is the whole market's."""
    return f"{account or 'market'}{'-overlay' if overlay else ''}.npz"


def save_result(result: BacktestResult, path: Path, more: Mapping[str, Any] | None = None) -> None:
    """Write what a policy did, decision by decision, and more arrays with it."""
    arrays = {field.name: getattr(result, field.name) for field in fields(result)}
    del arrays["name"], arrays["config"]
    arrays["notes"] = np.array(result.notes, dtype=np.str_)
    arrays |= {f"more_{name}": array for name, array in (more or {}).items()}
    write_arrays(path, {k: np.asarray(v) for k, v in arrays.items() if v is not None}, compressed=True)


def load_result(
    name: str, path: Path, config: SimulationConfig
) -> tuple[BacktestResult, dict[str, np.ndarray]]:
    """What a policy did, and the arrays that were written with it.

    Raises
    ------
    ValueError
        If the file is missing or damaged.
    """
    try:
        with np.load(path) as stored:
            arrays = {key: stored[key] for key in stored.files}
    except (OSError, ValueError, BadZipFile) as error:
        advice = f"Delete the folder {path.parent}; a study that is started again plays the trial again."
        raise ValueError(f"{path} is missing or damaged ({error}). {advice}") from None
    more = {key.removeprefix("more_"): arrays.pop(key) for key in list(arrays) if key.startswith("more_")}
    for key in ("steps", "ledgers"):
        arrays[key] = arrays[key].view(np.recarray)
    result = BacktestResult(
        name=name, ruined=bool(arrays.pop("ruined")), slots=tuple(arrays.pop("slots").tolist()),
        notes=tuple(arrays.pop("notes").tolist()), config=config, **arrays,
    )  # fmt: skip
    return result, more
