"""Decisions of a bundle, and their orders."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


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
        Expected fill: the last traded price with the assumed slippage.
    notional : float
        Value of the order [settle coin].
    leverage_setting : float
        Leverage setting to choose at the exchange first.
    margin : float
        Margin of the position after the order (isolated) [settle coin].
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
    notional: float
    leverage_setting: float
    margin: float
    reduces: bool
    stop: float | None = None
    take_profit: float | None = None
    trailing: float | None = None


@dataclass(frozen=True)
class Decision:
    """The leverage to hold until the next decision.

    Attributes
    ----------
    time : datetime64[ms]
        The close at which it was decided, UTC.
    next_time : datetime64[ms]
        When the next decision is due.
    target_leverage : mapping of contract to float
        Signed, after all caps.
    effective_leverage : mapping of contract to float
        The account's present leverage.
    orders : tuple of Order
    reasons : tuple of str
        What was capped, assumed or left out, in words.
    observation : mapping of str to float
        The policy's observation, by column.
    memory : tuple
        State of the risk controls, then of a recurrent network; pass it to the next ``decide``.
    """

    time: np.datetime64
    next_time: np.datetime64
    target_leverage: Mapping[str, float]
    effective_leverage: Mapping[str, float]
    orders: tuple[Order, ...]
    reasons: tuple[str, ...]
    observation: Mapping[str, float]
    memory: tuple[Any, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "time": f"{self.time}Z",
            "next_time": f"{self.next_time}Z",
            "target_leverage": dict(self.target_leverage),
            "effective_leverage": dict(self.effective_leverage),
            "orders": [dict(vars(order)) for order in self.orders],
            "reasons": list(self.reasons),
            "observation": dict(self.observation),
            "memory": [None if one is None else [_written(array) for array in one] for one in self.memory],
        }

    def to_json(self) -> str:
        """The decision as JSON text."""
        return json.dumps(self.as_dict(), indent=1)

    def __str__(self) -> str:
        lines = [f"decided at {self.time} UTC, holds until {self.next_time}"]
        for order in self.orders:
            name = order.contract
            lines.append(
                f"  {name}: target leverage {self.target_leverage[name]:+.2f}x "
                f"(now {self.effective_leverage[name]:+.2f}x of equity)"
            )
            if order.side == "none":
                lines.append("    no order")
            else:
                lines.append(
                    f"    {order.side} {order.quantity:g} at about {order.price:,.2f} ({order.notional:,.2f}), "
                    f"leverage setting {order.leverage_setting:g}, margin after {order.margin:,.2f}"
                )
            resting = {"stop": order.stop, "take profit": order.take_profit, "trailing stop": order.trailing}
            given = {kind: distance for kind, distance in resting.items() if distance is not None}
            lines += [f"    {kind} {distance:.2%} away" for kind, distance in given.items()]
        return "\n".join([*lines, *(f"  note: {reason}" for reason in self.reasons)])


def _written(array: np.ndarray) -> dict[str, Any]:
    """An array of the memory as plain values."""
    plain = array.astype(np.int64) if array.dtype.kind == "M" else array
    values = [None if x != x else x for x in plain.ravel().tolist()]
    return {"dtype": array.dtype.str, "shape": list(array.shape), "values": values}


def read_memory(given: Any) -> tuple[Any, ...]:
    """Memory of controls and network as arrays, from a `Decision` or from its JSON."""
    return tuple(None if one is None else tuple(_read(array) for array in one) for one in given)


def _read(given: Any) -> np.ndarray:
    if isinstance(given, np.ndarray):
        return given
    values = np.array([np.nan if x is None else x for x in given["values"]])
    dtype = np.dtype(given["dtype"])
    plain = values.astype(np.int64).astype(dtype) if dtype.kind == "M" else values.astype(dtype)
    return plain.reshape(given["shape"])
