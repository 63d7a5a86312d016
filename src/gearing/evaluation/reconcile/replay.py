"""Replay an account statement through the exchange rules and list every number that differs.

The rule that produced ours is in the last column. A liquidation is checked in size, side and price: where the mark
triggers it, and at which price the venue then closes. With the venue's mark prices, so is its time: a
liquidation on a gap, one that no mark explains, one that was due and did not come.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from gearing.contracts import Contract, VenueProfile
from gearing.evaluation.reconcile.completeness import (
    Expected,
    check_balances,
    check_entries,
    check_executions,
    check_sums,
    forced_fees,
    with_fills,
    with_signs,
    without_executed,
)
from gearing.evaluation.reconcile.fees import Fees
from gearing.evaluation.reconcile.legs import with_legs
from gearing.evaluation.reconcile.liquidations import Held, Liquidations, with_parts
from gearing.evaluation.reconcile.mark_path import MarkPath
from gearing.evaluation.reconcile.order import Settlements, in_order, settlement_times, without_doubles
from gearing.evaluation.reconcile.outcome import Reconciliation, Sheet
from gearing.evaluation.reconcile.payments import Payments, cut_off
from gearing.evaluation.reconcile.records.line import Line
from gearing.evaluation.reconcile.records.row import decimals_of
from gearing.evaluation.reconcile.snapshots import Snapshots
from gearing.exchange.rules import (
    average_entry_price,
    funding_payment,
    notional,
    unrealised_pnl,
)

_RATE = 1.001e-6  # a funding rate is printed with six decimals at least
_OPEN_BEFORE = (
    "the statement begins with an open position, so what it held is not known; give it from the start"
)


@dataclass
class _Replay:
    profile: VenueProfile
    contracts: Mapping[str, Contract]
    settlements: Settlements
    fees: Fees
    sheet: Sheet
    liquidations: Liquidations
    snapshots: Snapshots
    marks: Mapping[str, MarkPath]
    settled: Mapping[tuple[str, int], np.datetime64]
    by_fills: Collection[str] = ()  # orders whose executions are in the statement, too
    held: dict[tuple[str, str], Held] = field(default_factory=lambda: defaultdict(Held))
    executed: dict[tuple[str, str], Line] = field(default_factory=dict)
    numbers: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    payments: Payments = field(default_factory=Payments)

    def play(self, line: Line) -> None:
        for reason in line.unread.values():
            self.sheet.leave(line, reason)
        if line.kind in ("skipped", "entry"):
            if line.kind == "skipped" and not line.unread:
                self.sheet.skip(line)
            return
        if (
            line.kind == "position"
            and float(line.given["quantity"]) == 0.0
            and not self.held[line.symbol, line.leg].quantity
        ):
            self.sheet.skip(line)
            return
        if line.symbol not in self.contracts:
            self.sheet.leave(
                line, f"the contract {line.symbol or '(none stated)'} is not known; give --contracts"
            )
            return
        held = self.held[line.symbol, line.leg]
        if line.kind != "liquidation":
            self.liquidations.overdue(line, held)
        part = self if hasattr(self, line.kind) else self.snapshots
        try:
            getattr(part, line.kind)(line, held)
        except ZeroDivisionError:
            self.sheet.leave(line, "a price, a size or the leverage is zero, so that nothing follows from it")
        held.since = line.time

    def size(self, line: Line) -> float:
        """Base coins, or quote where inverse; venues that count contracts multiply."""
        return abs(float(line.given["quantity"])) * self.unit(line)

    def unit(self, line: Line) -> float:
        """Base coins, or quote where inverse, of one printed unit."""
        return 1.0 if line.given.get("unit") == "coin" else self.contracts[line.symbol].multiplier

    def inverse(self, line: Line) -> bool:
        return self.contracts[line.symbol].kind == "inverse"

    def fill(self, line: Line, held: Held) -> None:
        inverse, price = self.inverse(line), float(line.given["price"])
        quantity = line.side * self.size(line)
        fee = self.fee(line, quantity, price)
        self.sheet.compare(line, "value", notional(quantity, price, inverse), "notional")
        if held.begins_open(line):
            held.begin(line, quantity, self.unit(line))
        before, known = held.quantity, held.known
        realised = self.trade(held, quantity, price, inverse)
        self.sizes(line, held, before, quantity)
        if known:
            self.sheet.compare(line, "realised", realised, "pnl")
        elif "realised" in line.printed or ("closed" in line.printed and not held.sized):
            self.sheet.leave(line, _OPEN_BEFORE)
        held.backing, held.traded, held.overdue = math.nan, True, False
        key = line.symbol, line.trade or line.place
        self.executed[key] = line
        profit = realised if known else math.nan
        numbers = self.numbers.setdefault(key, defaultdict(float))
        for name, value in (
            ("fee", fee),
            ("fee_change", -fee),
            ("realised", profit),
            ("change", profit - fee),
        ):
            numbers[name] += value
        numbers["after"] = held.quantity / self.unit(line) if held.known else math.nan

    def fee(self, line: Line, quantity: float, price: float) -> float:
        """Compare the fee, and return what is booked."""
        fee, reason = self.fees.of(line, quantity, price)
        if reason:
            self.sheet.leave(line, reason)
        else:
            self.sheet.compare(line, "fee", fee, "fee")
            self.sheet.compare(line, "fee_change", -fee, "fee")
        return fee

    def sizes(self, line: Line, held: Held, before: float, quantity: float) -> None:
        """What the row says it closed, and the position it left."""
        if not (held.known or held.sized):
            return
        closed = min(abs(before), abs(quantity)) if before * quantity < 0.0 else 0.0
        self.sheet.compare(line, "closed", closed / self.unit(line), "fills")
        self.sheet.compare(line, "after", held.quantity / self.unit(line), "fills")
        if held.quantity * {"long": -1.0, "short": 1.0}.get(line.leg, 0.0) > 0.0:
            self.sheet.differs(
                line, "side", str(line.side), -line.side, f"closes more than the {line.leg} holds"
            )
        held.known |= held.sized and (held.quantity == 0.0 or held.entry == held.entry)

    @staticmethod
    def trade(held: Held, quantity: float, price: float, inverse: bool) -> float:
        """Apply a fill and return the realised profit before fees."""
        realised = 0.0
        if held.quantity * quantity < 0.0:
            closed = math.copysign(min(abs(held.quantity), abs(quantity)), held.quantity)
            realised = unrealised_pnl(closed, held.entry, price, inverse)
            held.quantity -= closed
            quantity += closed
            if abs(held.quantity) < 1e-12 * abs(closed):
                held.quantity = 0.0
        if abs(quantity) > 1e-12 * abs(held.quantity) and quantity != 0.0:
            held.entry = average_entry_price(held.quantity, held.entry, quantity, price, inverse)
            held.quantity += quantity
        return realised

    def funding(self, line: Line, held: Held) -> None:
        stamp = self.settled[line.file, line.number]
        rate, mark, slack = self.settlement(line, stamp)
        stated, mark = float(line.given.get("rate", math.nan)), float(line.given.get("price", mark))
        digits = decimals_of(line.given.get("rate", "0"))  # more than six are not cut off
        allowed = _RATE if digits <= 6 else 0.5 * 10.0**-digits
        if abs(abs(stated) - abs(rate)) > allowed:  # of its sign a record may be unsure, a table is not
            self.sheet.differs(line, "rate", line.given["rate"], rate, f"rate of the settlement at {stamp}")
        cut = cut_off(line) if math.isnan(rate) else 0.0
        rate = stated if math.isnan(rate) else rate
        legs = {
            leg: one for (symbol, leg), one in self.held.items() if symbol == line.symbol and one.quantity
        }
        if not all(one.known or one.sized for one in legs.values()):
            self.sheet.leave(line, _OPEN_BEFORE)
            return
        if not legs and not held.traded and "quantity" not in line.given and _paid(line):
            held.known = False
            self.sheet.leave(line, _OPEN_BEFORE)
            return
        quantity = held.quantity
        if held.traded and (quantity or not legs):
            self.sheet.compare(line, "quantity", abs(quantity) / self.unit(line), "fills")
            self.sheet.compare(line, "after", quantity / self.unit(line), "fills")
            if line.side * quantity < 0.0:
                self.wrong_side(line, "fills")
        if quantity == 0.0 and line.side and "quantity" in line.given:
            quantity = line.side * self.size(line)
        if math.isnan(rate) or math.isnan(mark):
            self.sheet.leave(
                line, "no rate and mark of this settlement; give them with --funding (and --marks)"
            )
            return
        inverse, slack = self.inverse(line), slack * abs(quantity * rate)
        payment = funding_payment(quantity, mark, rate, inverse)
        self.sheet.compare(line, "value", notional(quantity, mark, inverse), "notional")
        for name in ("closed", "realised"):
            self.sheet.compare(line, name, 0.0, "funding closes nothing")
        slack += cut * notional(quantity, mark, inverse)
        due = {leg: funding_payment(one.quantity, mark, rate, inverse) for leg, one in legs.items()}
        paid = self.payments.legs(line, due, stamp)
        if not line.leg and set(paid) - {""}:
            payment = sum(due[leg] for leg in paid)
            held_by = sum(abs(legs[leg].quantity) for leg in paid)
            self.sheet.compare(line, "quantity", held_by / self.unit(line), "fills")
        if not self.payments.book(line.symbol, paid, stamp):
            self.sheet.count(line)
            printed = line.printed.get("funding", line.printed.get("funding_paid", ""))
            self.sheet.differs(line, "funding", printed, 0.0, "funding: a second payment of one settlement")
            return
        self.sheet.compare(line, "funding", payment, "funding", slack)
        self.sheet.compare(line, "funding_paid", -payment, "funding", slack)
        held.backing += payment
        self.note(line, funding=payment, after=quantity / self.unit(line))

    def note(self, line: Line, **numbers: float) -> None:
        """Numbers of a payment or a liquidation, for the entries of the account's ledger about it."""
        if line.trade:
            self.executed[line.symbol, line.trade] = line
            self.numbers[line.symbol, line.trade] = numbers

    def settlement(self, line: Line, stamp: np.datetime64) -> tuple[float, float, float]:
        """Rate, mark, and how far the mark may be away where it comes from bars."""
        rate, mark = self.settlements.get((line.symbol, stamp), (math.nan, math.nan))
        if math.isnan(mark) and "price" not in line.given and line.symbol in self.marks:
            return rate, *self.marks[line.symbol].at(stamp)
        return rate, mark, 0.0

    def liquidation(self, line: Line, held: Held) -> None:
        """A liquidation closes the position: size, side, prices and what they make of them."""
        contract, inverse = self.contracts[line.symbol], self.inverse(line)
        if held.begins_open(line):
            held.known = False
        if not held.known:
            self.sheet.leave(line, _OPEN_BEFORE)
        size, price = abs(held.quantity), float(line.given["price"])
        if held.known:
            if float(line.printed.get("after", "0")) == 0.0 or "part" in line.given:
                self.sheet.compare(line, "quantity", size / contract.multiplier, "liquidation closes all")
            if line.side * held.quantity > 0.0:
                self.wrong_side(line, "liquidation")
            if held.quantity and line.given.get("part") != "later":
                self.liquidations.check(line, held)
        self.sheet.compare(line, "value", notional(self.size(line), price, inverse), "notional")
        if line.order and line.order in self.by_fills:
            return  # its executions follow and close the position
        before, known = held.quantity, held.known
        whole = "part" not in line.given and float(line.printed.get("after", "0")) == 0.0
        closing = -before if whole else line.side * self.size(line)
        realised = self.trade(held, closing, price, inverse)
        if known:
            self.sheet.compare(line, "realised", realised, "pnl")
            self.sizes(line, held, before, closing)
        self.fee(line, closing, price)
        held.backing, held.known = math.nan, known or whole
        self.note(line, realised=realised if known else math.nan, after=held.quantity / self.unit(line))

    def wrong_side(self, line: Line, rule: str) -> None:
        self.sheet.differs(line, "side", str(line.side), -line.side, rule)


def _paid(line: Line) -> bool:
    """Whether a payment is not zero."""
    return any(float(line.printed.get(name, "0")) for name in ("funding", "funding_paid"))


def reconcile(
    lines: Iterable[Line],
    contracts: Iterable[Contract],
    profile: VenueProfile,
    settlements: Settlements | None = None,
    fee_level: str | None = None,
    marks: Mapping[str, MarkPath] | None = None,
    tierless: Collection[str] = (),
) -> Reconciliation:
    """Replay a statement and compare every number it prints.

    Parameters
    ----------
    lines : statement, see :func:`gearing.evaluation.reconcile.statements.read_statement`
    contracts : the contracts it trades, with multiplier, tick and margin tiers
    profile : fees and rules of the venue; ``fee_level`` one of its levels
    settlements : (symbol, time to the minute) -> (rate, mark)
        Needed where the venue's funding record prints neither (Binance; OKX prints the mark only). With them, a
        payment that is missing or doubled while a position was open differs.
    marks : symbol -> mark prices of the venue
        A bar that opens beyond the liquidation price is a gap, and liquidates there; without marks, a liquidation at
        its price is expected. A liquidation that no mark explains, or that came late or not at all, differs. What
        happened inside the bar of the line before is not known and not judged. Settlements without a mark take the
        open of the bar that begins with them.
    tierless : symbols of contracts whose margin tiers are not known; their liquidation prices are not checked

    Returns
    -------
    Reconciliation
    """
    rates = profile.fees(fee_level) if fee_level else (profile.taker_fee, profile.maker_fee)
    known, marks = {c.symbol: c for c in contracts}, marks or {}
    settlements = {
        (name, time.astype("datetime64[ms]")): row for (name, time), row in (settlements or {}).items()
    }
    single, notes = without_doubles(list(lines))
    single = forced_fees(with_fills(with_signs(without_executed(single))))
    settled = settlement_times(single, settlements)
    doubled = len(notes)
    notes += [f"{name}: no mark prices of it were given" for name in known if marks and name not in marks]
    notes += [
        f"{name} is margined in its coin: its fees are those of --venue binance-coinm"
        for name, contract in known.items()
        if profile.name == "binance-usdm" and contract.kind == "inverse"
    ]
    sheet = Sheet(known, notes=notes)
    takers = rates[:1] if fee_level else (rates[0], *(taker for _, taker, _ in profile.fee_levels))
    liquidations = Liquidations(profile, takers, known, marks, sheet, tierless)
    orders = {line.order for line in single if line.kind == "fill" and line.order}
    snapshots = Snapshots(known, sheet, liquidations)
    fees = Fees(profile, rates, known)
    replay = _Replay(
        profile, known, settlements, fees, sheet, liquidations, snapshots, marks, settled, orders
    )
    ordered = with_parts(with_legs(in_order(single, settled)))
    expected = Expected(ordered, settlements, known, marks, replay.held, replay.payments.booked, sheet)
    for line in ordered:
        expected.before(line)
        replay.play(line)
    expected.close()
    check_entries(ordered, replay.executed, replay.numbers, sheet)
    check_executions(ordered, sheet)
    check_sums(ordered, sheet)
    check_balances(ordered, sheet)
    sheet.notes += fees.notes()
    _collect_notes(ordered, sheet)
    return sheet.outcome(ordered, doubled)


def _collect_notes(lines: Iterable[Line], sheet: Sheet) -> None:
    """What was done with fields and times, once for each kind of record."""
    found = Counter((line.label or line.kind, note) for line in lines for note in line.notes)
    sheet.notes += [f"{kind}: {note} ({n} rows)" for (kind, note), n in found.items()]
