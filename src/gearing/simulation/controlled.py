"""Risk controls inside the Simulator: every face that steps it gets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.exchange.situation import Control, Situation, apply_controls

if TYPE_CHECKING:
    from gearing.simulation.simulator import Simulator


class ControlDesk:
    """The controls of a simulation, with what each remembers of every account.

    Attributes
    ----------
    acted : (n_accounts, n_controls) bool
        Which controls changed a target of the last step.
    decided : (n_accounts, n_slots) float64
        Targets of the last step, after all controls.
    """

    def __init__(self, controls: tuple[Control, ...], simulator: Simulator):
        self.controls = controls
        self.acted = np.zeros((simulator.n_accounts, len(controls)), np.bool_)
        self.decided = np.full((simulator.n_accounts, len(simulator.slots)), np.nan)
        self._memories: list[Any] = [None] * len(controls)
        self._begins = np.ones(simulator.n_accounts, np.bool_)
        legs = len(simulator.slots) // len(simulator.contracts)
        shares = np.asarray(simulator.config.shares(len(simulator.contracts)))
        self._margin_share = np.repeat(shares, legs) / legs
        known = tuple(simulator.view)
        for control in controls:
            missing = [name for name in control.required_columns if name not in known]
            if missing:
                raise ValueError(
                    f"control {type(control).__name__} reads {', '.join(missing)}, which the observation lacks; add "
                    "them to the features."
                )

    def begin(self, mask: np.ndarray) -> None:
        """Accounts whose next decision is the first of an episode."""
        self._begins |= mask

    def decide(
        self, simulator: Simulator, targets: np.ndarray, guards: np.recarray | None, active: np.ndarray
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
        self._memories = [_kept(old, new, active) for old, new in zip(self._memories, memories, strict=True)]
        self.acted[active] = acted[active]
        self._begins[active] = False
        self.decided = targets
        return targets, guards


def _kept(old: Any, new: Any, active: np.ndarray) -> Any:
    """What is remembered: of accounts that do not step, what it was."""
    if old is None or new is None or active.all():
        return new
    return tuple(
        np.where(active.reshape(-1, *[1] * (b.ndim - 1)), b, a) for a, b in zip(old, new, strict=True)
    )
