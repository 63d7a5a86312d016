"""What is needed of a stable-baselines3 model to decide."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Actor:
    """A model's policy network and spaces, wherever they came from."""

    policy: Any  # of stable-baselines3, with its weights
    algorithm: str
    observations: Any
    actions: Any
