"""Decisions of a bundle, and their orders."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gearing.export.deciding.memory import read_memory, written_memory


@dataclass(frozen=True)
class Order:
    """The order that brings a position to its target, sized by the exchange's rules at the last close.

    Attributes
    ----------
    contract : str
    side : {"buy", "sell", "none"}
    quantity : float
        Absolute, on the lot grid [base units linear, quote units inverse].
    price : float
        Expected fill: the last traded price with the assumed slippage, on the tick grid against the trader; 0 where no
        present price is known and there is no position.
    exact_quantity, exact_price : str
        The same as decimal numbers without exponent, ready to be sent.
    notional : float
        Value of the order [settle coin].
    leverage_setting : float
        Leverage setting to choose at the exchange first, on its step (1 at Binance and Hyperliquid); not below the
        leverage of the posted share, so that the whole order fits.
    margin : float
        Margin of the position after the order (isolated) [settle coin]: what exceeds notional over the leverage
        setting is added by hand.
    reduces : bool
        Whether it may be sent as reduce-only.
    stop, take_profit, trailing : float or None
        Protective orders of the position: adverse, favourable and trailing distance [fraction of
        the entry price, for the trailing one of the best price since].
    """

    contract: str
    side: str
    quantity: float
    price: float
    exact_quantity: str
    exact_price: str
    notional: float
    leverage_setting: float
    margin: float
    reduces: bool
    stop: float | None = None
    take_profit: float | None = None
    trailing: float | None = None


@dataclass(frozen=True)
class Refusal:
    """Why nothing was decided.

    Attributes
    ----------
    code : str
        For programs, see `BundleError`.
    reason : str
        What was found, the rule, and what to do.
    """

    code: str
    reason: str


@dataclass(frozen=True)
class Call:
    """One signed request to a venue.

    Attributes
    ----------
    venue, method, path : str
    params : mapping of str to value
        Texts as the venue takes them.
    purpose : str
        What it does, for people.
    """

    venue: str
    method: str
    path: str
    params: Mapping[str, Any]
    purpose: str


@dataclass(frozen=True)
class Decision:
    """The leverage to hold until the next decision.

    Target, effective and resulting leverage have one basis: signed notional at mark over equity.

    Attributes
    ----------
    time : datetime64[ms]
        The close at which it was decided, UTC; NaT (null in JSON) of a refused decision whose moment is not known.
    next_time : datetime64[ms]
        When the next decision is due.
    target_leverage : mapping of contract to float
        After all caps.
    effective_leverage : mapping of contract to float
        The account's present leverage.
    resulting_leverage : mapping of contract to float
        After the orders, costs aside; lot, fees and smallest orders keep it from the target.
    policy_leverage : mapping of contract to float
        The target in the policy's own units: of the posted share of equity (target = policy leverage x share).
    orders : tuple of Order
    reasons : tuple of str
        What was capped, assumed or left out, in words.
    observation : mapping of str to float
        The policy's observation, by column.
    memory : tuple
        State of the risk controls, then of a recurrent network; pass it to the next ``decide``.
    digest : str
        Of the bundle.
    state : {"ACTIVE", "REDUCING", "HALTED"}
        Of the session that decided.
    refusals : tuple of Refusal
        Why the policy was not followed: ``code`` and ``reason``; then the orders are those of the fallback.
    fallback : str or None
        What was done instead; None where nothing was refused.
    calls : tuple of Call
        What to send to the venue, in order.
    answer : tuple of float
        The policy's own targets, before controls and caps.
    liquidation_distance : float or None
        Adverse move of all positions at once that liquidates the account [fraction]; None without one.
    held : tuple of str
        Contracts whose position is left unchanged; their target is what is held.
    """

    time: np.datetime64
    next_time: np.datetime64
    target_leverage: Mapping[str, float]
    effective_leverage: Mapping[str, float]
    resulting_leverage: Mapping[str, float]
    policy_leverage: Mapping[str, float]
    orders: tuple[Order, ...]
    reasons: tuple[str, ...]
    observation: Mapping[str, float]
    memory: tuple[Any, ...] = ()
    digest: str = ""
    state: str = "ACTIVE"
    refusals: tuple[Refusal, ...] = ()
    fallback: str | None = None
    calls: tuple[Call, ...] = ()
    answer: tuple[float, ...] = ()
    liquidation_distance: float | None = None
    held: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "time": _written(self.time),
            "next_time": _written(self.next_time),
            "target_leverage": dict(self.target_leverage),
            "effective_leverage": dict(self.effective_leverage),
            "resulting_leverage": dict(self.resulting_leverage),
            "policy_leverage": dict(self.policy_leverage),
            "orders": [dict(vars(order)) for order in self.orders],
            "reasons": list(self.reasons),
            "observation": dict(self.observation),
            "memory": written_memory(self.memory),
            "digest": self.digest,
            "state": self.state,
            "refusals": [dict(vars(one)) for one in self.refusals],
            "fallback": self.fallback,
            "calls": [dict(vars(call)) for call in self.calls],
            "answer": [None if x != x else x for x in self.answer],
            "liquidation_distance": self.liquidation_distance,
            "held": list(self.held),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Decision":
        """A decision from what `as_dict` gave."""
        kinds = {"orders": Order, "refusals": Refusal, "calls": Call}
        made: dict[str, Any] = dict(values)
        for name, kind in kinds.items():
            made[name] = tuple(kind(**one) for one in values[name])
        for name in ("time", "next_time"):
            made[name] = np.datetime64((values[name] or "NaT").removesuffix("Z"), "ms")
        made["answer"] = tuple(np.nan if x is None else x for x in values["answer"])
        made["memory"] = read_memory(values["memory"])
        return cls(**(made | {"reasons": tuple(values["reasons"])}))

    def to_json(self) -> str:
        """The decision as JSON text."""
        return json.dumps(self.as_dict(), indent=1)

    def __str__(self) -> str:
        lines = [f"decided at {self.time} UTC, holds until {self.next_time}"]
        if self.refusals:
            when = "(when it was due is not known)" if np.isnat(self.time) else f"at {self.time} UTC"
            lines[0] = f"REFUSED {when}; fallback: {self.fallback}"
            lines += [f"  refused ({one.code}): {one.reason}" for one in self.refusals]
        if self.state != "ACTIVE":
            lines.append(f"  state {self.state}")
        for order in self.orders:
            name = order.contract
            lines.append(
                f"  {name}: target leverage {self.target_leverage[name]:+.2f}x of equity, now "
                f"{self.effective_leverage[name]:+.2f}x, {self.resulting_leverage[name]:+.2f}x after the order"
            )
            if abs(self.policy_leverage[name] - self.target_leverage[name]) > 1e-9:
                lines.append(f"    the policy's {self.policy_leverage[name]:+.2f}x is of the posted share")
            if order.side == "none":
                lines.append("    no order")
            else:
                lines.append(
                    f"    {order.side} {order.exact_quantity} at about {order.exact_price} ({order.notional:,.2f}), "
                    f"leverage setting {order.leverage_setting:g}, margin after {order.margin:,.2f}"
                )
            resting = {"stop": order.stop, "take profit": order.take_profit, "trailing stop": order.trailing}
            given = {kind: distance for kind, distance in resting.items() if distance is not None}
            lines += [f"    {kind} {distance:.2%} away" for kind, distance in given.items()]
        if self.liquidation_distance is not None:
            lines.append(
                f"  all positions moving {self.liquidation_distance:.2%} against the account liquidate it"
            )
        lines += [
            f"  call {k}: {call.method} {call.path}  ({call.purpose})" for k, call in enumerate(self.calls, 1)
        ]
        return "\n".join([*lines, *(f"  note: {reason}" for reason in self.reasons)])


def _written(moment: np.datetime64) -> str | None:
    return None if np.isnat(moment) else f"{moment}Z"
