"""State of a batch of accounts as tensors, so that a checkpoint resumes within episodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from gearing.envs.sb3 import PerpetualVecEnv

_RECORDS = ("accounts", "positions", "ledgers", "steps", "observations", "saturated", "_keys")
_FACE = ("_returns", "_lengths")


def batch_state(env: PerpetualVecEnv) -> dict[str, Any]:
    """Accounts, positions, episode counters, and the state of reward and risk controls."""
    simulator = env.simulator
    return {
        "records": {name: _bytes(getattr(simulator, name)) for name in _RECORDS},
        "face": {name: _bytes(getattr(env, name)) for name in _FACE},
        "fresh": env._fresh,
        "seed": env._seed,
        "reward": {name: torch.from_numpy(array.copy()) for name, array in _memory(simulator.reward).items()},
        "controls": _controls_state(simulator),
    }


def restore_batch(env: PerpetualVecEnv, state: dict[str, Any]) -> None:
    """Restore the ``state`` of a batch of the same size."""
    simulator = env.simulator
    for name, stored in state["records"].items():
        _fill(getattr(simulator, name), stored)
    for name, stored in state["face"].items():
        _fill(getattr(env, name), stored)
    env._fresh, env._seed = state["fresh"], state["seed"]
    for name, stored in state["reward"].items():
        setattr(simulator.reward, name, stored.numpy().copy())
    desk = simulator._desk
    desk._begins = state["controls"]["begins"].numpy().copy()
    desk._memories = [
        None if one is None else tuple(_array(stored) for stored in one)
        for one in state["controls"]["memories"]
    ]


def _memory(reward: Any) -> dict[str, np.ndarray]:
    """Arrays of a reward's state per account."""
    return {name: value for name, value in vars(reward).items() if isinstance(value, np.ndarray)}


def _controls_state(simulator: Any) -> dict[str, Any]:
    """State of the risk controls of every account."""
    desk = simulator._desk
    memories = [None if one is None else [_typed(array) for array in one] for one in desk._memories]
    return {"begins": torch.from_numpy(desk._begins.copy()), "memories": memories}


def _typed(array: np.ndarray) -> list[Any]:
    """An array of any type, with its type and shape."""
    return [array.dtype.str, list(array.shape), _bytes(array)]


def _array(stored: list[Any]) -> np.ndarray:
    dtype, shape, raw = stored
    return np.frombuffer(raw.numpy().tobytes(), dtype=dtype).reshape(shape).copy()


def _bytes(array: np.ndarray) -> torch.Tensor:
    return torch.frombuffer(bytearray(np.ascontiguousarray(array).tobytes()), dtype=torch.uint8)


def _fill(array: np.ndarray, stored: torch.Tensor) -> None:
    raw = np.frombuffer(stored.numpy().tobytes(), dtype=array.dtype)
    if raw.size != array.size:
        raise ValueError(
            f"the checkpoint holds {raw.size} values where this training has {array.size}; it was made with other "
            "settings."
        )
    array[...] = raw.reshape(array.shape)
