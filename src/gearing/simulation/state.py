"""State of a simulator's accounts as plain arrays, so that a checkpoint continues in the middle of its episodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gearing.simulation.simulator import Simulator

_RECORDS = ("accounts", "positions", "ledgers", "steps", "observations", "saturated", "episode_keys")


def accounts_state(simulator: Simulator) -> dict[str, Any]:
    """Copies of the arrays that say where every account stands, in nested dicts and lists.

    Accounts and positions, the last step, episode counters, and what the reward and the risk controls remember.
    """
    return {
        "records": {name: getattr(simulator, name).copy() for name in _RECORDS},
        "reward": {k: v.copy() for k, v in vars(simulator.reward).items() if isinstance(v, np.ndarray)},
        "controls": simulator.controls.state(),
    }


def restore_accounts(simulator: Simulator, state: Mapping[str, Any]) -> None:
    """Put the accounts back where ``accounts_state`` was taken, in a simulator of the same settings."""
    for name in _RECORDS:
        copy_bytes(state["records"][name], getattr(simulator, name))
    for name, array in state["reward"].items():
        setattr(simulator.reward, name, array.copy())
    simulator.controls.restore(state["controls"])


def copy_bytes(saved: np.ndarray, array: np.ndarray) -> None:
    """Write saved values into an array, in place; another size is refused."""
    if saved.nbytes != array.nbytes:
        raise ValueError(
            f"the checkpoint holds {saved.nbytes // array.itemsize} values where this training has {array.size}; it "
            "was made with other settings."
        )
    array[...] = np.frombuffer(saved.tobytes(), array.dtype).reshape(array.shape)
