"""Events of an account in exact decimals, as venues book them, which the writers of each venue print.

Every amount is rounded to the venue's coin digits when it is booked, so balances are exact sums of what is printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

ZERO, ONE = Decimal(0), Decimal(1)
Row = dict[str, Any]


@dataclass(frozen=True)
class Traded:
    """A contract: ``size`` is base coins (linear) or quote units (inverse) of one traded unit."""

    symbol: str
    base: str
    settle: str
    tick: Decimal
    lot: Decimal
    inverse: bool = False
    size: Decimal = ONE
    maintenance: Decimal = Decimal("0.005")
    top_leverage: Decimal = Decimal(50)


@dataclass(frozen=True)
class Event:
    """One thing that happened; amounts in ``coin``, positive where the account receives.

    Attributes
    ----------
    kind : {"transfer", "fill", "adl", "liquidation", "funding", "bonus", "position"}
    leg : {"net", "long", "short"}
    side : +1 or -1, of the order; of the position for funding and position
    before, after : signed quantity of the leg
    closed : quantity of the order that closed something
    fee : positive where paid, in ``fee_coin``
    balance : of ``coin`` after the event
    mark : of a liquidation, the other one of its two prices: where the mark triggered, or the bankruptcy price
    """

    kind: str
    time: int
    number: int
    coin: str
    contract: Traded | None = None
    leg: str = "net"
    side: int = 0
    quantity: Decimal = ZERO
    price: Decimal = ZERO
    closed: Decimal = ZERO
    before: Decimal = ZERO
    after: Decimal = ZERO
    entry: Decimal = ZERO
    realised: Decimal = ZERO
    value: Decimal = ZERO
    fee: Decimal = ZERO
    fee_coin: str = ""
    rate: Decimal = ZERO
    maker: bool = False
    amount: Decimal = ZERO
    balance: Decimal = ZERO
    mark: Decimal = ZERO
    margin: Decimal = ZERO
    leverage: Decimal = ZERO
    liquidation_price: Decimal = ZERO


def trimmed(value: Decimal) -> str:
    """Without zeros at the end: 11, 0.2."""
    return f"{value.normalize():f}" if value else "0"


def padded(value: Decimal, digits: int) -> str:
    """With all decimals: 11.00000000."""
    return f"{value:.{digits}f}"
