"""The memory of a decision: of risk controls, then of a recurrent network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gearing.export.bundle.files import BundleError
from gearing.export.bundle.manifest import Manifest
from gearing.policies.registry import describe_control
from gearing.storage.text import read_json

_KINDS = "biufM"  # of its arrays: flags, numbers, moments


def split_memory(
    memory: tuple[Any, ...] | None, manifest: Manifest, state_shape: tuple[int, int, int] | None
) -> tuple[tuple[Any, ...] | None, np.ndarray | None]:
    """Memory of the controls, None at first, and the state of a recurrent network (parts, 1, width).

    Parameters
    ----------
    memory : tuple of arrays, or None
        As `read_memory` gives it.
    """
    controls = len(manifest.config.controls)
    if memory is None:
        return None, None if state_shape is None else np.zeros(state_shape, np.float32)
    given = memory
    state = given[controls] if len(given) > controls else None
    if state_shape is not None and len(given) == controls + 1:
        right = state is not None and len(state) == 1 and state[0].shape == state_shape
        if state is None or not right or not np.isfinite(state[0]).all():
            raise BundleError("memory holds no state of this bundle's network; give its own.")
    if len(given) != controls + (state_shape is not None):
        raise BundleError(
            f"memory has {len(given)} parts, this bundle has {controls + (state_shape is not None)} (one for each "
            "risk control, and one for a recurrent network); give its own."
        )
    return given[:controls], None if state is None else state[0].astype(np.float32)


def restarted(memories: tuple[Any, ...], manifest: Manifest) -> list[str]:
    """Note of a decision without memory on the controls and network that have one."""
    names = [describe_control(one)["control"] for one in manifest.config.controls] + ["the network"]
    found = [name for name, one in zip(names, memories, strict=False) if one is not None]
    if not found:
        return []
    return [f"no memory was given: {', '.join(found)} restart (memory=, of the last decision)"]


def written_memory(memory: tuple[Any, ...]) -> list[Any]:
    """Memory as plain values."""
    return [None if one is None else [_written(array) for array in one] for one in memory]


def _written(array: np.ndarray) -> dict[str, Any]:
    """An array of the memory as plain values."""
    plain = array.astype(np.int64) if array.dtype.kind == "M" else array
    values = [None if x != x else x for x in plain.ravel().tolist()]
    return {"dtype": array.dtype.str, "shape": list(array.shape), "values": values}


def memory_of(path: Path) -> Any:
    """Memory in the JSON of a decision.

    Raises
    ------
    BundleError
        If the file holds none.
    """
    try:
        values = read_json(path, dict)
    except ValueError as error:
        raise BundleError(str(error)) from error
    if "memory" not in values:
        raise BundleError(f"{path} is not the JSON of a decision: it has no memory; give what --json wrote.")
    return values["memory"]


def given_memory(given: Any) -> tuple[Any, ...] | None:
    """Memory as arrays: of a decision, of its JSON, or of the JSON file of a decision."""
    if given is None:
        return None
    return read_memory(memory_of(Path(given)) if isinstance(given, str | os.PathLike) else given)


def read_memory(given: Any) -> tuple[Any, ...]:
    """Memory of controls and network as arrays, from a `Decision` or from its JSON.

    Raises
    ------
    BundleError
        If it is neither.
    """
    try:
        return tuple(None if one is None else tuple(_read(array) for array in one) for one in given)
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise BundleError(
            "memory is not that of a decision; give decision.memory, or what its JSON holds under 'memory'."
        ) from error


def check_memory(given: Sequence[Any], fresh: Sequence[Any]) -> None:
    """Check that the memory of controls has the arrays that they begin with.

    Raises
    ------
    BundleError
        Otherwise: it is another bundle's.
    """
    for one, begun in zip(given, fresh, strict=True):
        if one is None:
            continue
        kinds = [(array.dtype, array.shape) for array in one]
        if begun is None or kinds != [(np.asarray(array).dtype, np.shape(array)) for array in begun]:
            raise BundleError("memory is not that of this bundle's risk controls; give its own.")


def _read(given: Any) -> np.ndarray:
    if isinstance(given, np.ndarray):
        return given
    dtype = np.dtype(str(given["dtype"]))
    if dtype.kind not in _KINDS:
        raise TypeError(f"an array of {dtype}")
    values = np.array([np.nan if x is None else x for x in given["values"]])
    plain = values.astype(np.int64).astype(dtype) if dtype.kind == "M" else values.astype(dtype)
    return plain.reshape(given["shape"])
