"""Checkpoints: one file, replaced atomically."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from gearing.storage.atomic import write_atomically

_NAME = "checkpoint.pt"


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
            state = torch.load(self.path, weights_only=True)
        except Exception as error:
            raise ValueError(
                f"{self.path} is not a readable checkpoint ({type(error).__name__}); delete it to train from the "
                "start."
            ) from error
        if state.pop("identity") != self.identity:
            raise ValueError(
                f"{self.path} belongs to another training: settings, data or seed differ. Use another checkpoint "
                "folder, or resume=False to train from the start."
            )
        return state
