"""Learning a policy: stable-baselines3 families and the differentiable agent; checkpoints and resume.

Importing this room imports nothing heavy; torch and stable-baselines3 come with the first name that needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "AgentSettings": "settings",
    "agent_settings": "settings",
    "agent_names": "settings",
    "LearnedPolicy": "learned",
    "load_policy": "learned",
    "TrainedAgent": "training",
    "train_agent": "training",
    "growth_per_year": "scoring",
    "TrainingDiverged": "health",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
