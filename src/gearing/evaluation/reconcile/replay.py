"""Replay an account statement through the exchange rules and list every line that differs.

Each printed number is compared at its own precision: it differs when ours is more than one unit of its last
printed decimal away, or than what one unit of the printed wallet and entry price may move it. The rule that
produced ours is in the last column. A liquidation is checked in size, side and price: where the mark triggers it, and
at which price the venue then closes, see ``liquidation_prices``. With the venue's mark prices, so is its time: a
liquidation on a gap, one that no mark explains, one that was due and did not come.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import pandas as pd

from gearing.contracts import Contract, VenueProfile
from gearing.evaluation.reconcile.mark_path import MarkPath, Touch
from gearing.evaluation.reconcile.statements import Line
from gearing.exchange.records import margin_tier_dtype, records
from gearing.exchange.rules import (
    average_entry_price,
    bankruptcy_price,
    funding_payment,
    liquidation_price,
    liquidation_price_at_entry,
    notional,
    round_price,
    trading_fee,
    unrealised_pnl,
)

COLUMNS = ["line", "time", "symbol", "kind", "field", "printed", "ours", "unit", "rule"]
_ROUNDING = Decimal("1e-9")  # of a unit: replayed values are doubles


@dataclass(frozen=True)
class Reconciliation:
    """Outcome of :func:`reconcile`.

    Attributes
    ----------
    differences : DataFrame, one row per number that differs, columns ``COLUMNS``
    checked : int, numbers compared
    unchecked : tuple of str, numbers that could not be computed, with the reason
    """

    differences: pd.DataFrame
    checked: int
    unchecked: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "checked": self.checked,
            "differences": self.differences.astype(str).to_dict("records"),
            "unchecked": list(self.unchecked),
        }

    def __str__(self) -> str:
        parts = [
            f"{self.checked} numbers checked, {len(self.differences)} differ, {len(self.unchecked)} not checked"
        ]
        if len(self.differences):
            parts.append(self.differences.to_string(index=False))
        return "\n".join([*parts, *(f"not checked: {reason}" for reason in self.unchecked)])


def _unit(text: str) -> Decimal:
    """One unit of the last printed decimal."""
    return Decimal(1).scaleb(int(Decimal(text).as_tuple().exponent))


@dataclass
class _Held:
    """A position of the replay; ``backing`` is NaN between a fill and the next snapshot that prints margin."""

    quantity: float = 0.0
    entry: float = 0.0
    backing: float = math.nan
    unit: float = 0.0  # of the printed margin
    traded: bool = False
    overdue: bool = False  # a liquidation that was due is reported once
    since: np.datetime64 = field(default_factory=lambda: np.datetime64("NaT", "ms"))  # of its last line


@dataclass
class _Replay:
    profile: VenueProfile
    contracts: Mapping[str, Contract]
    settlements: Mapping[tuple[str, np.datetime64], tuple[float, float]]
    rates: tuple[float, float]
    marks: Mapping[str, MarkPath] = field(default_factory=dict)
    held: dict[str, _Held] = field(default_factory=lambda: defaultdict(_Held))
    rows: list[tuple[object, ...]] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    checked: int = 0

    def compare(self, line: Line, name: str, ours: float, rule: str, slack: float = 0.0) -> None:
        printed = line.printed.get(name)
        if printed is None:
            return
        try:
            theirs = Decimal(printed)
        except InvalidOperation:
            self.skip(line, f"{name} is {printed!r}, no number")
            return
        self.checked += 1
        unit = _unit(printed) if theirs.is_finite() else Decimal(1)
        if math.isnan(ours):
            differs = theirs != 0  # venues print 0 or nothing for a price that does not exist
        else:
            differs = abs(Decimal(ours) - theirs) > max(unit, Decimal(slack)) * (1 + _ROUNDING)
        if differs:
            self.differs(line, name, printed, ours, rule, str(unit))

    def differs(self, line: Line, name: str, printed: str, ours: float, rule: str, unit: str = "1") -> None:
        """Add a row of ``COLUMNS``."""
        self.rows.append((line.number, line.time, line.symbol, line.kind, name, printed, ours, unit, rule))

    def skip(self, line: Line, reason: str) -> None:
        self.unchecked.append(f"line {line.number}, {line.symbol}, {line.kind}: {reason}")

    def wrong_side(self, line: Line, rule: str) -> None:
        self.differs(line, "side", str(line.side), -line.side, rule)

    def size(self, line: Line) -> float:
        """Base coins, or quote where inverse; venues that count contracts multiply."""
        return abs(float(line.given["quantity"])) * self.contracts[line.symbol].multiplier

    def play(self, line: Line) -> None:
        if line.symbol not in self.contracts:
            self.skip(line, f"no contract {line.symbol} was given")
            return
        held = self.held[line.symbol]
        if line.kind != "liquidation":
            self.overdue(line, held)
        getattr(self, line.kind)(line)
        held.since = line.time

    def overdue(self, line: Line, held: _Held) -> None:
        """A mark before this line that should have liquidated the position."""
        if held.overdue or held.quantity == 0.0 or math.isnan(held.backing) or line.symbol not in self.marks:
            return
        level, rule, slack = self.level(line, held)
        if math.isnan(level):
            return
        side = math.copysign(1.0, held.quantity)
        due = self.marks[line.symbol].first_touch(
            level - side * slack, side, held.since, line.time, whole=True
        )
        if due is not None:
            held.overdue = True
            self.differs(line, "liquidation", "none", due.mark, f"{rule}: due at {due.opened}")

    def level(self, line: Line, held: _Held) -> tuple[float, str, float]:
        """Liquidation price of a position, its rule, and how far one unit of the printed margin moves it."""
        given = self.contracts[line.symbol], line, held.quantity, held.entry
        price, rule = self.liquidation_price(*given, held.backing)
        moved, _ = self.liquidation_price(*given, held.backing + held.unit)
        return price, rule, abs(moved - price)

    def fill(self, line: Line) -> None:
        inverse = self.contracts[line.symbol].kind == "inverse"
        held, price = self.held[line.symbol], float(line.given["price"])
        quantity = line.side * self.size(line)
        rate = self.rates[1] if line.given.get("maker") == "true" else self.rates[0]
        rate = float(line.given.get("rate", rate))
        fee = trading_fee(quantity, price, rate, inverse)
        self.compare(line, "fee", fee, "fee")
        self.compare(line, "fee_change", -fee, "fee")
        self.compare(line, "value", notional(quantity, price, inverse), "notional")
        self.compare(line, "realised", self.trade(held, quantity, price, inverse), "pnl")
        held.backing, held.traded, held.overdue = math.nan, True, False

    @staticmethod
    def trade(held: _Held, quantity: float, price: float, inverse: bool) -> float:
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

    def funding(self, line: Line) -> None:
        inverse = self.contracts[line.symbol].kind == "inverse"
        held = self.held[line.symbol]
        minute = line.time.astype("datetime64[m]").astype("datetime64[ms]")
        rate, mark = self.settlements.get((line.symbol, minute), (math.nan, math.nan))
        rate, mark = float(line.given.get("rate", rate)), float(line.given.get("price", mark))
        quantity = held.quantity
        if held.traded:
            size = abs(quantity) / self.contracts[line.symbol].multiplier
            self.compare(line, "quantity", size, "fills")
        if quantity == 0.0 and line.side and "quantity" in line.given:
            quantity = line.side * self.size(line)
        if math.isnan(rate) or math.isnan(mark):
            self.skip(line, "no rate and mark of this settlement; give the market's settlements")
            return
        payment = funding_payment(quantity, mark, rate, inverse)
        self.compare(line, "funding", payment, "funding")
        self.compare(line, "funding_paid", -payment, "funding")
        held.backing += payment

    def liquidation(self, line: Line) -> None:
        """A liquidation closes the position: size, side, prices and what they make of them."""
        contract = self.contracts[line.symbol]
        held, inverse = self.held[line.symbol], contract.kind == "inverse"
        size, price = abs(held.quantity), float(line.given["price"])
        self.compare(line, "quantity", size / contract.multiplier, "liquidation closes all")
        if line.side * held.quantity > 0.0:
            self.wrong_side(line, "liquidation")
        if held.quantity:
            self.liquidation_prices(line, contract, held)
        self.compare(line, "value", notional(size, price, inverse), "notional")
        self.compare(line, "realised", self.trade(held, -held.quantity, price, inverse), "pnl")
        held.backing = math.nan

    def liquidation_prices(self, line: Line, contract: Contract, held: _Held) -> None:
        """Where the mark triggers (the liquidation price, or the open beyond it) and what the venue then prints.

        Under ``bankruptcy`` the venue takes the position over at its bankruptcy price, under ``fee_then_return`` it is
        sold where the mark triggered, by an order whose limit is the bankruptcy price on the tick grid.
        """
        if math.isnan(held.backing):
            self.skip(
                line, "no snapshot with margin or leverage after the last fill, so its prices are unknown"
            )
            return
        inverse = contract.kind == "inverse"
        trigger, rule, slack = self.level(line, held)
        bust, moved = (
            bankruptcy_price(held.quantity, held.entry, backing, inverse)
            for backing in (held.backing, held.backing + held.unit)
        )
        bust_slack = abs(moved - bust)
        met = self.met(line, held, trigger, slack, rule)
        if met is not None and met.gap:
            trigger, rule, slack = met.mark, "gap: the first mark", 0.0
        family = f"bust.{contract.kind}"
        self.compare(line, "trigger_mark", trigger, rule, slack + contract.tick_size)
        self.compare(line, "limit_price", bust, family, bust_slack + contract.tick_size)
        if self.profile.settlement == "bankruptcy":
            self.compare(line, "execution_price", bust, family, bust_slack + contract.tick_size)
        else:
            self.compare(line, "execution_price", trigger, rule, slack)

    def met(self, line: Line, held: _Held, level: float, slack: float, rule: str) -> Touch | None:
        """The mark that liquidated; a difference where there is none, or more than a bar before the record."""
        path = self.marks.get(line.symbol)
        if path is None or math.isnan(level):
            return None
        side = math.copysign(1.0, held.quantity)
        self.checked += 1
        found = path.first_touch(level + side * slack, side, held.since, line.time, whole=False)
        if found is None:
            worst = path.furthest(side, held.since, line.time)
            if not side * (worst - level) <= slack:
                self.differs(line, "trigger_mark", str(level), worst, f"{rule}: no mark reaches it")
        elif line.time > found.ended + path.bar:
            self.differs(line, "time", str(line.time), math.nan, f"{rule}: due at {found.opened}")
        return found

    def position(self, line: Line) -> None:
        """A snapshot: unrealised profit and liquidation price from its own entry price, size and wallet."""
        contract = self.contracts[line.symbol]
        inverse, quantity = contract.kind == "inverse", line.side * self.size(line)
        if quantity == 0.0:
            return
        entry = float(line.given["entry"])
        held = self.held[line.symbol]
        if held.traded:
            self.compare(line, "quantity", abs(held.quantity) / contract.multiplier, "fills")
            self.compare(line, "entry", held.entry, "average entry price")
            if quantity * held.quantity < 0.0:
                self.wrong_side(line, "fills")
        else:  # a statement that begins with a position
            held.quantity, held.entry = quantity, entry
        if "mark" in line.given:
            mark, step = float(line.given["mark"]), float(_unit(line.given["entry"]))
            profit = unrealised_pnl(quantity, entry, mark, inverse)
            slack = abs(unrealised_pnl(quantity, entry + step, mark, inverse) - profit)
            self.compare(line, "unrealised", profit, "pnl", slack)
        if "wallet" not in line.given and "leverage" not in line.given:
            if "liquidation_price" in line.printed:
                self.skip(line, "liquidation price without wallet or leverage")
            return
        backing = notional(quantity, entry, inverse) / float(line.given.get("leverage", "1"))
        backing = float(line.given.get("wallet", backing))
        held.backing, held.unit = backing, float(_unit(line.given.get("wallet", "0.0")))
        if "liquidation_price" not in line.printed:
            return
        price, rule = self.liquidation_price(contract, line, quantity, entry, backing)
        nudged = (
            entry + float(_unit(line.given["entry"])),
            backing + float(_unit(line.given.get("wallet", "0"))),
        )
        moved = self.liquidation_price(contract, line, quantity, *nudged)[0]
        slack = abs(moved - price) if moved == moved and price == price and "wallet" in line.given else 0.0
        self.compare(line, "liquidation_price", price, rule, slack)

    def liquidation_price(
        self, contract: Contract, line: Line, quantity: float, entry: float, backing: float
    ) -> tuple[float, str]:
        inverse, family = contract.kind == "inverse", f"liq.{contract.kind}"
        schedule = contract.schedule_at(pd.Timestamp(line.time).to_pydatetime())
        tiers = records(len(schedule.tiers), margin_tier_dtype)
        tiers[:] = [(t.floor, t.cap, t.rate, t.amount, t.max_leverage) for t in schedule.tiers]
        if self.profile.maintenance == "entry":
            price = liquidation_price_at_entry(quantity, entry, backing, tiers, inverse)
            if price == price:  # printed on the tick grid, towards the entry
                price = round_price(price, contract.tick_size, math.copysign(1.0, quantity))
            return price, f"{family}.mm_at_entry"
        fee = self.rates[0] if self.profile.maintenance == "mark_plus_fee" else 0.0
        name = "mm_at_mark_plus_fee" if fee else "mm_at_mark"
        return liquidation_price(quantity, entry, backing, tiers, inverse, fee), f"{family}.{name}"


def reconcile(
    lines: Iterable[Line],
    contracts: Iterable[Contract],
    profile: VenueProfile,
    settlements: Mapping[tuple[str, np.datetime64], tuple[float, float]] | None = None,
    fee_level: str | None = None,
    marks: Mapping[str, MarkPath] | None = None,
) -> Reconciliation:
    """Replay a statement from a flat account and compare every number it prints.

    Parameters
    ----------
    lines : statement, see :func:`gearing.evaluation.reconcile.statements.read_statement`
    contracts : the contracts it trades, with multiplier, tick and margin tiers
    profile : fees and rules of the venue; ``fee_level`` one of its levels
    settlements : (symbol, time to the minute) -> (rate, mark)
        Needed where the venue's funding record prints neither (Binance; OKX prints the mark only).
    marks : symbol -> mark prices of the venue
        A bar that opens beyond the liquidation price is a gap, and liquidates there; without marks, a liquidation at
        its price is expected. A liquidation that no mark explains, or that came late or not at all, differs. What
        happened inside the bar of the line before is not known and not judged.

    Returns
    -------
    Reconciliation
    """
    rates = profile.fees(fee_level) if fee_level else (profile.taker_fee, profile.maker_fee)
    replay = _Replay(profile, {c.symbol: c for c in contracts}, settlements or {}, rates, marks or {})
    for line in sorted(lines, key=lambda line: (line.time, line.number)):
        replay.play(line)
    table = pd.DataFrame(replay.rows, columns=COLUMNS)
    return Reconciliation(table, replay.checked, tuple(replay.unchecked))
