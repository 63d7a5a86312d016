"""Contracts: units, rounding of prices and sizes, and margin tiers over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from gearing.contracts.tiers import TierSchedule


@dataclass(frozen=True)
class Contract:
    """A perpetual futures contract.

    Parameters
    ----------
    symbol : str
        The venue's name, for example "BTCUSDT".
    kind : {"linear", "inverse"}
        Linear: profit in quote, q (P - E). Inverse: profit in base coin, Q (1/E - 1/P).
    multiplier : float
        Base units (linear) or quote units (inverse) of one contract.
    tick_size : float
        Step of prices [quote per base]; 0 means that prices are not rounded.
    lot_size : float
        Step of quantities [base units linear, quote units inverse]; 0 means that they are not rounded.
    min_notional : float
        Smallest order [settle coin]; orders that only reduce are exempt. 0 means no minimum.
    settle : str
        The coin of all account quantities.
    schedules : tuple of TierSchedule
        Margin tiers, ascending by ``as_of``. An undated schedule must be the only one or the first.
    """

    symbol: str
    kind: Literal["linear", "inverse"] = "linear"
    multiplier: float = 1.0
    tick_size: float = 0.0
    lot_size: float = 0.0
    min_notional: float = 0.0
    settle: str = "USDT"
    schedules: tuple[TierSchedule, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedules", tuple(self.schedules))
        if not self.symbol:
            raise ValueError("a contract needs a symbol.")
        if self.kind not in ("linear", "inverse"):
            raise ValueError(f"{self.symbol}: kind is 'linear' or 'inverse', not {self.kind!r}.")
        if not self.multiplier > 0.0:
            raise ValueError(f"{self.symbol}: multiplier {self.multiplier} must be positive.")
        for name in ("tick_size", "lot_size", "min_notional"):
            if not getattr(self, name) >= 0.0:
                raise ValueError(
                    f"{self.symbol}: {name} {getattr(self, name)} must be zero (none) or positive."
                )
        _check_schedules(self.symbol, self.schedules)

    @property
    def top_leverage(self) -> float:
        """Largest leverage of the smallest position, by the newest schedule."""
        return self.schedules[-1].tiers[0].max_leverage

    def schedule_at(self, time: Any) -> TierSchedule:
        """Return the schedule in force at ``time``: the nearest earlier copy, else the earliest.

        Parameters
        ----------
        time : datetime64, datetime, date or ISO string (UTC)
        """
        day = np.datetime64(time, "D").astype(object)
        valid = [s for s in self.schedules if s.as_of is None or s.as_of <= day]
        return valid[-1] if valid else self.schedules[0]

    def knows_tiers_at(self, time: Any) -> bool:
        """Whether a schedule as old as ``time`` exists; if not, ``schedule_at`` gives a later one."""
        first = self.schedules[0].as_of
        return first is None or bool(np.datetime64(first) <= np.datetime64(time, "D"))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; ``from_dict`` reads them back."""
        return {**vars(self), "schedules": [schedule.to_dict() for schedule in self.schedules]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Contract:
        """Build a contract from what ``to_dict`` returned."""
        schedules = tuple(TierSchedule.from_dict(one) for one in values["schedules"])
        return cls(**{**values, "schedules": schedules})

    def __str__(self) -> str:
        dated = ", ".join(str(s.as_of or "undated") for s in self.schedules)
        return (
            f"{self.symbol} ({self.kind}, settles in {self.settle}, up to {self.top_leverage:g}x, "
            f"tick {self.tick_size:g}, lot {self.lot_size:g}, smallest order {self.min_notional:g}; "
            f"tiers: {dated})"
        )


def _check_schedules(symbol: str, schedules: tuple[TierSchedule, ...]) -> None:
    if not schedules:
        raise ValueError(
            f"{symbol} has no margin tiers. Pass schedules=shipped_schedules('BTCUSDT') for a known one, "
            "or (TierSchedule.flat(rate),) for one rate at every size."
        )
    if any(s.as_of is None for s in schedules[1:]):
        raise ValueError(f"{symbol}: of several tier schedules only the first may lack its as_of date.")
    days = [s.as_of or date.min for s in schedules]
    if any(later <= earlier for earlier, later in pairwise(days)):
        raise ValueError(
            f"{symbol}: schedules must ascend by as_of, given {[str(s.as_of) for s in schedules]}."
        )
