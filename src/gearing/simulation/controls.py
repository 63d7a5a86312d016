"""Risk controls: their inputs at a decision, and how a list of them is applied.

A control is an object with ``required_columns`` and one method, ``apply``. It does not depend on the simulator: an
exported policy applies the same list to live bars.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gearing.exchange.records import guard_dtype, records
from gearing.simulation.policy import check_columns


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
        Whether the episode begins here: the controls' memories are then void.
    margin_share : (n_slots,) float64
        Share of equity of each slot.
    """

    columns: Mapping[str, np.ndarray]
    time: np.ndarray
    equity: np.ndarray
    liquidated: np.ndarray
    begins: np.ndarray
    margin_share: np.ndarray

    @property
    def leverage(self) -> np.ndarray:
        """Present signed leverage of each position, in units of a target (n, n_slots)."""
        return self.columns["effective_leverage"].astype(np.float64) / self.margin_share

    def of(self, name: str) -> np.ndarray:
        """A column in double precision, for every slot (n, n_slots)."""
        return self.per_slot(self.columns[name].astype(np.float64))

    def per_slot(self, values: np.ndarray) -> np.ndarray:
        """Values of contracts, or of the account, for each of their slots."""
        return np.repeat(values, self.margin_share.size // values.shape[1], axis=1)


class Control(Protocol):
    """Changes decisions."""

    required_columns: tuple[str, ...]

    def apply(
        self, targets: np.ndarray, guards: np.recarray, now: Situation, memory: Any
    ) -> tuple[np.ndarray, np.recarray, Any]:
        """Targets (n, n_slots; NaN holds) and resting orders after this control, and its next memory.

        ``memory`` is None at first, then what was returned: None or a tuple of arrays whose first axis is accounts.
        Inputs are not changed in place.
        """


def no_guards(shape: tuple[int, ...]) -> np.recarray:
    """No resting orders: every distance NaN."""
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
    """Apply a list of controls to decisions, in order.

    Returns
    -------
    targets : (n, n_slots) float64
    guards : (n, n_slots) recarray of ``guard_dtype``
    memories : one per control, for the next decision
    acted : (n, n_controls) bool
        Where a control changed a target. Resting orders act at the exchange; the ledger counts those.
    """
    guards = no_guards(targets.shape) if guards is None else guards
    new_memories, acted = [], np.zeros((len(targets), len(controls)), np.bool_)
    for k, (control, memory) in enumerate(zip(controls, memories, strict=True)):
        before = targets
        targets, guards, memory = control.apply(targets, guards, now, memory)
        same = (targets == before) | (np.isnan(targets) & np.isnan(before))
        acted[:, k] = ~same.all(axis=1)
        new_memories.append(memory)
    return targets, guards, new_memories, acted


class Simulated(Protocol):
    """What controls read of a simulation; a Simulator has it."""

    config: Any
    n_accounts: int
    contracts: tuple[Any, ...]
    slots: tuple[str, ...]
    accounts: np.recarray
    ledgers: np.recarray

    @property
    def view(self) -> Mapping[str, np.ndarray]:
        """The current observations by column name."""

    @property
    def time(self) -> np.ndarray:
        """Moment of each account's next decision."""


class ControlState:
    """The controls of a simulation, with their memories of every account.

    Attributes
    ----------
    acted : (n_accounts, n_controls) bool
        Which controls changed a target of the last step.
    decided : (n_accounts, n_slots) float64
        Targets of the last step, after all controls.
    """

    def __init__(self, controls: tuple[Control, ...], simulator: Simulated):
        self.controls = controls
        self.acted = np.zeros((simulator.n_accounts, len(controls)), np.bool_)
        self.decided = np.full((simulator.n_accounts, len(simulator.slots)), np.nan)
        self._memories: list[Any] = [None] * len(controls)
        self._begins = np.ones(simulator.n_accounts, np.bool_)
        legs = len(simulator.slots) // len(simulator.contracts)
        shares = np.asarray(simulator.config.shares(len(simulator.contracts)))
        self._margin_share = np.repeat(shares, legs) / legs
        for control in controls:
            check_columns(control, tuple(simulator.view))

    def begin(self, mask: np.ndarray) -> None:
        """Mark accounts whose next decision is the first of an episode."""
        self._begins |= mask

    def state(self) -> dict[str, Any]:
        """Copies of the memories: ``begins`` (n_accounts,), and per control None or a list of arrays."""
        memories = [None if one is None else [array.copy() for array in one] for one in self._memories]
        return {"begins": self._begins.copy(), "memories": memories}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a ``state``."""
        self._begins = state["begins"].copy()
        self._memories = [None if one is None else tuple(a.copy() for a in one) for one in state["memories"]]

    def decide(
        self, simulator: Simulated, targets: np.ndarray, guards: np.recarray | None, active: np.ndarray
    ) -> tuple[np.ndarray, np.recarray | None]:
        """Targets and resting orders after all controls."""
        if not self.controls:
            self.decided = targets
            return targets, guards
        now = Situation(
            columns=simulator.view,
            time=simulator.time,
            equity=simulator.accounts.equity.copy(),
            liquidated=(simulator.ledgers.liquidations > 0) & ~self._begins[:, None],
            begins=self._begins.copy(),
            margin_share=self._margin_share,
        )
        targets, guards, memories, acted = apply_controls(self.controls, targets, now, self._memories, guards)
        self._memories = [
            _updated(old, new, active) for old, new in zip(self._memories, memories, strict=True)
        ]
        self.acted[active] = acted[active]
        self._begins[active] = False
        self.decided = targets
        return targets, guards


def _updated(old: Any, new: Any, active: np.ndarray) -> Any:
    """New memories, unchanged for accounts that do not step."""
    if old is None or new is None or active.all():
        return new
    return tuple(
        np.where(active.reshape(-1, *[1] * (b.ndim - 1)), b, a) for a, b in zip(old, new, strict=True)
    )
