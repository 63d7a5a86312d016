"""Limits outside the model, and the states they lead to."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from gearing.export.bundle.files import BundleError
from gearing.names import check_names


class State(StrEnum):
    """Of a session: only a person leads back to ACTIVE."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"  # positions may shrink, none may grow
    HALTED = "HALTED"  # the policy is not followed; the fallback is


@dataclass(frozen=True)
class Limits:
    """Limits of an account, whatever the policy answers; infinite ones do not limit.

    Attributes
    ----------
    leverage : float
        Largest sum of absolute notionals over equity; targets are cut to it, and an account beyond it (by more than a
        tenth) is REDUCING.
    notional : float
        Largest notional of a contract [settle coin]; likewise.
    orders_per_day : float
        Orders of a UTC day, a whole number; then REDUCING.
    turnover_per_day : float
        Traded notional of a UTC day over its first equity; then REDUCING.
    daily_loss : float
        Fraction of the equity at the UTC day's first decision; then HALTED.
    drawdown : float
        Fraction of the highest equity of the session; then HALTED.
    refusals : float
        Refusals in a row, a whole number; the last of them is HALTED.
    staleness : float
        Hours since the last decision that was not refused; then HALTED.
    """

    leverage: float = math.inf
    notional: float = math.inf
    orders_per_day: float = math.inf
    turnover_per_day: float = math.inf
    daily_loss: float = math.inf
    drawdown: float = math.inf
    refusals: float = math.inf
    staleness: float = math.inf

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0.0:
                raise BundleError(f"limit {name} is {value!r}; it must be a positive number.")
        for name in ("orders_per_day", "refusals"):
            if not math.isinf(value := getattr(self, name)) and value != int(value):
                raise BundleError(f"limit {name} is {value!r}; it counts, so give a whole number.")
        for name in ("daily_loss", "drawdown"):
            if 1.0 < getattr(self, name) < math.inf:
                raise BundleError(f"limit {name} is {getattr(self, name)}; it is a fraction, 0.05 for 5 %.")

    @classmethod
    def read(cls, given: Any) -> Limits:
        """Limits from plain values; None is infinite.

        Raises
        ------
        BundleError
            For an unknown limit or a value that is none.
        """
        if isinstance(given, cls):
            return given
        check_names("there is no limit", given, [one.name for one in fields(cls)], BundleError)
        return cls(**{name: math.inf if value is None else value for name, value in given.items()})

    def as_dict(self) -> dict[str, float | None]:
        """Plain values; None is infinite."""
        return {name: None if math.isinf(value) else value for name, value in asdict(self).items()}


@dataclass
class Tally:
    """What limits are compared with.

    Attributes
    ----------
    state : str
    reason : str
        Why it is not ACTIVE.
    peak : float
        Highest equity of the session.
    day : str
        UTC day of the counts.
    day_equity : float
        At its first decision.
    orders : int
    turnover : float
        Of the day [settle coin].
    refusals : int
        In a row.
    decided : str or None
        Moment of the last decision that was not refused.
    moment : str or None
        ``now`` of the last decision.
    held : mapping of contract to [low, high, may be flat]
        Quantities that the venue may show next: from before the last orders to after them, and 0 where a stop rests.
    """

    state: str = State.ACTIVE.value
    reason: str = ""
    peak: float = 0.0
    day: str = ""
    day_equity: float = 0.0
    orders: int = 0
    turnover: float = 0.0
    refusals: int = 0
    decided: str | None = None
    moment: str | None = None
    held: dict[str, list[Any]] = field(default_factory=dict)

    def worsen(self, state: State, reason: str) -> None:
        """Enter a state, unless it is in it or in a worse one."""
        order = list(State)
        if order.index(state) > order.index(State(self.state)):
            self.state, self.reason = state.value, reason

    def begin_day(self, day: str, equity: float) -> None:
        """Count anew on another UTC day."""
        if day != self.day:
            self.day, self.day_equity, self.orders, self.turnover = day, equity, 0, 0.0
        self.peak = max(self.peak, equity)

    def check_equity(self, limits: Limits, equity: float) -> None:
        """Losses since the day began and since the peak."""
        loss, fall = 1.0 - equity / self.day_equity, 1.0 - equity / self.peak
        if loss >= limits.daily_loss:
            self.worsen(State.HALTED, f"daily loss of {loss:.2%}; the limit is {limits.daily_loss:.2%}")
        if fall >= limits.drawdown:
            self.worsen(State.HALTED, f"drawdown of {fall:.2%}; the limit is {limits.drawdown:.2%}")

    def check_exposure(self, limits: Limits, gross: float, largest: float) -> None:
        """Leverage and notional of the account, a tenth above the limits aside: prices move between decisions."""
        if gross > 1.1 * limits.leverage:
            self.worsen(State.REDUCING, f"leverage of {gross:.3g}x; the limit is {limits.leverage:g}x")
        if largest > 1.1 * limits.notional:
            self.worsen(State.REDUCING, f"a notional of {largest:,.2f}; the limit is {limits.notional:,.2f}")

    def check_trading(self, limits: Limits) -> None:
        """Orders and turnover of the day."""
        if self.orders >= limits.orders_per_day:
            self.worsen(State.REDUCING, f"{self.orders} orders today; the limit is {limits.orders_per_day:g}")
        share = self.turnover / self.day_equity if self.day_equity > 0.0 else 0.0
        if share >= limits.turnover_per_day:
            self.worsen(
                State.REDUCING,
                f"turnover of {share:.3g}x equity today; the limit is {limits.turnover_per_day:g}x",
            )

    def check_refusals(self, limits: Limits, hours: float) -> None:
        """Refusals in a row, and the time since the last decision."""
        if self.refusals >= limits.refusals:
            self.worsen(State.HALTED, f"{self.refusals} refusals in a row; the limit is {limits.refusals:g}")
        if hours >= limits.staleness:
            self.worsen(
                State.HALTED, f"no decision for {hours:.1f} hours; the limit is {limits.staleness:g} hours"
            )
