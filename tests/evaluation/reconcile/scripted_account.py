"""What one account did, in exact decimals: fills, funding, liquidations, transfers, and what they made of its money.

Written from the exchange rules and independent of ``gearing.exchange``. Each venue's writer prints the same events as
that venue's interface and web page do. Every amount is rounded to the venue's coin digits when it is booked, as venues
do, so balances are exact sums of what is printed.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, getcontext

from gearing.live.statements.events import ONE, ZERO, Event, Traded

getcontext().prec = 50


@dataclass
class Leg:
    """A position: signed quantity in traded units, average entry, isolated margin."""

    quantity: Decimal = ZERO
    entry: Decimal = ZERO
    margin: Decimal = ZERO


@dataclass
class Account:
    """An account that follows a script; ``digits`` are the decimals of booked amounts.

    ``free`` are the kinds of trades without a fee. ``valued`` is where the venue
    values the maintenance margin: "mark", "entry" or "mark_plus_fee".
    """

    taker: Decimal = Decimal("0.0005")
    maker: Decimal = Decimal("0.0002")
    digits: int = 8
    valued: str = "mark"
    leverage: Decimal = Decimal(10)
    hedge: bool = False
    free: tuple[str, ...] = ("liquidation",)
    events: list[Event] = field(default_factory=list)
    balances: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    legs: dict[tuple[str, str], Leg] = field(default_factory=lambda: defaultdict(Leg))

    def booked(self, amount: Decimal) -> Decimal:
        """An amount as the venue books it."""
        return amount.quantize(Decimal(1).scaleb(-self.digits), rounding=ROUND_HALF_UP)

    def add(self, kind: str, time: int, coin: str, **values: object) -> Event:
        event = Event(kind, time, len(self.events) + 1, coin, balance=self.balances[coin], **values)  # type: ignore[arg-type]
        self.events.append(event)
        return event

    def transfer(self, time: int, coin: str, amount: str, kind: str = "transfer") -> None:
        """Money that comes or goes without a contract."""
        self.balances[coin] += Decimal(amount)
        self.add(kind, time, coin, amount=Decimal(amount))

    def fill(
        self, time: int, contract: Traded, side: int, quantity: str, price: str, leg: str = "net",
        maker: bool = False, fee_coin: str = "", coin_price: str = "1", kind: str = "fill", mark: Decimal = ZERO,
    ) -> None:  # fmt: skip
        """An order filled; ``coin_price`` is the price of the fee's coin in the contract's own."""
        q, p, held = Decimal(quantity), Decimal(price), self.legs[contract.symbol, leg]
        rate = ZERO if kind in self.free else (self.maker if maker else self.taker)
        value = worth(contract, q, p)
        fee = self.booked(value * rate / Decimal(coin_price))
        before, closed, realised = held.quantity, ZERO, ZERO
        if before * side < 0:
            closed = min(abs(before), q)
            realised = self.booked(profit(contract, (ONE if before > 0 else -ONE) * closed, held.entry, p))
        self.trade(held, contract, side, q, p, closed)
        coin = contract.settle
        self.balances[coin] += realised
        self.balances[fee_coin or coin] -= fee
        self.add(
            kind, time, coin, contract=contract, leg=leg, side=side, quantity=q, price=p, closed=closed,
            before=before, after=held.quantity, entry=held.entry, realised=realised, value=self.booked(value),
            fee=fee, fee_coin=fee_coin or coin, rate=rate, maker=maker, mark=mark,
            amount=realised - (ZERO if fee_coin and fee_coin != coin else fee),
        )  # fmt: skip

    def trade(self, held: Leg, contract: Traded, side: int, q: Decimal, p: Decimal, closed: Decimal) -> None:
        """What the order makes of the position: reduced, gone, turned over or enlarged."""
        opened, kept = q - closed, abs(held.quantity) - closed
        if closed:
            held.margin *= kept / abs(held.quantity)
            held.quantity -= (ONE if held.quantity > 0 else -ONE) * closed
        if opened:
            worths = worth(contract, kept, held.entry) if kept else ZERO, worth(contract, opened, p)
            total = (kept + opened) * contract.size
            held.entry = total / sum(worths) if contract.inverse else sum(worths) / total
            held.margin += worths[1] / self.leverage
            held.quantity += side * opened

    def funding(self, time: int, contract: Traded, rate: str, mark: str) -> None:
        """A settlement: longs pay a positive rate, shorts receive it."""
        for (symbol, leg), held in list(self.legs.items()):
            if symbol != contract.symbol or not held.quantity:
                continue
            side = 1 if held.quantity > 0 else -1
            value = worth(contract, abs(held.quantity), Decimal(mark))
            amount = self.booked(-side * value * Decimal(rate))
            self.balances[contract.settle] += amount
            held.margin += amount
            self.add(
                "funding", time, contract.settle, contract=contract, leg=leg, side=side, quantity=abs(held.quantity),
                price=Decimal(mark), after=held.quantity, entry=held.entry, rate=Decimal(rate), amount=amount,
                value=self.booked(value),
            )  # fmt: skip

    def liquidate(self, time: int, contract: Traded, leg: str = "net", at_bust: bool = True) -> None:
        """The venue takes the position over at its bankruptcy price, or sells it where its mark triggered."""
        held = self.legs[contract.symbol, leg]
        side = 1 if held.quantity > 0 else -1
        bust, trigger = (
            (price / contract.tick).quantize(ONE, rounding=ROUND_HALF_UP) * contract.tick
            for price in (bankruptcy(contract, held), self.liquidation(contract, held))
        )
        price, other = (bust, trigger) if at_bust else (trigger, bust)
        self.fill(
            time, contract, -side, str(abs(held.quantity)), str(price), leg, kind="liquidation", mark=other
        )

    def snapshot(self, time: int, marks: dict[str, str]) -> None:
        """The positions as they stand."""
        contracts = {e.contract.symbol: e.contract for e in self.events if e.contract}
        for (symbol, leg), held in self.legs.items():
            if not held.quantity:
                continue
            contract, mark = contracts[symbol], Decimal(marks[symbol])
            self.add(
                "position", time, contract.settle, contract=contract, leg=leg, side=1 if held.quantity > 0 else -1,
                quantity=abs(held.quantity), after=held.quantity, entry=held.entry, mark=mark,
                realised=self.booked(profit(contract, held.quantity, held.entry, mark)),
                value=self.booked(worth(contract, abs(held.quantity), mark)), margin=self.booked(held.margin),
                leverage=self.leverage, liquidation_price=self.liquidation(contract, held),
            )  # fmt: skip

    def liquidation(self, contract: Traded, held: Leg) -> Decimal:
        """Where the margin balance meets the maintenance margin; an inverse position in the price 1/P is linear."""
        m, s, w = contract.maintenance, ONE if held.quantity > 0 else -ONE, self.booked(held.margin)
        q = abs(held.quantity) * contract.size
        fee = self.taker if self.valued == "mark_plus_fee" else ZERO
        if self.valued == "entry":
            w, m = w - m * worth(contract, abs(held.quantity), held.entry), ZERO
        if contract.inverse:  # w + s q (1/E - x) = (m + fee) q x with x = 1/P
            return q * (s + m + fee) / (w + s * q / held.entry)
        return (w - s * q * held.entry) / (q * (m + fee - s))


def worth(contract: Traded, quantity: Decimal, price: Decimal) -> Decimal:
    """Value in the settle coin."""
    units = quantity * contract.size
    return units / price if contract.inverse else units * price


def profit(contract: Traded, quantity: Decimal, entry: Decimal, price: Decimal) -> Decimal:
    """Profit of a signed quantity between two prices, in the settle coin."""
    units = quantity * contract.size
    return units * (ONE / entry - ONE / price) if contract.inverse else units * (price - entry)


def bankruptcy(contract: Traded, held: Leg) -> Decimal:
    """Where nothing is left of the margin."""
    q = held.quantity * contract.size
    return q / (q / held.entry + held.margin) if contract.inverse else held.entry - held.margin / q
