"""Statistics of stable-baselines3's ``VecNormalize``: from the object, or from a NumPy file that holds no pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from gearing.names import shown
from gearing.storage.atomic import write_arrays

_NAMES = ("mean", "var", "clip_obs", "epsilon")
_HOW = 'gearing.agents.save_normalisation(VecNormalize.load("FILE.pkl", env), "FILE.npz"), where you trust the pickle'


def save_normalisation(vec_normalize: Any, path: str | Path) -> Path:
    """Write the observation statistics of a ``VecNormalize`` as a NumPy file, which `from_sb3` reads.

    Parameters
    ----------
    vec_normalize : stable_baselines3.common.vec_env.VecNormalize
    path : path
        Ends in ``.npz``; replaced if there is one.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"{path}: normalisation is written as .npz; write {path.with_suffix('.npz')}.")
    write_arrays(path, _of_object(vec_normalize))
    return path


def read_normalisation(given: Any, n_inputs: int) -> dict[str, Any] | None:
    """Arguments of `gearing.agents.policy.extractor.ScaledColumns`; None for None and False.

    Parameters
    ----------
    given : VecNormalize, path of a file of `save_normalisation`, mapping, None or False
        The mapping has ``mean`` and ``var`` (n_inputs,), and optionally ``clip_obs`` and ``epsilon``.

    Raises
    ------
    TypeError, ValueError
        For another object, a pickle, statistics of another size, or values that are not finite.
    """
    if given is None or given is False:
        return None
    where = str(given) if isinstance(given, str | Path) else "normalisation"
    values = _read(given, where)
    arrays = {name: _numbers(values[name], f"{where}: {name}") for name in values}
    mean, var = arrays["mean"], arrays["var"]
    if mean.shape != (n_inputs,) or var.shape != (n_inputs,):
        raise ValueError(
            f"{where} is of observations with shape {mean.shape} (mean) and {var.shape} (var); the model reads "
            f"{n_inputs} columns."
        )
    epsilon, clip = float(arrays.get("epsilon", 1e-8)), float(arrays.get("clip_obs", 10.0))
    if (var < 0.0).any() or epsilon < 0.0 or not clip > 0.0 or (var + epsilon <= 0.0).any():
        raise ValueError(f"{where}: var and epsilon must be 0 or more and not both 0, clip_obs more than 0.")
    return {"centre": mean, "spread": np.sqrt(var + epsilon), "keep": range(n_inputs), "clip": clip}


def _read(given: Any, where: str) -> dict[str, Any]:
    if isinstance(given, str | Path):
        values = _of_file(Path(given))
    elif isinstance(given, dict):
        values = given
    else:
        values = _of_object(given)
    unknown = sorted(set(values) - set(_NAMES))
    missing = [name for name in ("mean", "var") if name not in values]
    if unknown or missing:
        problem = f"lacks {missing[0]}" if missing else f"holds {unknown[0]!r}"
        raise ValueError(f"{where} {problem}; it has {', '.join(_NAMES)}, the last two if they differ.")
    return values


def _of_object(given: Any) -> dict[str, Any]:
    statistics = getattr(given, "obs_rms", None)
    if not hasattr(given, "clip_obs") or statistics is None:
        raise TypeError(
            f"normalisation is {shown(given)}; give a VecNormalize that scales observations, an .npz file of "
            "gearing.agents.save_normalisation, or a mapping of mean, var, clip_obs and epsilon."
        )
    if isinstance(statistics, dict):
        raise TypeError("this VecNormalize is of dictionaries; only one array of observations is supported.")
    return {
        "mean": statistics.mean, "var": statistics.var, "clip_obs": given.clip_obs, "epsilon": given.epsilon
    }  # fmt: skip


def _of_file(path: Path) -> dict[str, Any]:
    if path.suffix != ".npz":
        raise ValueError(
            f"{path} is no .npz file; pickles run code and are not read. Convert a saved VecNormalize once: {_HOW}."
        )
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file.") from None
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as arrays ({error}); write it again: {_HOW}.") from None


def _numbers(value: Any, what: str) -> np.ndarray:
    try:
        found = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{what} is {shown(value)}; it must be numbers.") from None
    if not np.isfinite(found).all():
        raise ValueError(f"{what} holds a value that is not finite.")
    return found
