"""Keep any policy within a budget: of one position, or of a book on cross margin."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gearing.forecasters.excursion_law.law import columns_of
from gearing.policies.controls.guards import Decision
from gearing.policies.registry import control
from gearing.policies.rules.excursion_budget import adverse_size, check_event, checked_promise
from gearing.policies.rules.rule import check_numbers
from gearing.simulation.controls import Situation

_SIDES = {"long": (1,), "short": (-1,), "both": (1, -1)}


@control("risk_limit")
@dataclass(frozen=True)
class RiskLimit:
    """Scale positions down until the probability of liquidation, or of a loss, within the horizon is within a budget.

    It wraps any policy. Each contract's distance of the budget is a column of the law in
    `gearing.forecasters.excursion_law`. On isolated margin every position is limited by itself. On cross margin the
    whole book is: the losses at the distances are joined by correlations in crashes, and all positions are scaled
    together. A side that has no promise (``sides``) is closed.

    Parameters
    ----------
    probability : float
        Budget within one horizon, from 0.001 to 0.5.
    horizon : str
        Whole days from 1d to 30d.
    event : {"liquidation", "drawdown"}
    drawdown : float
        Share of the margin (on cross margin, of the equity) whose loss is the event.
    sides : {"long", "short", "both"}
        Sides that the policy may hold.
    margin_mode : {"isolated", "cross"}
        As the account's.
    maintenance : float
        Maintenance margin rate of the tiers in use.
    correlation_long, correlation_short : float
        Of the losses of two longs, and of two shorts, in moves as large as the budget's: falls are more common to all
        contracts than rises. Chosen on books of three of BTC, ETH, BNB, ADA, BCH and LINK in 2021 and 2022.
    hedge : float
        Correlation of what longs and shorts share: how far the shorts' gains make up for the longs' losses, and the
        other way round. What a contract does alone is not hedged.
    """

    probability: float = 0.05
    horizon: str = "7d"
    event: str = "liquidation"
    drawdown: float = 0.5
    sides: str = "both"
    margin_mode: str = "isolated"
    maintenance: float = 0.01
    correlation_long: float = 0.85
    correlation_short: float = 0.5
    hedge: float = 0.7

    def __post_init__(self) -> None:
        check_numbers(self)
        check_event(self)
        for name, known in (("sides", tuple(_SIDES)), ("margin_mode", ("isolated", "cross"))):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"RiskLimit: {name} is {getattr(self, name)!r}; it must be one of {', '.join(known)}."
                )
        for name in ("correlation_long", "correlation_short", "hedge"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"RiskLimit: {name} is {getattr(self, name)}; it must be from 0 to 1.")
        checked_promise(self, _SIDES[self.sides])

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Distances of the sides, and the leverage that is held."""
        return (*columns_of(self.horizon, self.probability, _SIDES[self.sides]), "effective_leverage")

    def apply(self, targets: np.ndarray, guards: np.recarray, now: Situation, memory: Any) -> Decision:
        """Targets within the budget; a held position (NaN) is cut where it is beyond."""
        wanted = np.where(np.isnan(targets), now.leverage, targets)
        held = np.where(np.isin(np.sign(wanted), [0, *_SIDES[self.sides]]), wanted, 0.0)
        cross = self.margin_mode == "cross"
        exposure = held * now.margin_share if cross else held
        share = np.minimum(self._share(exposure, now, cross), 1.0)
        within = share * held
        return np.where(within == wanted, targets, within), guards, memory

    def _share(self, exposure: np.ndarray, now: Situation, cross: bool) -> np.ndarray:
        """Factor at which the event lies at the budget's distance; (n, 1) of a book, else (n, n_slots)."""
        loss = {1: np.zeros(exposure.shape), -1: np.zeros(exposure.shape)}
        margin = np.zeros(exposure.shape)
        for side, column in zip(_SIDES[self.sides], self.required_columns, strict=False):
            size = adverse_size(now.of(column), side)
            notional = np.where(np.sign(exposure) == side, np.abs(exposure), 0.0)
            loss[side] = notional * size
            margin += notional * self.maintenance * (1.0 - side * size)
        joined = self._joined(loss[1], loss[-1]) if cross else loss[1] + loss[-1]
        margin = margin.sum(axis=1, keepdims=True) if cross else margin
        share = 1.0 / np.maximum(joined + margin, 1e-12)
        if self.event == "drawdown":
            share = np.minimum(share, self.drawdown / np.maximum(joined, 1e-12))
        return share

    def _joined(self, long: np.ndarray, short: np.ndarray) -> np.ndarray:
        """Loss of a book whose positions lose these shares of its equity (n, 1): one common factor and the rest."""
        common, apart = [], 0.0
        for loss, rho in ((long, self.correlation_long), (short, self.correlation_short)):
            common.append(np.sqrt(rho) * loss.sum(axis=1, keepdims=True))
            apart = apart + (1.0 - rho) * (loss**2).sum(axis=1, keepdims=True)
        a, b = common
        return np.sqrt(np.maximum(a**2 + b**2 - 2.0 * self.hedge * a * b, 0.0) + apart)
