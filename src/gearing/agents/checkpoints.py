"""Checkpoints: one file, replaced atomically."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gearing.storage.atomic import set_aside, write_atomically

_NAME, _ARRAY = "checkpoint.pt", "array"
_logger = logging.getLogger(__name__)


class CheckpointFolder:
    """The checkpoint of a training.

    Parameters
    ----------
    folder : path
        Created if missing.
    identity : mapping
        Settings, market fingerprints and seed of the training. A checkpoint of another training is refused.
    """

    def __init__(self, folder: str | Path, identity: Mapping[str, Any]):
        self.path = Path(folder) / _NAME
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.identity = json.dumps(identity, sort_keys=True, default=str)

    def write(self, state: Mapping[str, Any]) -> None:
        """Replace the checkpoint."""
        whole = {"identity": self.identity, **state}
        write_atomically(self.path, lambda draft: torch.save(whole, draft))

    def read(self) -> dict[str, Any] | None:
        """The checkpoint, or None if there is none.

        Raises
        ------
        ValueError
            If it belongs to another training, or cannot be read.
        """
        if not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            identity = state.pop("identity")
        except Exception as error:
            raise ValueError(
                f"{self.path} is not a readable checkpoint ({type(error).__name__}); delete it to train from the "
                "start."
            ) from error
        if identity != self.identity:
            raise ValueError(
                f"{self.path} belongs to another training: settings, data or seed differ. Use another checkpoint "
                "folder, or resume=False to train from the start."
            )
        return dict(state)

    def read_or_set_aside(self) -> dict[str, Any] | None:
        """The checkpoint, or None if there is none of this training; one that cannot be used is renamed."""
        try:
            return self.read()
        except ValueError as error:
            reason = str(error).partition(";")[0].partition(". ")[0]
            _logger.warning("%s. It is now %s, and training starts anew.", reason, set_aside(self.path).name)
            return None


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
