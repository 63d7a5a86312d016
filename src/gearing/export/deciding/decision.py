"""Decisions of a bundle, and their orders."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gearing.export.bundle.files import BundleError
from gearing.storage.text import read_json

_KINDS = "biufM"  # of the arrays of a memory: flags, numbers, moments


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
        Expected fill: the last traded price with the assumed slippage, on the tick grid against the trader.
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
class Decision:
    """The leverage to hold until the next decision.

    Target, effective and resulting leverage have one basis: signed notional at mark over equity.

    Attributes
    ----------
    time : datetime64[ms]
        The close at which it was decided, UTC.
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

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "time": f"{self.time}Z",
            "next_time": f"{self.next_time}Z",
            "target_leverage": dict(self.target_leverage),
            "effective_leverage": dict(self.effective_leverage),
            "resulting_leverage": dict(self.resulting_leverage),
            "policy_leverage": dict(self.policy_leverage),
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
        return "\n".join([*lines, *(f"  note: {reason}" for reason in self.reasons)])


def _written(array: np.ndarray) -> dict[str, Any]:
    """An array of the memory as plain values."""
    plain = array.astype(np.int64) if array.dtype.kind == "M" else array
    values = [None if x != x else x for x in plain.ravel().tolist()]
    return {"dtype": array.dtype.str, "shape": list(array.shape), "values": values}


def memory_of(path: Path) -> Any:
    """Memory in the JSON of a decision.

    Raises
    ------
    BundleError
        If the file holds none.
    """
    try:
        values = read_json(path, dict)
    except ValueError as error:
        raise BundleError(str(error)) from error
    if "memory" not in values:
        raise BundleError(f"{path} is not the JSON of a decision: it has no memory; give what --json wrote.")
    return values["memory"]


def read_memory(given: Any) -> tuple[Any, ...]:
    """Memory of controls and network as arrays, from a `Decision` or from its JSON.

    Raises
    ------
    BundleError
        If it is neither.
    """
    try:
        return tuple(None if one is None else tuple(_read(array) for array in one) for one in given)
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise BundleError(
            "memory is not that of a decision; give decision.memory, or what its JSON holds under 'memory'."
        ) from error


def check_memory(given: Sequence[Any], fresh: Sequence[Any]) -> None:
    """Check that the memory of controls has the arrays that they begin with.

    Raises
    ------
    BundleError
        Otherwise: it is another bundle's.
    """
    for one, begun in zip(given, fresh, strict=True):
        if one is None:
            continue
        kinds = [(array.dtype, array.shape) for array in one]
        if begun is None or kinds != [(np.asarray(array).dtype, np.shape(array)) for array in begun]:
            raise BundleError("memory is not that of this bundle's risk controls; give its own.")


def _read(given: Any) -> np.ndarray:
    if isinstance(given, np.ndarray):
        return given
    dtype = np.dtype(str(given["dtype"]))
    if dtype.kind not in _KINDS:
        raise TypeError(f"an array of {dtype}")
    values = np.array([np.nan if x is None else x for x in given["values"]])
    plain = values.astype(np.int64).astype(dtype) if dtype.kind == "M" else values.astype(dtype)
    return plain.reshape(given["shape"])
