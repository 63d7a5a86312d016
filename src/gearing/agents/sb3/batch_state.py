"""State of a batch of accounts as tensors, so that a checkpoint continues in the middle of its episodes."""

from typing import Any

import numpy as np
import torch

_ARRAY = "array"


def as_tensors(state: Any) -> Any:
    """Nested dicts and lists with every array replaced by its type, shape and bytes, which torch saves and loads."""
    if isinstance(state, np.ndarray):
        raw = torch.frombuffer(bytearray(np.ascontiguousarray(state).tobytes()), dtype=torch.uint8)
        return {_ARRAY: [state.dtype.str, list(state.shape), raw]}
    if isinstance(state, dict):
        return {name: as_tensors(value) for name, value in state.items()}
    return [as_tensors(value) for value in state] if isinstance(state, list) else state


def as_arrays(saved: Any) -> Any:
    """The state that ``as_tensors`` was given."""
    if isinstance(saved, dict) and _ARRAY in saved:
        dtype, shape, raw = saved[_ARRAY]
        return np.frombuffer(raw.numpy().tobytes(), dtype=dtype).reshape(shape)
    if isinstance(saved, dict):
        return {name: as_arrays(value) for name, value in saved.items()}
    return [as_arrays(value) for value in saved] if isinstance(saved, list) else saved
