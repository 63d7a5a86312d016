"""What a statement has to hold: payments of all settlements, entries of all fills, balances that follow each other."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

import numpy as np

from gearing.contracts import Contract
from gearing.evaluation.reconcile.liquidations import Held
from gearing.evaluation.reconcile.mark_path import MarkPath
from gearing.evaluation.reconcile.order import Settlements
from gearing.evaluation.reconcile.outcome import Sheet
from gearing.evaluation.reconcile.records.line import API_DECIMALS, MISSING, Line
from gearing.exchange.rules import funding_payment

_BORDER = np.timedelta64(
    15_000, "ms"
)  # venues settle up to 15 seconds late: a fill this near may or may not count
_TOLERANCE = 2 * Decimal(1).scaleb(-API_DECIMALS)  # three numbers, each rounded to half a unit or cut off
_SECOND = np.timedelta64(1_000, "ms")  # pages print whole seconds
_SMALLEST = 10.0**-API_DECIMALS


@dataclass
class Expected:
    """Funding payments that are due while the rows are replayed, and were not booked."""

    lines: Sequence[Line]
    settlements: Settlements
    contracts: Mapping[str, Contract]
    marks: Mapping[str, MarkPath]
    held: Mapping[tuple[str, str], Held]
    booked: Counter[tuple[str, str, np.datetime64]]  # (symbol, leg, settlement) of the payments so far
    sheet: Sheet
    stamps: dict[str, list[np.datetime64]] = field(default_factory=dict)
    unproven: Counter[str] = field(default_factory=Counter)
    pending: list[tuple[Line, dict[str, float]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        times = [line.time for line in self.lines if not np.isnat(line.time)]
        never = np.datetime64("NaT", "ms")  # no comparison with it holds
        first, last = min(times, default=never), max(times, default=never)
        for symbol, time in sorted(self.settlements, key=lambda key: key[1]):
            if first <= time <= last:
                self.stamps.setdefault(symbol, []).append(time)
        self.has_funding = any(line.kind == "funding" for line in self.lines)
        self.fills: dict[str, list[np.datetime64]] = defaultdict(list)
        for line in self.lines:
            if line.kind in ("fill", "liquidation"):
                self.fills[line.symbol].append(line.time)

    def before(self, line: Line) -> None:
        """Settlements before a row is played, with the positions held at them."""
        for symbol, stamps in self.stamps.items():
            while stamps and (np.isnat(line.time) or stamps[0] < line.time or self._passes(stamps[0], line)):
                self._due(symbol, stamps.pop(0), line)

    def close(self) -> None:
        """Settlements after the last row, and what could not be proven."""
        for symbol, stamps in self.stamps.items():
            for stamp in stamps:
                self._due(symbol, stamp, self.lines[-1])
        for line, due in self.pending:
            self._missing(line, due)
        for symbol, count in self.unproven.items():
            self.sheet.unchecked.append(
                f"statement, {symbol}, funding: the statement has no funding payments, so that those of {count} "
                "settlements while a position was open are not checked; give the income history, too"
            )

    @staticmethod
    def _passes(stamp: np.datetime64, line: Line) -> bool:
        return bool(stamp == line.time) and line.kind != "funding"

    def _due(self, symbol: str, stamp: np.datetime64, behind: Line) -> None:
        """Note the payments of a settlement; rows about it may still follow."""
        legs = {
            leg: one
            for (name, leg), one in self.held.items()
            if name == symbol and one.quantity and one.known
        }
        if not legs:
            return
        if not self.has_funding:
            self.unproven[symbol] += 1
            return
        rate, mark = self.settlements[symbol, stamp]
        if math.isnan(mark) and symbol in self.marks:
            mark, _ = self.marks[symbol].at(stamp)
        inverse = self.contracts[symbol].kind == "inverse"
        due = {leg: funding_payment(one.quantity, mark, rate, inverse) for leg, one in legs.items()}
        line = Line(behind.number, stamp, "funding", symbol, file=behind.file, label=MISSING)
        self.pending.append((line, due))

    def _missing(self, line: Line, due: Mapping[str, float]) -> None:
        """List the payments that no row booked."""
        ours = sum(payment for leg, payment in due.items() if not self.booked[line.symbol, leg, line.time])
        if abs(ours) < _SMALLEST:
            return
        if any(abs(time - line.time) <= _BORDER for time in self.fills[line.symbol]):
            self.sheet.leave(line, f"no payment at {line.time}, but a fill within 15 seconds of it")
            return
        self.sheet.count(line)
        rule = f"funding: no payment of the settlement at {line.time}"
        self.sheet.differs(line, "funding", "missing", ours, rule)


def with_fills(lines: Sequence[Line]) -> list[Line]:
    """Entries of the account's ledger about a trade or a settlement, as such where no other row is about it."""
    own = [line for line in lines if line.kind in ("fill", "funding", "liquidation")]
    executed = {(line.symbol, line.trade) for line in own if line.trade}
    return [
        line
        if line.kind != "entry" or not line.instead or (line.symbol, line.trade) in executed
        else _settled(line, own) or replace(line, kind=line.instead)
        for line in lines
    ]


def without_executed(lines: Sequence[Line]) -> list[Line]:
    """Rows, with orders (they print no fee) skipped where their executions are in the statement, too."""
    executed = {
        (line.symbol, line.order) for line in lines if line.kind == "fill" and line.trade and line.order
    }
    return [
        replace(line, kind="skipped", label=f"{line.label}, its executions are there, too")
        if line.kind == "fill"
        and not line.trade
        and not {"fee", "fee_change"} & set(line.printed)
        and (line.symbol, line.order) in executed
        else line
        for line in lines
    ]


def _settled(line: Line, own: Sequence[Line]) -> Line | None:
    """The entry of a settlement with the id of the payment that another file prints."""
    if line.instead != "funding":
        return None
    for other in own:
        same = other.kind == "funding" and (other.symbol, other.side) == (line.symbol, line.side)
        if same and other.trade and abs(other.time - line.time) <= _BORDER:
            return replace(line, trade=other.trade)
    return None


def forced_fees(lines: Sequence[Line]) -> list[Line]:
    """Fees of trades that the venue forced follow none of the account's rates: not checked, unless they are 0."""
    orders = {line.order for line in lines if line.kind == "liquidation" and line.order}
    return [
        _forced_fee(line)
        if line.kind in ("fill", "liquidation")
        and "rate" not in line.given
        and (line.forced or line.order in orders)
        else line
        for line in lines
    ]


def _forced_fee(line: Line) -> Line:
    names = [name for name in ("fee", "fee_change") if name in line.printed]
    if all(Decimal(line.printed[name]) == 0 for name in names):
        return replace(line, given={**line.given, "rate": "0"})
    reason = "fee of a forced trade: its rate is not in the record"
    return replace(line, unread={**line.unread, **dict.fromkeys(names, reason)})


def check_sums(lines: Iterable[Line], sheet: Sheet) -> None:
    """Change of the wallet = sum of the amounts that the same row prints."""
    for line in lines:
        if "parts" not in line.given or "change" not in line.printed:
            continue
        sheet.count(line, total=True)
        ours, printed = Decimal(line.given["parts"]), line.printed["change"]
        if abs(ours - Decimal(printed)) > _TOLERANCE:
            rule = "sum of the row's amounts"
            sheet.differs(line, "change", printed, float(ours), rule, format(_TOLERANCE, "f"))


def with_signs(lines: Sequence[Line]) -> list[Line]:
    """Funding positive where received: files of Bybit's classic accounts print it the other way, as their sums show."""
    votes: Counter[str] = Counter()
    for line in lines:
        if "classic parts" in line.given and "change" in line.printed:
            change, other = Decimal(line.printed["change"]), Decimal(line.given["classic parts"])
            votes[line.file] += int(change == other) - int(change == Decimal(line.given["parts"]))
    return [
        _classic(line) if votes[line.file] > 0 and "classic parts" in line.given else line for line in lines
    ]


def _classic(line: Line) -> Line:
    funding = format(-Decimal(line.printed.get("funding", "0")), "f")
    return replace(
        line,
        given={**line.given, "parts": line.given["classic parts"]},
        printed={**line.printed, "funding": funding},
    )


def check_executions(lines: Sequence[Line], sheet: Sheet) -> None:
    """Entries of the ledger whose trade the executions lack, though others in the statement are before and after it."""
    for kind in ("fill", "funding", "liquidation"):
        files = {line.file for line in lines if line.kind == kind and not line.instead}
        times = [line.time for line in lines if line.file in files and line.kind != "position"]
        for line in lines:
            if line.kind == kind and line.instead and times and min(times) <= line.time <= max(times):
                sheet.differs(
                    line, kind, "missing", line.given.get("price", ""), "no such row among the executions"
                )


def check_entries(
    lines: Sequence[Line],
    executed: Mapping[tuple[str, str], Line],
    numbers: Mapping[tuple[str, str], Mapping[str, float]],
    sheet: Sheet,
) -> None:
    """Entries of the account's ledger against the fills they belong to, and fills without an entry."""
    entries = [line for line in lines if line.kind == "entry"]
    seen: Counter[tuple[str, str, str]] = Counter()
    for line in entries:
        key = (line.symbol, line.trade) if line.trade else _at_its_time(line, executed, numbers, seen)
        fill = executed.get(key)
        if fill is None:
            which = f"with trade id {line.trade} " if line.trade else "at its time "
            sheet.leave(line, f"no fill {which}of {line.symbol} in the statement; give the executions, too")
            continue
        known = numbers[key]
        for name in (name for name in line.printed if name in known and name != "change"):
            seen[*key, name] += 1
            _compare_entry(line, name, fill, known, seen[*key, name], sheet)
        _compare_given(line, fill, sheet)
    _missing_entries(lines, entries, executed, numbers, seen, sheet)


def _at_its_time(
    line: Line,
    executed: Mapping[tuple[str, str], Line],
    numbers: Mapping[tuple[str, str], Mapping[str, float]],
    seen: Mapping[tuple[str, str, str], int],
) -> tuple[str, str]:
    """The fill that an entry without a trade id is about: of those of its second without such an entry, the nearest."""
    name = next(iter(line.printed))
    printed = float(line.printed[name])
    fitting = [
        key
        for key, fill in executed.items()
        if key[0] == line.symbol and abs(fill.time - line.time) <= _SECOND and not seen.get((*key, name))
    ]
    return min(
        fitting, key=lambda key: abs(numbers[key].get(name, math.inf) - printed), default=(line.symbol, "")
    )


def _compare_given(line: Line, fill: Line, sheet: Sheet) -> None:
    """Size, price, rate and side of an entry are those of its trade."""
    for name in ("quantity", "price", "rate"):
        if (
            name in line.given
            and name in fill.given
            and Decimal(fill.given[name]) != Decimal(line.given[name])
        ):
            sheet.differs(
                line, name, line.given[name], float(fill.given[name]), f"{name} of trade {line.trade}"
            )
    if line.instead and line.instead != fill.kind:
        sheet.differs(line, "kind", line.instead, fill.kind, f"kind of trade {line.trade}")
    makers = line.given.get("maker"), fill.given.get("maker")
    if None not in makers and makers[0] != makers[1]:
        sheet.differs(line, "maker", str(makers[0]), str(makers[1]), f"maker of trade {line.trade}")
    if line.side and line.side != fill.side:
        sheet.differs(line, "side", str(line.side), fill.side, f"side of trade {line.trade}")


def _compare_entry(
    line: Line,
    name: str,
    fill: Line,
    numbers: Mapping[str, float],
    times_seen: int,
    sheet: Sheet,
) -> None:
    if times_seen > 1:
        sheet.count(line)
        sheet.differs(line, name, line.printed[name], 0.0, f"a second entry of trade {line.trade}")
        return
    coin, settle = line.coins.get(name, ""), sheet.contracts[line.symbol].settle
    if coin not in ("", settle) and coin == fill.coins.get("fee") and name == "fee_change":
        same = replace(line, coins={})
        sheet.compare(same, name, -float(fill.printed["fee"]), f"fee of trade {line.trade}", total=True)
    elif math.isnan(numbers[name]):
        sheet.leave(line, "the statement begins with an open position, so the profit is not known")
    else:
        sheet.compare(line, name, numbers[name], f"{name.removesuffix('_change')} of trade {line.trade}")


def _missing_entries(
    lines: Sequence[Line],
    entries: Sequence[Line],
    executed: Mapping[tuple[str, str], Line],
    numbers: Mapping[tuple[str, str], Mapping[str, float]],
    seen: Mapping[tuple[str, str, str], int],
    sheet: Sheet,
) -> None:
    """Fills inside the span of the ledger that lack an entry of a kind that others have."""
    files = {line.file for line in entries}
    times = [line.time for line in lines if line.file in files and line.kind not in ("fill", "position")]
    for name in sorted(
        {name for line in entries for name in line.printed if name in ("fee_change", "realised")}
    ):
        for key, fill in executed.items():
            due = numbers[key].get(name, 0.0)
            if seen.get((*key, name)) or not abs(due) >= _SMALLEST:
                continue
            missing = Line(fill.number, fill.time, "entry", fill.symbol, file=fill.file, label=MISSING)
            if min(times) <= fill.time <= max(times):
                sheet.count(missing)
                sheet.differs(missing, name, "missing", due, f"the ledger has no entry of trade {fill.trade}")
            else:
                where = "after" if fill.time > max(times) else "before"
                sheet.leave(
                    missing, f"the ledger has no entry of this trade, which is {where} its other rows"
                )


def check_balances(lines: Iterable[Line], sheet: Sheet) -> None:
    """Wallet before + change = wallet after, for each coin."""
    chains: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line.balance is not None:
            chains[line.balance[0]].append(line)
    for chain in chains.values():
        before: Decimal | None = None
        for line in _linked(chain):
            _, change, after = line.balance or ("", "", "0")
            if before is not None and change:
                sheet.count(line, total=True)
                if not _follows(before, line):
                    ours = float(before + Decimal(change))
                    rule = "wallet before + change; rows are missing or wrong"
                    sheet.differs(line, "balance", after, ours, rule, format(_TOLERANCE, "f"))
            before = Decimal(after)


def _linked(chain: Sequence[Line]) -> Iterable[Line]:
    """Rows by time; among those of one moment, the one that follows from the balance before comes first."""
    rest, before = list(chain), None
    while rest:
        same = [line for line in rest if line.time == rest[0].time]
        fitting = (line for line in same if before is not None and _follows(before, line))
        line = next(fitting, same[0])
        rest.remove(line)
        before = Decimal((line.balance or ("", "", "0"))[2])
        yield line


def _follows(before: Decimal, line: Line) -> bool:
    """Whether the balance of a row is that before it and its change."""
    _, change, after = line.balance or ("", "", "0")
    return bool(change) and abs(before + Decimal(change) - Decimal(after)) <= _TOLERANCE
