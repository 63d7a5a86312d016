"""Account statements of Binance, Bybit and OKX, read from JSON or CSV as the venue's interface or its page writes them.

The kinds of records and what is done with each of their fields: ``records/binance.py``, ``bybit.py``, ``okx.py``.
Numbers stay texts, because their printed decimals decide what counts as a difference.
"""

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gearing.evaluation.reconcile.answers import parse_json, unwrap
from gearing.evaluation.reconcile.records import binance, bybit_ledger, okx
from gearing.evaluation.reconcile.records.kind import Kind
from gearing.evaluation.reconcile.records.line import Line
from gearing.evaluation.reconcile.records.row import ABSENT, Row, plain

KINDS: Mapping[str, Sequence[Kind]] = {
    "binance": binance.KINDS,
    "bybit": bybit_ledger.KINDS,
    "okx": okx.KINDS,
}
_NUMBER = re.compile(r"[-+]?[\d.,' ]*\d")
_ABOVE = re.compile(r"UID\s*:.*\n", re.IGNORECASE)
_STATED = re.compile(r"Time Zone\s*:\s*((?:UTC|GMT)[-+\d:]*)", re.IGNORECASE)
_ZONE = re.compile(r"\((?:UTC|GMT)\s*([-+]{1,2})?(\d{1,2})?(?::?(\d{2}))?\)", re.IGNORECASE)


def read_statement(path: str | os.PathLike[str], venue: str) -> list[Line]:
    """Rows of a JSON or CSV file as the venue's interface returns it or its page exports it.

    Raises
    ------
    ValueError
        For an unknown venue, the venue's error answer, or a record of no known kind; the message names file and line.
    """
    file = Path(path)
    text = file.read_text(encoding="utf-8-sig")
    if text.lstrip()[:1] in ("[", "{"):
        records: Iterable[Mapping[str, Any]] = unwrap(parse_json(text, file.name), file.name)
    else:
        records = read_csv(text, file.name)
    return parse_records(records, venue, file.name)


def read_csv(text: str, origin: str) -> list[dict[str, str]]:
    """Records of a table whose first row names the columns; separated by commas, semicolons or tabs.

    A row above it that states the account ("UID: 531298197,Company Name: ") is passed over; a time zone that it names
    is that of the columns of times.
    """
    text = text.replace("\ufeff", "").lstrip("\r\n")  # OKX's page begins every line with a byte order mark
    above = _ABOVE.match(text)
    text = text[above.end() :] if above else text
    head = text.lstrip("\r\n").partition("\n")[0]
    separator = max(",;\t", key=head.count)
    rows = [
        row for row in csv.reader(io.StringIO(text), delimiter=separator) if any(cell.strip() for cell in row)
    ]
    if not rows:
        return []
    zone = _STATED.search(above[0]) if above else None
    names = [name.strip() for name in rows[0]]
    names = [f"{name}({zone[1]})" if zone and name.lower() == "time" else name for name in names]
    if doubled := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"{origin}: the column {doubled[0]!r} is there twice; give each column once.")
    for number, row in enumerate(rows[1:], start=1):
        if len(row) > len(names) and any(cell.strip() for cell in row[len(names) :]):
            raise ValueError(f"{origin}, line {number}: {len(row)} values for {len(names)} columns.")
    return [dict(zip(names, row, strict=False)) for row in rows[1:]]


def parse_records(records: Iterable[Mapping[str, Any]], venue: str, origin: str = "statement") -> list[Line]:
    """Lines of records that are already in memory, in the order of the file, the oldest first."""
    family = venue.split("-")[0]
    if family not in KINDS:
        raise ValueError(f"{origin}: no statements of {venue!r}; there are {', '.join(sorted(KINDS))}.")
    lines = [_line(row, family, venue) for row in _rows(list(records), origin)]
    timed = [line.time for line in lines if line.time == line.time]
    return lines[::-1] if timed and timed[0] > timed[-1] else lines


def _line(row: Row, family: str, venue: str) -> Line:
    fitting = [kind for kind in KINDS[family] if kind.fits(row.texts)]
    if not fitting:
        raise row.error(_unknown(row, family, venue))
    kind = min(fitting, key=lambda one: (len(one.unknown(row.texts)), -len(one.needs)))
    line = kind.read(row)
    return replace(line, unknown=tuple(kind.unknown(row.texts)))


def _unknown(row: Row, family: str, venue: str) -> str:
    """What is wrong with a record of no known kind, and what to give."""
    fields = f"the fields {', '.join(sorted(row.texts)) or '(none)'} are of no known record of {venue}; "
    for other, kinds in KINDS.items():
        named = [kind.name for kind in kinds if kind.fits(row.texts)]
        if other != family and named:
            return f"{fields}they are those of {other} ({named[0]}): give --venue {other}."
    nearest = min(KINDS[family], key=lambda kind: len(kind.missing(row.texts)) / len(kind.needs))
    known = ", ".join(f"{kind.name} ({kind.source})" for kind in KINDS[family])
    lacking = ", ".join(nearest.missing(row.texts))
    return f"{fields}give {known}; nearest is {nearest.name}, which needs {lacking}, too."


def _rows(records: Sequence[Any], origin: str) -> list[Row]:
    tables = []
    for number, record in enumerate(records, start=1):
        if not isinstance(record, Mapping):
            raise ValueError(f"{origin}, line {number}: {str(record)[:60]!r} is no record with named fields.")
        tables.append({name: _text(value) for name, value in record.items()})
    comma = _decimal_comma(tables)
    decimals = _column_decimals(tables, comma)
    zones = [_zone(" ".join(table), origin) for table in tables[:1]] * len(tables)
    return [
        Row(origin, number, {plain(_bare(name)): text for name, text in table.items() if text.lower() not in ABSENT},
            decimals, zone, comma)
        for (number, table), zone in zip(enumerate(tables, start=1), zones, strict=True)
    ]  # fmt: skip


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _bare(name: str) -> str:
    """A column's name without its time zone: Time(UTC)."""
    return _ZONE.sub("", str(name))


def _zone(header: str, origin: str) -> str:
    """Time zone that the header or the file's name states, "Time(UTC+3)" or "...(UTC--6).csv"; "" for UTC."""
    match = _ZONE.search(header) or _ZONE.search(origin)
    if match is None or match[2] is None:
        return ""
    sign = "-" if "-" in (match[1] or "") else "+"
    return f"{sign}{int(match[2]):02d}:{match[3] or '00'}"


def _decimal_comma(tables: Sequence[Mapping[str, str]]) -> bool:
    """Whether numbers of the file are written 1.234,5: some number has a comma that separates no thousands."""
    numbers = [text for table in tables for text in table.values() if "," in text and _NUMBER.fullmatch(text)]
    return any(not re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?", text) for text in numbers)


def _column_decimals(tables: Sequence[Mapping[str, str]], comma: bool) -> dict[str, int]:
    """Most decimals printed in each column."""
    mark = re.compile(r"[-+]?[\d., ]*[,](\d+)" if comma else r"[-+]?[\d, ]*[.](\d+)")
    found: dict[str, int] = {}
    for table in tables:
        for name, text in table.items():
            if match := mark.match(text):
                key = plain(_bare(name))
                found[key] = max(found.get(key, 0), len(match[1]))
    return found
