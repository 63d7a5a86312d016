"""What risk controls are told at a decision, and how a list of them is applied.

A control is an object with ``required_columns`` and one method, ``apply``. It knows nothing of simulators: an
exported policy that decides on live bars applies the same list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gearing.exchange.records import guard_dtype, records


@dataclass(frozen=True)
class Situation:
    """What is known at a decision of n accounts with n_slots positions each.

    Attributes
    ----------
    columns : mapping
        Observation columns by name: of the market (n, n_contracts), the positions (n, n_slots), the account (n, 1).
    time : (n,) datetime64[ms]
        The deciding close, UTC.
    equity : (n,) float64
        In the settle coin.
    liquidated : (n, n_slots) bool
        Whether the position was liquidated since the previous decision.
    begins : (n,) bool
        Whether the episode begins here: what a control remembers is then void.
    margin_share : (n_slots,) float64
        Part of equity behind each slot.
    """

    columns: Mapping[str, np.ndarray]
    time: np.ndarray
    equity: np.ndarray
    liquidated: np.ndarray
    begins: np.ndarray
    margin_share: np.ndarray

    @property
    def leverage(self) -> np.ndarray:
        """Signed leverage that each position has now, in units of a target (n, n_slots)."""
        return self.columns["effective_leverage"].astype(np.float64) / self.margin_share

    def of(self, name: str) -> np.ndarray:
        """A column in double precision, for every slot (n, n_slots)."""
        return self.per_slot(self.columns[name].astype(np.float64))

    def per_slot(self, values: np.ndarray) -> np.ndarray:
        """Values of contracts, or of the account, given to each of their slots."""
        return np.repeat(values, self.margin_share.size // values.shape[1], axis=1)


class Control(Protocol):
    """Changes decisions and says where it did."""

    required_columns: tuple[str, ...]

    def apply(
        self, targets: np.ndarray, guards: np.recarray, now: Situation, memory: Any
    ) -> tuple[np.ndarray, np.recarray, Any]:
        """Targets (n, n_slots; NaN holds) and resting orders after this control, and what it remembers next time.

        ``memory`` is None at first, then what was returned: None or a tuple of arrays whose first axis is accounts.
        Inputs are not changed in place.
        """
        ...


def no_guards(shape: tuple[int, ...]) -> np.recarray:
    """Resting orders of nobody: every distance NaN."""
    guards = records(shape, guard_dtype)
    guards.stop = guards.take_profit = guards.trailing = np.nan
    return guards


def apply_controls(
    controls: Sequence[Control],
    targets: np.ndarray,
    now: Situation,
    memories: Sequence[Any],
    guards: np.recarray | None = None,
) -> tuple[np.ndarray, np.recarray, list[Any], np.ndarray]:
    """Put decisions through a list of controls, in order.

    Returns
    -------
    targets : (n, n_slots) float64
    guards : (n, n_slots) recarray of ``guard_dtype``
    memories : one per control, to be given back at the next decision
    acted : (n, n_controls) bool
        Where a control changed a target. Resting orders act at the exchange; the ledger counts those.
    """
    guards = no_guards(targets.shape) if guards is None else guards
    kept, acted = [], np.zeros((len(targets), len(controls)), np.bool_)
    for k, (control, memory) in enumerate(zip(controls, memories, strict=True)):
        before = targets
        targets, guards, memory = control.apply(targets, guards, now, memory)
        same = (targets == before) | (np.isnan(targets) & np.isnan(before))
        acted[:, k] = ~same.all(axis=1)
        kept.append(memory)
    return targets, guards, kept, acted
