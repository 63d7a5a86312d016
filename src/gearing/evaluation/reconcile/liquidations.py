"""Liquidations of a replay: where the mark triggers them, the price at which the venue closes, when they were due."""

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import numpy as np
import pandas as pd

from gearing.contracts import Contract, VenueProfile
from gearing.evaluation.reconcile.mark_path import MarkPath, Touch
from gearing.evaluation.reconcile.outcome import Sheet
from gearing.evaluation.reconcile.records.line import NO_TIME, Line
from gearing.exchange.records import margin_tier_dtype, records
from gearing.exchange.rules import (
    bankruptcy_price,
    liquidation_price,
    liquidation_price_at_entry,
    margin_with_addition,
    notional,
    round_price,
)

_PRINTED = 2e-8  # of amounts with eight decimals


@dataclass
class Held:
    """A position of the replay; ``backing`` is NaN between a fill and the next snapshot that prints margin."""

    quantity: float = 0.0
    entry: float = 0.0
    backing: float = math.nan
    unit: float = 0.0  # of the printed margin
    traded: bool = False
    known: bool = True  # False where the statement begins with an open position
    sized: bool = False  # whether its size is known all the same
    overdue: bool = False  # a liquidation that was due is reported once
    since: np.datetime64 = field(default_factory=lambda: NO_TIME)  # of its last line

    def begins_open(self, line: Line) -> bool:
        """Whether a first fill closes or enlarges what the statement does not show being opened."""
        if self.traded or self.quantity:
            return False
        closes = (line.leg == "long" and line.side < 0) or (line.leg == "short" and line.side > 0)
        profit, closed = float(line.printed.get("realised", "0")), float(line.printed.get("closed", "nan"))
        closes |= profit != 0.0 and closed != 0.0
        closes |= 0.0 < closed <= float(line.given["quantity"])
        closes |= line.kind == "liquidation"  # closes what was opened before
        opened = line.side * float(line.given["quantity"])
        return closes or float(line.printed.get("after", opened)) != opened

    def begin(self, line: Line, quantity: float, unit: float) -> None:
        """The position before the first row about it, as far as the row tells."""
        self.known, self.sized = False, "after" in line.printed
        if self.sized:
            self.quantity = float(line.printed["after"]) * unit - quantity
            self.entry = math.nan

    @property
    def side(self) -> float:
        """+1 or -1."""
        return math.copysign(1.0, self.quantity)


def with_parts(lines: Sequence[Line]) -> list[Line]:
    """Executions of one liquidation, in order: together they close the position; the first is checked for all."""
    groups: dict[tuple[str, ...], list[Line]] = defaultdict(list)
    for line in lines:
        if line.kind == "liquidation":
            groups[_liquidation(line)].append(line)
    return [
        _part(line, groups[_liquidation(line)])
        if line.kind == "liquidation" and len(groups[_liquidation(line)]) > 1
        else line
        for line in lines
    ]


def _liquidation(line: Line) -> tuple[str, ...]:
    return line.file, line.symbol, line.leg, str(line.side), line.order or str(line.time)


def _part(line: Line, parts: Sequence[Line]) -> Line:
    printed = {name: text for name, text in line.printed.items() if name != "quantity"}
    first = line is parts[0]
    if first:
        total = sum((Decimal(one.given["quantity"]) for one in parts), Decimal(0))
        printed["quantity"] = format(total, "f")
    return replace(line, given={**line.given, "part": "first" if first else "later"}, printed=printed)


@dataclass
class Liquidations:
    """Liquidation prices under a venue's rules, and what the marks say about them."""

    profile: VenueProfile
    takers: Sequence[float]  # taker fees of the account: one, or those of all levels
    contracts: Mapping[str, Contract]
    marks: Mapping[str, MarkPath]
    sheet: Sheet
    tierless: Collection[str] = ()

    def overdue(self, line: Line, held: Held) -> None:
        """A mark before this line that should have liquidated the position."""
        if held.overdue or held.quantity == 0.0 or math.isnan(held.backing) or line.symbol not in self.marks:
            return
        level, rule, slack = self.level(line, held)
        if math.isnan(level):
            return
        path = self.marks[line.symbol]
        until = path.time[-1] if np.isnat(line.time) else line.time
        due = path.first_touch(level - held.side * slack, held.side, held.since, until, whole=True)
        if due is not None:
            held.overdue = True
            self.sheet.differs(line, "liquidation", "none", due.mark, f"{rule}: due at {due.opened}")

    def level(self, line: Line, held: Held) -> tuple[float, str, float]:
        """Liquidation price of a position, its rule, and how far one unit of the printed margin moves it."""
        price, rule = self.price(line, held.quantity, held.entry, held.backing)
        moved, _ = self.price(line, held.quantity, held.entry, held.backing + held.unit)
        return price, rule, abs(moved - price)

    def price(self, line: Line, quantity: float, entry: float, backing: float) -> tuple[float, str]:
        """Liquidation price and the name of its rule; NaN where there is none, or the tiers are not known."""
        contract = self.contracts[line.symbol]
        inverse, family = contract.kind == "inverse", f"liq.{contract.kind}"
        if line.symbol in self.tierless:
            return math.nan, family
        schedule = (
            contract.schedules[-1]
            if np.isnat(line.time)
            else contract.schedule_at(pd.Timestamp(line.time).to_pydatetime())
        )
        tiers = records(len(schedule.tiers), margin_tier_dtype)
        tiers[:] = [(t.floor, t.cap, t.rate, t.amount, t.max_leverage) for t in schedule.tiers]
        if self.profile.maintenance == "entry":
            price = liquidation_price_at_entry(quantity, entry, backing, tiers, inverse)
            if price == price:  # printed on the tick grid, towards the entry
                price = round_price(price, contract.tick_size, math.copysign(1.0, quantity))
            return price, f"{family}.mm_at_entry"
        fee = self.takers[0] if self.profile.maintenance == "mark_plus_fee" else 0.0
        name = "mm_at_mark_plus_fee" if fee else "mm_at_mark"
        return liquidation_price(quantity, entry, backing, tiers, inverse, fee), f"{family}.{name}"

    def added_margin(self, line: Line, quantity: float, entry: float) -> float:
        """Margin of a record that prints the posted margin and the bankruptcy price (Bybit, inverse).

        The posted margin is the initial margin, the fee of closing at the bankruptcy price without addition, and what
        was added by hand. The account's fee rate is not in the record: of the venue's levels, the one whose bankruptcy
        price is nearest is taken.
        """
        contract, side = self.contracts[line.symbol], math.copysign(1.0, quantity)
        leverage, posted = float(line.given["leverage"]), float(line.given["posted"])
        value = notional(quantity, entry, True)
        found = []
        for rate in self.takers:
            added = posted - value / leverage - rate * value * (1.0 + side / leverage)
            backing = margin_with_addition(
                quantity, value / leverage, added if added > _PRINTED else 0.0, rate
            )
            bust = round_price(bankruptcy_price(quantity, entry, backing, True), contract.tick_size, side)
            found.append((abs(bust - float(line.printed["bankruptcy_price"])), bust, backing))
        _, bust, backing = min(found)
        if contract.tick_size:
            self.sheet.compare(line, "bankruptcy_price", bust, "bust.inverse")
        else:
            self.sheet.leave(
                line, f"bankruptcy price: the tick of {line.symbol} is not known; give --contracts"
            )
        return backing

    def check(self, line: Line, held: Held) -> None:
        """Where the mark triggers (the liquidation price, or the open beyond it) and what the venue then prints.

        Under ``bankruptcy`` the venue takes the position over at its bankruptcy price, under ``fee_then_return`` it is
        sold where the mark triggered, by an order whose limit is the bankruptcy price on the tick grid.
        """
        contract = self.contracts[line.symbol]
        if math.isnan(held.backing) or line.symbol in self.tierless:
            lacking = "margin tiers" if line.symbol in self.tierless else ""
            reason = "no snapshot with margin or leverage after the last fill, so its prices are unknown"
            self.sheet.leave(
                line, f"the {lacking} of the contract are not known: give --contracts" if lacking else reason
            )
            return
        inverse = contract.kind == "inverse"
        trigger, rule, slack = self.level(line, held)
        bust, moved = (
            bankruptcy_price(held.quantity, held.entry, backing, inverse)
            for backing in (held.backing, held.backing + held.unit)
        )
        bust_slack = abs(moved - bust)
        met = self._met(line, held, trigger, slack, rule)
        if met is not None and met.gap:
            trigger, rule, slack = met.mark, "gap: the first mark", 0.0
        family = f"bust.{contract.kind}"
        self.sheet.compare(line, "trigger_mark", trigger, rule, slack + contract.tick_size)
        self.sheet.compare(line, "limit_price", bust, family, bust_slack + contract.tick_size)
        if self.profile.settlement == "bankruptcy":
            self.sheet.compare(line, "execution_price", bust, family, bust_slack + contract.tick_size)
        else:
            self.sheet.compare(line, "execution_price", trigger, rule, slack)

    def _met(self, line: Line, held: Held, level: float, slack: float, rule: str) -> Touch | None:
        """The mark that liquidated; a difference where there is none, or more than a bar before the record."""
        path = self.marks.get(line.symbol)
        if path is None or math.isnan(level):
            return None
        side = held.side
        self.sheet.count(line)
        found = path.first_touch(level + side * slack, side, held.since, line.time, whole=False)
        if found is None:
            worst = path.furthest(side, held.since, line.time)
            if not side * (worst - level) <= slack:
                self.sheet.differs(line, "trigger_mark", str(level), worst, f"{rule}: no mark reaches it")
        elif line.time > found.ended + path.bar:
            self.sheet.differs(line, "time", str(line.time), math.nan, f"{rule}: due at {found.opened}")
        return found
