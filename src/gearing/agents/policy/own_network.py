"""A network that was made elsewhere, with everything around it: scaling, the meaning of its actions, its state."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class OwnNetwork(nn.Module):
    """Raw observation columns (n, n_columns) to target leverage, or to the actions of a scheme, (n, n_slots).

    Parameters
    ----------
    actor : torch.nn.Module
        Takes the scaled columns, then its state or the allowed choices if it has them; returns actions, and its next
        state.
    n_columns, n_slots : int
    scaling : torch.nn.Module, optional
    offset, factor : float
        Target leverage = offset + factor x action.
    state : (int, int), optional
        Parts and width of a recurrent network's state.
    """

    def __init__(
        self,
        actor: nn.Module,
        n_columns: int,
        n_slots: int,
        *,
        scaling: nn.Module | None = None,
        offset: float = 0.0,
        factor: float = 1.0,
        state: tuple[int, int] | None = None,
    ):
        super().__init__()
        self.actor, self.scaling = actor, scaling
        self.n_columns, self.n_slots = n_columns, n_slots
        self.offset, self.factor = float(offset), float(factor)
        self.shape = state  # as a recurrent graph of gearing's own has it

    def forward(self, raw: Tensor, extra: Tensor | None = None) -> Any:
        """Actions; of a recurrent network a pair of actions and the next state (parts, n, width)."""
        scaled = raw if self.scaling is None else self.scaling(raw)
        found = self.actor(scaled) if extra is None else self.actor(scaled, extra)
        if self.shape is None:
            return self._leverage(found)
        action, after = found
        return self._leverage(action), after

    def _leverage(self, action: Tensor) -> Tensor:
        if (self.offset, self.factor) == (0.0, 1.0):
            return action
        return self.offset + self.factor * action

    def predict(
        self,
        raw: np.ndarray,
        state: Any,
        episode_start: np.ndarray | None,
        deterministic: bool,
        action_masks: np.ndarray | None = None,
    ) -> tuple[np.ndarray, Any]:
        """Actions of numpy observations; the state (parts, n, width) is zeroed where an episode begins.

        Raises
        ------
        ValueError
            For actions that are not finite, or of another shape.
        """
        del deterministic  # only the mode is used
        with torch.no_grad():
            rows = torch.from_numpy(np.array(raw, np.float32))
            if self.shape is not None:
                found, after = self(rows, self._state(len(rows), state, episode_start))
                return self._checked(found, raw), after.numpy()
            masks = () if action_masks is None else (torch.from_numpy(np.asarray(action_masks, np.bool_)),)
            return self._checked(self(rows, *masks), raw), None

    def _state(self, n: int, state: Any, episode_start: np.ndarray | None) -> Tensor:
        assert self.shape is not None
        parts, width = self.shape
        if state is None:
            return torch.zeros(parts, n, width)
        runs = np.ones(n, bool) if episode_start is None else ~np.asarray(episode_start, bool)
        return torch.from_numpy(np.asarray(state, np.float32) * runs[:, None])

    def _checked(self, actions: Any, raw: np.ndarray) -> np.ndarray:
        """Actions as an array of the right shape, whose values are finite."""
        if not isinstance(actions, Tensor):
            raise ValueError(
                f"the network returned {type(actions).__name__}; it must return one tensor of actions."
            )
        found, shape = actions.numpy(), (len(raw), self.n_slots)
        if found.shape != shape:
            raise ValueError(
                f"the network returned shape {found.shape} for {shape[0]} observations; it must be {shape}: one action "
                "for each contract."
            )
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            row = int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
            raise ValueError(
                f"the network returned {found[row].tolist()} for the columns {raw[row].tolist()}; actions must be "
                "finite. Scale or bound its inputs (normalisation=), or train it again."
            )
        return found
