"""Rows of several files in one order, each counted once, and the funding payments that should be among them."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation

import numpy as np

from gearing.evaluation.reconcile.records.line import Line

Settlements = Mapping[tuple[str, np.datetime64], tuple[float, float]]
_NEAR = np.timedelta64(5 * 60_000, "ms")  # a payment is booked up to minutes after its settlement
# At the same moment in several files: funding of what was held, then trades, then entries about them, then snapshots.
_RANK = {"funding": 0, "liquidation": 1, "fill": 1, "closed": 2, "entry": 2, "skipped": 2, "position": 3}
_LAST = np.iinfo(np.int64).max


def in_order(lines: Iterable[Line], settled: Mapping[tuple[str, int], np.datetime64]) -> list[Line]:
    """Rows by time; a funding payment at its settlement, snapshots without a time at the end.

    Rows of one moment stay in the order of their file; those of several files are merged by kind.
    """
    moments: dict[int, dict[str, list[Line]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        time = settled.get((line.file, line.number), line.time)
        moments[_LAST if np.isnat(time) else int(time.astype(np.int64))][line.file].append(line)
    return [line for moment in sorted(moments) for line in _merged(list(moments[moment].values()))]


def _merged(files: Sequence[Sequence[Line]]) -> Iterable[Line]:
    queues = [deque(lines) for lines in files]
    while queues := [queue for queue in queues if queue]:
        yield min(queues, key=lambda queue: (_RANK[queue[0].kind], queue[0].sequence)).popleft()


def without_doubles(lines: Sequence[Line]) -> tuple[list[Line], list[str]]:
    """Each record once, and a note of each that pages share.

    Records with an id are one where it is equal. Records without an id are counted as often as in the file that has
    most of them, because two equal executions may stand in one file.

    Raises
    ------
    ValueError
        If two rows have the same id and another content.
    """
    first: dict[tuple[str, ...], Line] = {}
    single, notes = [], []
    counts: dict[tuple[object, ...], Counter[str]] = defaultdict(Counter)
    for line in lines:
        if line.identity:
            same = first.setdefault(line.identity, line)
            if same is line:
                single.append(line)
            else:
                _refuse_other_content(same, line)
                notes.append(f"{line.place} is {same.place} again; counted once")
            continue
        found = counts[_content(line)]
        found[line.file] += 1
        if found[line.file] > max((n for file, n in found.items() if file != line.file), default=0):
            single.append(line)
        else:
            notes.append(f"{line.place} is in another file, too; counted once")
    return single, notes


def _refuse_other_content(one: Line, other: Line) -> None:
    """Refuse another content; an interface and a page print the same execution with other digits."""
    same_kind = one.label == other.label
    pairs = {"side": (str(one.side), str(other.side))}
    if same_kind:
        pairs |= {"time": (str(one.time), str(other.time)), "position": (one.leg, other.leg)}
    for mine, theirs in ((one.given, other.given), (one.printed, other.printed))[: 2 if same_kind else 1]:
        shared = [name for name in mine if name in theirs and (same_kind or name not in ("maker", "rate"))]
        pairs |= {name: (_number(mine[name]), _number(theirs[name])) for name in shared}
    for name, (first, second) in pairs.items():
        if first != second:
            raise ValueError(
                f"{other.place}: the same id as {one.place}, but another content ({name} {second or 'none'}, there "
                f"{first or 'none'}); give each record as the venue returns it."
            )


def _content(line: Line) -> tuple[object, ...]:
    numbers = [
        tuple((name, _number(text)) for name, text in sorted(one.items()))
        for one in (line.given, line.printed)
    ]
    return line.kind, str(line.time), line.side, line.leg, *numbers, line.symbol, line.label


def _number(text: str) -> str:
    try:
        return format(Decimal(text).normalize(), "f")
    except InvalidOperation:
        return text


def settlement_times(lines: Iterable[Line], settlements: Settlements) -> dict[tuple[str, int], np.datetime64]:
    """(file, line) of each funding payment -> time of its settlement: the nearest known one, else its minute."""
    known: dict[str, np.ndarray] = {}
    for symbol in {symbol for symbol, _ in settlements}:
        known[symbol] = np.sort(
            np.array([time for name, time in settlements if name == symbol], "datetime64[ms]")
        )
    found = {}
    for line in lines:
        if line.kind == "funding":
            found[line.file, line.number] = _nearest(line.time, known.get(line.symbol))
    return found


def _nearest(time: np.datetime64, known: np.ndarray | None) -> np.datetime64:
    minute = time.astype("datetime64[m]").astype("datetime64[ms]")
    if known is None or not known.size:
        return minute
    nearest = known[np.abs(known - time).argmin()]
    return nearest if abs(nearest - time) <= _NEAR else minute
