"""Accounts over markets: the Simulator, its settings, observations, action schemes, rewards and the Policy protocol."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "SimulationConfig": "config",
    "Slippage": "config",
    "Simulator": "simulator",
    "Observation": "observation",
    "ObservationLayout": "observation",
    "Policy": "policy",
    "action_scheme": "actions",
    "reward": "rewards",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
