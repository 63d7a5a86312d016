"""Calls of a venue's interface, and the ids of their orders."""

import hashlib
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from gearing.export.deciding.decision import Order
from gearing.export.deciding.exact import on_grid

BOUND = 0.005  # an order may fill this much worse than expected, and not worse
CENT = 0.01  # smallest change of margin that is sent, in the settle coin


@dataclass(frozen=True)
class Task:
    """What one contract's calls have to bring about.

    Attributes
    ----------
    order : Order
    contract : Contract
    isolated : bool
    held : float
        Signed quantity before the order.
    setting : float
        Leverage setting before the order; 0 without a position.
    entry : float
        Expected entry price after the order.
    after : float
        Signed quantity after the order.
    added_margin : float
        What is to be added (+) or removed (-) by hand after the order, isolated [settle coin].
    time : datetime64[ms]
    digest : str
    has_price : bool
        Whether a present price is known, which bounds the order's. Without one it is a market order: a bound made from
        an entry price could be so far away that nothing fills.
    """

    order: Order
    contract: Any
    isolated: bool
    held: float
    setting: float
    entry: float
    after: float
    added_margin: float
    time: np.datetime64
    digest: str
    has_price: bool = True

    @property
    def is_long(self) -> bool:
        """Side of the position after the order."""
        return self.after > 0.0

    def id_of(self, purpose: str) -> str:
        """Client order id of one of its orders."""
        return client_order_id(self.digest, self.order.contract, self.time, purpose)

    def bound(self) -> str:
        """Worst price at which the order may fill, on the tick."""
        worse = 1.0 + BOUND if self.order.side == "buy" else 1.0 - BOUND
        tick = self.contract.tick_size
        up = tick if self.order.side == "sell" and tick > 0.0 else 0.0
        text, whole = on_grid(self.order.price * worse, tick)
        return text if whole or not up else on_grid(float(text) + up, tick)[0]

    def at_distance(self, distance: float, adverse: bool) -> str:
        """Price at a distance from the expected entry, on the tick, towards the entry."""
        below = self.is_long == adverse
        price, tick = self.entry * (1.0 - distance if below else 1.0 + distance), self.contract.tick_size
        text, whole = on_grid(price, tick)
        return on_grid(float(text) + tick, tick)[0] if below and not whole and tick > 0.0 else text

    def distance_in_price(self, distance: float) -> str:
        """A distance from the expected entry as a difference of prices, on the tick."""
        return on_grid(self.entry * distance, self.contract.tick_size)[0]

    def change_of_margin(self) -> str | None:
        """Size of the margin to move, as text; None where it is less than a cent."""
        size = abs(self.added_margin)
        return on_grid(size, CENT)[0] if size >= CENT else None


def client_order_id(digest: str, contract: str, time: np.datetime64, purpose: str = "order") -> str:
    """Id of an order: 32 letters and digits, the same whenever the same decision is sent again.

    Venues refuse a second order with the id of an open one, and tell the state of an order by it. It is made from the
    bundle's digest, the contract and the decision's time.
    """
    text = f"{digest}|{contract}|{time.astype('datetime64[ms]').astype(np.int64)}|{purpose}"
    return "g" + hashlib.sha256(text.encode()).hexdigest()[:31]


def plain(value: float) -> str:
    """A number without exponent and trailing zeros."""
    return format(Decimal(repr(value)).normalize(), "f") if math.isfinite(value) else str(value)
