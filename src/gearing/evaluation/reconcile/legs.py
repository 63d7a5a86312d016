"""Which position of hedge mode a row belongs to, where the venue prints it only indirectly.

Bybit's executions print how much of a position they closed, its transaction log the size of the position afterwards:
in hedge mode a buy that closes nothing belongs to the long, one that closes to the short. Which mode a contract is in
is read from the positions, or else is the one that contradicts fewer of these numbers. OKX names the direction of a
liquidated position in either mode.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from gearing.evaluation.reconcile.records.line import Line

_NAMES = {1: "long", -1: "short"}
_TRADES = ("fill", "liquidation")
_UNKNOWN = "which position of hedge mode it belongs to is not in the record"


def with_legs(lines: Sequence[Line]) -> list[Line]:
    """The rows, in the order they are played, with their position of hedge mode."""
    hedged = {line.symbol for line in lines if line.leg in _NAMES.values()}
    of_symbol: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        of_symbol[line.symbol].append(line)
    hedged |= {
        symbol for symbol, rows in of_symbol.items() if symbol not in hedged and _contradicts_one_way(rows)
    }
    return [_with_leg(line, line.symbol in hedged) for line in lines]


def _with_leg(line: Line, hedged: bool) -> Line:
    if line.leg.endswith("?"):
        return replace(line, leg=line.leg[:-1] if hedged else "")
    if not hedged or line.leg or line.kind not in (*_TRADES, "funding") or not _prints(line):
        return line
    if line.kind == "funding":
        return replace(line, leg=_NAMES[line.side]) if line.side else line
    leg = _leg(line)
    if leg == 0:
        return replace(line, unread={**line.unread, "leg": _UNKNOWN})
    return replace(line, leg=_NAMES[leg])


def _prints(line: Line) -> bool:
    """Whether the row is of a record that prints what it closed or left."""
    return line.side != 0 and line.by_side


def _leg(line: Line) -> int:
    """+1 the long, -1 the short, 0 unknown."""
    if line.kind == "liquidation":
        return -line.side
    if "after" in line.printed:
        after = Decimal(line.printed["after"])
        return line.side if after * line.side > 0 else -line.side
    if "closed" in line.printed:
        return line.side if Decimal(line.printed["closed"]) == 0 else -line.side
    return 0


def _contradicts_one_way(rows: Iterable[Line]) -> bool:
    """Whether fewer of the printed sizes contradict two positions than one."""
    rows = list(rows)
    if any(line.kind == "position" and line.by_side for line in rows):
        return False  # positions without a leg: one-way mode
    trades = [line for line in rows if line.kind in _TRADES and line.by_side and _leg(line)]
    return _contradictions(trades, hedge=True) < _contradictions(trades, hedge=False)


def _contradictions(trades: Iterable[Line], hedge: bool) -> int:
    """Printed sizes that do not follow from the trades before, in one mode."""
    held: dict[int, Decimal | None] = {1: None, -1: None} if hedge else {0: None}
    found = 0
    for line in trades:
        key = _leg(line) if hedge else 0
        before, traded = held[key], line.side * Decimal(line.given["quantity"])
        if before is not None:
            found += _contradicted(line, before, traded)
        after = line.printed.get("after")
        held[key] = Decimal(after) if after is not None else (before or Decimal(0)) + traded
    return found


def _contradicted(line: Line, before: Decimal, traded: Decimal) -> int:
    after, closed = line.printed.get("after"), line.printed.get("closed")
    closes = min(abs(before), abs(traded)) if before * traded < 0 else Decimal(0)
    wrong = after is not None and Decimal(after) != before + traded
    wrong |= closed is not None and Decimal(closed) != closes
    return int(wrong)
