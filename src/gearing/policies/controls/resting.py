"""Protective orders that rest at the exchange: stop-loss, take-profit, trailing stop.

They are sent with each decision and watched inside the bars. A stop that is touched closes the whole position at the
market; the account then stays flat until the next decision. Distances count from the entry price, which a rebalance
that adds moves.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gearing.policies.controls.guards import Decision
from gearing.policies.registry import control
from gearing.policies.rules.rule import check_numbers
from gearing.simulation.controls import Situation


@dataclass(frozen=True)
class _Resting:
    """A distance in one of three units; exactly one is given."""

    distance: float | None = None
    margin: float | None = None
    atr: float | None = None
    atr_column: str = "atr_24h"
    watch_last: bool = False
    order: ClassVar[str]

    def __post_init__(self) -> None:
        check_numbers(self)
        given = {name: getattr(self, name) for name in ("distance", "margin", "atr")}
        chosen = {name: value for name, value in given.items() if value is not None}
        if len(chosen) != 1 or not next(iter(chosen.values())) > 0.0:
            raise ValueError(
                f"{type(self).__name__}: distance, margin and atr are {given}; give exactly one, positive."
            )

    @property
    def required_columns(self) -> tuple[str, ...]:
        """The average true range, if the distance is given in it."""
        return (self.atr_column,) if self.atr is not None else ()

    def apply(self, targets: np.ndarray, guards: np.recarray, now: Situation, memory: Any) -> Decision:
        """Unchanged targets, with the order attached unless another control has placed a nearer one."""
        placed = guards.copy()
        placed[self.order] = np.fmin(placed[self.order], self.distance_of(targets, now))
        placed.trigger_last = np.maximum(placed.trigger_last, int(self.watch_last))
        return targets, placed, memory

    def distance_of(self, targets: np.ndarray, now: Situation) -> np.ndarray:
        """Distance of the order from the entry, a fraction of price (n, n_slots)."""
        if self.distance is not None:
            return np.full(targets.shape, self.distance)
        if self.atr is not None:
            return self.atr * now.of(self.atr_column)
        size = np.abs(np.where(np.isnan(targets), now.leverage, targets))
        assert self.margin is not None
        return self.margin / np.maximum(size, 1e-9)


@control("stop_loss")
@dataclass(frozen=True)
class StopLoss(_Resting):
    """Close a position once the price has gone against it.

    Parameters
    ----------
    distance : float, optional
        Fraction of the entry price, such as 0.05.
    margin : float, optional
        Fraction of the margin that is lost there: 0.5 at 10x is a move of 5 %.
    atr : float, optional
        Average true ranges.
    atr_column : str
    watch_last : bool
        Whether the last price triggers instead of the mark price. A stop that watches the series of liquidation (the
        mark) is known to come before the liquidation; on the other series it is not.
    """

    order: ClassVar[str] = "stop"


@control("take_profit")
@dataclass(frozen=True)
class TakeProfit(_Resting):
    """Close a position once the price has gone its way; parameters as of `StopLoss`."""

    order: ClassVar[str] = "take_profit"


@control("trailing_stop")
@dataclass(frozen=True)
class TrailingStop(_Resting):
    """Close a position once the price has come back from its best since the entry; parameters as of `StopLoss`."""

    order: ClassVar[str] = "trailing"
