"""Methods, attributes and frames of single accounts of a batch, as a list of environments has them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from gymnasium import spaces

from gearing.envs.build import require_begun
from gearing.envs.render import RENDER_MODES, Frames
from gearing.names import shown
from gearing.simulation.simulator import Simulator

METHODS = ("action_masks", "render", "spec_table")


class PerAccount:
    """Methods and attributes of each account of a batch.

    Attributes that the batch itself has are one for all and cannot be set per account; others are stored and
    read back unchanged.
    """

    def __init__(
        self, batch: Any, simulator: Simulator, frames: Frames, single: tuple[spaces.Space, spaces.Space]
    ):
        self._batch, self._simulator, self._frames = batch, simulator, frames
        self._shared = {
            "observation_space": single[0], "action_space": single[1], "render_mode": frames.mode,
            "metadata": {"render_modes": RENDER_MODES, "render_fps": 4}, "spec": None,
        }  # fmt: skip
        self._own: dict[str, dict[int, Any]] = {}

    def get(self, name: str, indices: Iterable[int]) -> list[Any]:
        """An attribute of each of the accounts; of a method, one that can be called.

        Raises
        ------
        AttributeError
            If the accounts do not have it; the message says what they have.
        IndexError
            If there is no such account.
        """
        return [self._value(name, i) for i in self._checked(indices)]

    def call(self, name: str, indices: Iterable[int], *args: Any, **kwargs: Any) -> list[Any]:
        """What a method returns for each of the accounts; an attribute is returned as it is."""
        found = self.get(name, indices)
        return [value(*args, **kwargs) if callable(value) else value for value in found]

    def set(self, name: str, values: Iterable[Any], indices: Iterable[int]) -> None:
        """Keep an attribute of each of the accounts."""
        if name in METHODS or name in self._shared or hasattr(self._batch, name):
            raise AttributeError(
                f"{name!r} belongs to the whole {type(self._batch).__name__}: it cannot be set for its accounts. "
                "Make another environment with the other setting."
            )
        self._own.setdefault(name, {}).update(zip(self._checked(indices), values, strict=True))

    def _value(self, name: str, i: int) -> Any:
        if i in self._own.get(name, {}):
            return self._own[name][i]
        if name in METHODS:
            return lambda *args, **kwargs: getattr(self, f"_{name}")(i, *args, **kwargs)
        if name in self._shared:
            return self._shared[name]
        if (
            not name.startswith("_")
            and hasattr(self._batch, name)
            and not callable(getattr(self._batch, name))
        ):
            return getattr(self._batch, name)
        raise AttributeError(
            f"{type(self._batch).__name__} is one batch; an account of it has no {name!r}. There are "
            f"{', '.join((*METHODS, *self._shared, *self._own))}."
        )

    def _checked(self, indices: Iterable[int]) -> list[int]:
        given: Any = indices if isinstance(indices, Iterable) and not isinstance(indices, str) else [indices]
        found, count = list(given), self._simulator.n_accounts
        for i in found:
            if not isinstance(i, int | np.integer):
                raise TypeError(f"the index of an account is {shown(i)}; it must be a whole number.")
            if not -count <= i < count:
                raise IndexError(f"there is no account {i}; there are 0 to {count - 1}.")
        return [int(i) % count for i in found]

    def _action_masks(self, i: int) -> np.ndarray:
        require_begun(self._simulator)
        return self._simulator.action_masks()[i].reshape(-1)

    def _render(self, i: int) -> Any:
        if self._frames.mode is not None:
            require_begun(self._simulator)
        return self._frames.of(i)

    def _spec_table(self, i: int) -> Any:
        return self._simulator.layout.table()
