"""What a reconciliation found: numbers compared, differences, rows not checked or skipped with the reason.

A number differs when ours is further away than the venue's own rounding: half a lot for quantities, the tick for
prices (or the printed digits, where it prints more), the coin's precision for amounts; never the last printed digit,
because trailing zeros may be missing. What rounded inputs may move ours by comes on top.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import pandas as pd

from gearing.contracts import Contract
from gearing.evaluation.reconcile.records.line import API_DECIMALS, MISSING, Line
from gearing.evaluation.reconcile.records.row import decimals_of

COLUMNS = ["file", "line", "time", "symbol", "kind", "field", "printed", "ours", "unit", "rule"]
SIZES = {"quantity", "closed", "after"}
PRICES = {"entry", "execution_price", "limit_price", "trigger_mark", "liquidation_price", "bankruptcy_price"}
NOTHING_CHECKED, DIFFERS = 2, 1  # exit codes
_ROUNDING = Decimal("1e-9")  # of a unit: replayed values are doubles
_DOUBLE = Decimal("1e-13")  # relative error of replayed values
_NO_SIZE = Decimal("1e-12")  # what is left of a size by rounding of doubles
_SHOWN = 4  # places of one reason in the printed summary


@dataclass(frozen=True)
class Reconciliation:
    """Outcome of :func:`gearing.evaluation.reconcile.replay.reconcile`.

    Attributes
    ----------
    differences : DataFrame, one row per number that differs, columns ``COLUMNS``
    checked : int, numbers compared with those that the exchange rules give
    unchecked : tuple of str, numbers that could not be computed: place, contract, kind and reason
    sums : int, sums compared in which no rule takes part, such as wallet before + change = wallet after
    rows : mapping, number of rows "read", and of them "checked" (every number), "not checked", "skipped", "doubled"
    skipped : mapping kind -> rows skipped, which print no number that the rules determine
    notes : tuple of str, what was done with rows and fields
    """

    differences: pd.DataFrame
    checked: int
    unchecked: tuple[str, ...] = ()
    sums: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 if all agrees, 1 if a number differs, 2 if nothing could be checked."""
        if len(self.differences):
            return DIFFERS
        return 0 if self.checked + self.sums else NOTHING_CHECKED

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "checked": self.checked,
            "sums": self.sums,
            "differences": self.differences.astype(str).to_dict("records"),
            "unchecked": list(self.unchecked),
            "rows": dict(self.rows),
            "skipped": dict(self.skipped),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        parts = [
            f"{self.checked} numbers checked, {len(self.differences)} differ, {len(self.unchecked)} not checked"
        ]
        if self.sums:
            parts.append(
                f"{self.sums} more compared with other numbers of the statement: sums, values, balances"
            )
        if self.rows:
            parts.append(
                f"{self.rows['read']} row{'' if self.rows['read'] == 1 else 's'}: "
                + ", ".join(f"{n} {name}" for name, n in self.rows.items() if name != "read")
            )
        if not self.checked + self.sums:
            parts.append(
                "nothing was checked: "
                + ("the statement has no rows" if not self.rows.get("read") else "see below")
            )
        if len(self.differences):
            parts.append(self.differences.to_string(index=False, formatters={"ours": _exact}))
        parts += [f"not checked: {text}" for text in _grouped(self.unchecked)]
        parts += [f"skipped: {count} x {kind}" for kind, count in self.skipped.items()]
        return "\n".join([*parts, *(f"note: {note}" for note in self.notes)])


def _exact(ours: float | str) -> str:
    """Our number with as many digits as the venue prints at most."""
    if isinstance(ours, str):
        return ours
    return f"{ours:.8f}".rstrip("0").rstrip(".") if abs(ours) >= 1.0 else f"{ours:.10g}"


def _grouped(reasons: Sequence[str]) -> list[str]:
    """One text a reason, with the first of its places."""
    places: dict[str, list[str]] = defaultdict(list)
    for text in reasons:
        place, _, reason = text.partition(": ")
        places[reason].append(place)
    return [
        f"{'; '.join(where[:_SHOWN])}{f' and {len(where) - _SHOWN} more' if len(where) > _SHOWN else ''}: {reason}"
        for reason, where in places.items()
    ]


@dataclass
class Sheet:
    """Collects comparisons while a statement is replayed."""

    contracts: Mapping[str, Contract]
    table: list[tuple[object, ...]] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    states: dict[tuple[str, int], str] = field(default_factory=dict)
    checked: int = 0
    sums: int = 0

    def compare(
        self, line: Line, name: str, ours: float, rule: str, slack: float = 0.0, total: bool = False
    ) -> None:
        """Compare a printed number with ours; a ``total`` adds up numbers of the statement itself."""
        printed = line.printed.get(name)
        if printed is None or name in line.unread or not self._same_coin(line, name):
            return
        try:
            theirs = Decimal(printed)
        except InvalidOperation:
            self.leave(line, f"{name} is {printed!r}, no number")
            return
        self.count(line, total)
        unit = (
            precision(line, name, theirs, self.contracts.get(line.symbol))
            if theirs.is_finite()
            else Decimal(1)
        )
        if math.isnan(ours):
            differs = theirs != 0  # venues print 0 or nothing for a price that does not exist
        else:
            allowed = max(unit, Decimal(slack), Decimal(abs(ours)) * _DOUBLE)
            differs = abs(Decimal(ours) - theirs) > allowed * (1 + _ROUNDING)
        if differs:
            self.differs(line, name, printed, ours, rule, format(unit.normalize(), "f"))

    def count(self, line: Line, total: bool = False) -> None:
        """Count one comparison."""
        self.sums += total
        self.checked += not total
        self._state(line, "checked")

    def differs(
        self, line: Line, name: str, printed: str, ours: float | str, rule: str, unit: str = ""
    ) -> None:
        """Add a row of ``COLUMNS``."""
        self._state(line, "checked")
        self.table.append(
            (line.file, line.number, line.time, line.symbol, line.kind, name, printed, ours, unit, rule)
        )

    def leave(self, line: Line, reason: str) -> None:
        """List a row, or a number of it, as not checked."""
        self._state(line, "not checked", final=True)
        self.unchecked.append(
            f"{line.place}, {line.symbol or 'no contract'}, {line.label or line.kind}: {reason}"
        )

    def skip(self, line: Line) -> None:
        """Count a row without a number that the rules determine."""
        self._state(line, "skipped")
        self.skipped[line.label or line.kind] += 1

    def _state(self, line: Line, state: str, final: bool = False) -> None:
        """The state of a row: "not checked" if one of its numbers was not."""
        if line.label != MISSING and (final or (line.file, line.number) not in self.states):
            self.states[line.file, line.number] = state

    def _same_coin(self, line: Line, name: str) -> bool:
        """Whether an amount is in the contract's coin; else it is listed as not checked."""
        coin, settle = line.coins.get(name, ""), self.contracts[line.symbol].settle
        if coin in ("", settle):
            return True
        self.leave(
            line,
            f"{name.removesuffix('_change')} paid in {coin}, not {settle}: the price of {coin} is not in the record",
        )
        return False

    def outcome(self, lines: Sequence[Line], doubled: int) -> Reconciliation:
        """The result, with every row in exactly one state."""
        for line in lines:
            if (line.file, line.number) not in self.states:
                self.leave(line, "it prints no number that the exchange rules determine")
        found = Counter(self.states.values())
        rows = {"read": len(lines) + doubled} | {
            name: found[name] for name in ("checked", "not checked", "skipped")
        }
        return Reconciliation(
            pd.DataFrame(self.table, columns=COLUMNS), self.checked, tuple(self.unchecked), self.sums,
            rows | {"doubled": doubled}, dict(self.skipped), tuple(self.notes),
        )  # fmt: skip


def precision(line: Line, name: str, printed: Decimal, contract: Contract | None) -> Decimal:
    """How far a printed number may be away because the venue rounds it."""
    digits = Decimal(1).scaleb(-decimals_of(str(printed)))
    if name in SIZES:
        lot = 0.0 if contract is None else contract.lot_size / contract.multiplier
        return max(_NO_SIZE, min(digits, Decimal(str(lot)) / 2 if lot else Decimal("1e-8")))
    if name in PRICES:
        return max_price_step(printed, contract, digits)
    return Decimal(1).scaleb(-line.decimals.get(name, API_DECIMALS))


def max_price_step(price: Decimal, contract: Contract | None, digits: Decimal) -> Decimal:
    """The tick, or the printed digits where there are more of them than the tick has."""
    tick = Decimal(0) if contract is None else Decimal(str(contract.tick_size))
    if not tick:  # unknown: six significant digits are printed at least
        tick = Decimal(1).scaleb(min(0, price.adjusted() - 5))
    return min(digits, tick)
