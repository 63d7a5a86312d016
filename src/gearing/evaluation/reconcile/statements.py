"""Account statements of Binance, Bybit and OKX, read from JSON or CSV as the venue's interface or its page writes them.

The kinds of records and what is done with each of their fields: ``records/binance.py``, ``bybit.py``, ``okx.py``.
Numbers stay texts, because their printed decimals decide what counts as a difference.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from gearing.evaluation.reconcile.records import binance, binance_pages, bybit_ledger, closed, okx
from gearing.evaluation.reconcile.records.kind import Kind
from gearing.evaluation.reconcile.records.line import Line
from gearing.evaluation.reconcile.records.row import ABSENT, Row, plain, without_coin
from gearing.market.timing import stamps
from gearing.storage.answers import rows_of_answer
from gearing.storage.archives import unpacked
from gearing.storage.tables import decimal_comma, table_of
from gearing.storage.text import LINE, decoded, parse_json, read_bytes

KINDS: Mapping[str, Sequence[Kind]] = {
    "binance": (*binance.KINDS, *binance_pages.KINDS),
    "bybit": (*bybit_ledger.KINDS, closed.BYBIT),
    "okx": (*okx.KINDS, closed.OKX),
}
_INSIDE = {"data", "result", "list", "rows", "code", "retCode"}  # of answers
_ABOVE = re.compile(r"\s*UID\s*:[^\n]*\n", re.IGNORECASE)  # a row above the header that states the account
_STATED = re.compile(r"Time Zone\s*:\s*((?:UTC|GMT)[-+\d:]*)", re.IGNORECASE)
_ORDERED_DATE = re.compile(r"\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")  # day or month first: the whole column decides
_DATED = re.compile(r"\d[-/.]\d+[-/.]\d")
_REQUIRED = {
    "fill": ("quantity", "price"),
    "liquidation": ("price",),
    "position": ("quantity", "entry"),
    "closed": ("quantity", "entry", "price"),
}
_ROUNDED = re.compile(r"\d(\.\d{1,8})?[eE]\+?1\d")
_ZONE = re.compile(r"\((?:UTC|GMT)\s*([-+]{1,2})?(\d{1,2})?(?::?(\d{2}))?\)", re.IGNORECASE)


def read_statement(
    path: str | os.PathLike[str], venue: str, label: str | None = None, date_format: str | None = None
) -> list[Line]:
    """Rows of a file as the venue's interface returns it or its page exports it: JSON, CSV, or a zip with one of them.

    Parameters
    ----------
    path : file
    venue : name of the venue profile
    label : how rows and errors name the file; default its name
    date_format : {"day-first", "month-first"} or a strptime format, for dates such as 01/02/2025

    Raises
    ------
    ValueError
        For an unknown venue, the venue's error answer, or a record of no known kind; the message names file and line.
    """
    file = Path(path)
    label = label or file.name
    raw, where = unpacked(
        read_bytes(file), label, lambda name: name.lower().endswith((".csv", ".json", ".txt"))
    )
    if raw[:4] in (b"PAR1", b"ARRO"):
        records, lines = _of_table(raw, where)
        return parse_records(records, venue, where, date_format, lines)
    text = decoded(raw, where).replace("\ufeff", "")  # OKX's page begins every line with a byte order mark
    start = text.lstrip()[:1]
    if start == "<":
        raise ValueError(f"{where}: this is a web page, not a statement; fetch it again.")
    if start and _is_no_table(text):
        raise ValueError(f"{where} holds {text.strip()[:60]!r}, which is no statement; fetch it again.")
    if start in ("[", "{"):
        return parse_records(_of_json(text, where), venue, where, date_format)
    records, lines = _of_table(_headed(text).encode("utf-8", "replace"), where)
    return parse_records(records, venue, where, date_format, lines)


def _is_no_table(text: str) -> bool:
    """Whether a text is one line without separators: what a server says instead of an answer, such as "429"."""
    line = text.strip()
    return line[0] not in "[{" and not re.search(r"[\n\r,;\t|]", line)


def _of_json(text: str, where: str) -> list[Any]:
    """Records of an answer, of a list of answers (pages), or of one object on each line.

    What ccxt returns holds the venue's own record under ``info``.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and all(line.strip()[0] + line.strip()[-1] in ("{}", "[]") for line in lines):
        return _of_lines(lines, where)
    values = parse_json(text, where, allow_nan=True, numbers=str)
    if isinstance(values, dict) and isinstance(values.get("positions"), list):
        return list(values["positions"])  # Binance's account
    return _unwrapped(rows_of_answer(values, where))


def _of_lines(lines: Sequence[str], where: str) -> list[Any]:
    """Records of a record, a list or an answer on each line."""
    values = [parse_json(line, f"{where}, line {n}", numbers=str) for n, line in enumerate(lines, start=1)]
    if all(isinstance(one, Mapping) for one in values) and not any(_INSIDE & set(one) for one in values):
        return _unwrapped(values)
    return _unwrapped(
        [row for n, one in enumerate(values, start=1) for row in rows_of_answer(one, f"{where}, line {n}")]
    )


def _unwrapped(rows: Sequence[Any]) -> list[Any]:
    """Rows, and of those that ccxt returned the venue's own record."""
    return [row["info"] if _is_of_ccxt(row) else row for row in rows]


def _is_of_ccxt(row: Any) -> bool:
    return isinstance(row, Mapping) and isinstance(row.get("info"), Mapping) and "timestamp" in row


def _of_table(raw: bytes, where: str) -> tuple[list[dict[str, Any]], list[int] | None]:
    """Records of a table, and their lines in the file."""
    table = table_of(raw, where, as_text=True)
    if not all(isinstance(name, str) for name in table.columns):
        raise ValueError(f"{where}: its first line names no columns; give the file as the venue exports it.")
    lines = [int(line) for line in table.index] if table.index.name == LINE else None
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")], lines


def _headed(text: str) -> str:
    """Text of a table without the row above its header; a time zone that it states goes to the columns of times."""
    above = _ABOVE.match(text)
    if above is None:
        return text
    zone = _STATED.search(above[0])
    header, newline, rest = text[above.end() :].partition("\n")
    if zone is not None:
        header = re.sub(r"(?i)\btime\b(?!\()", f"Time({zone[1]})", header, count=1)
    return "\n" * above[0].count("\n") + header + newline + rest


def parse_records(
    records: Iterable[Mapping[str, Any]],
    venue: str,
    origin: str = "statement",
    date_format: str | None = None,
    numbers: Sequence[int] | None = None,
) -> list[Line]:
    """Lines of records that are already in memory, in the order of the file, the oldest first.

    ``numbers`` are the lines of the records in their file; by default they are counted from 1.
    """
    family = venue.split("-")[0]
    if family not in KINDS:
        raise ValueError(
            f"{origin}: no statements of {venue!r}; there are binance-usdm, binance-coinm, bybit and okx."
        )
    given = list(records)
    numbered = range(1, len(given) + 1) if numbers is None else numbers
    lines = [_line(row, family, venue) for row in _rows(given, numbered, origin, date_format)]
    timed = [line.time for line in lines if line.time == line.time]
    return lines[::-1] if timed and timed[0] > timed[-1] else lines


def _line(row: Row, family: str, venue: str) -> Line:
    fitting = [kind for kind in KINDS[family] if kind.fits(row.texts)]
    fitting = fitting or [
        kind for kind in KINDS[family] if kind.fits(row.columns)
    ]  # and a needed field is empty
    if not fitting:
        raise row.error(_no_kind(row, family, venue))
    kind = min(fitting, key=lambda one: (len(one.unknown(row.texts)), -len(one.needs)))
    line = kind.read(row if kind.page else replace(row, zone=None))
    for name in _REQUIRED.get(line.kind, ()):
        if name not in line.given:
            raise row.error(
                f"the {name} of this {kind.name} is missing; give the record as the venue returns it."
            )
    notes = tuple(f"the field {name} is not documented and not read" for name in kind.unknown(row.texts))
    if kind.page and row.zone is None:
        notes += ("times without a zone are taken as UTC",)
    if any(_ROUNDED.fullmatch(text) for text in row.texts.values()):
        notes += ("numbers such as 1.7E+12 are rounded, by a spreadsheet perhaps: times may be off",)
    return replace(line, notes=notes)


def _no_kind(row: Row, family: str, venue: str) -> str:
    """What is wrong with a record of no known kind, and what to give."""
    named = ", ".join(sorted(row.texts))
    fields = f"the fields {named[:300] or '(none)'} are of no known record of {venue}; "
    for other, kinds in KINDS.items():
        names = [kind.name for kind in kinds if kind.fits(row.texts)]
        if other != family and names:
            given = "binance-usdm or binance-coinm" if other == "binance" else other
            return f"{fields}they are those of {other} ({names[0]}): give --venue {given}."
    nearest = min(KINDS[family], key=lambda kind: len(kind.missing(row.texts)) / len(kind.needs))
    known = ", ".join(kind.name for kind in KINDS[family])
    lacking = ", ".join(nearest.missing(row.texts))
    return f"{fields}known are {known}. Nearest is {nearest.name} ({nearest.source}), which needs {lacking}, too."


def _rows(records: Sequence[Any], numbers: Sequence[int], origin: str, date_format: str | None) -> list[Row]:
    tables: list[dict[str, str]] = []
    for number, record in zip(numbers, records, strict=True):
        if not isinstance(record, Mapping):
            raise ValueError(f"{origin}, line {number}: {str(record)[:60]!r} is no record with named fields.")
        tables.append({str(name): _text(value) for name, value in record.items()})
    zone = _zone(" ".join(tables[0]), origin) if tables else None
    comma = _has_decimal_comma(tables, origin)
    decimals = _column_decimals(tables, comma)
    _settle_dates(tables, numbers, origin, date_format)
    columns = [frozenset(plain(_bare(name)) for name in table) for table in tables]
    present = [
        {plain(_bare(name)): text for name, text in table.items() if text.lower() not in ABSENT}
        for table in tables
    ]
    return [
        Row(origin, number, texts, decimals, zone, comma, names)
        for number, texts, names in zip(numbers, present, columns, strict=True)
    ]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _bare(name: str) -> str:
    """A column's name without its time zone: Time(UTC)."""
    return _ZONE.sub("", name)


def _zone(header: str, origin: str) -> str | None:
    """Time zone that the header or the file's name states, "Time(UTC+3)" or "...(UTC--6).csv"; None if neither does."""
    match = _ZONE.search(header) or _ZONE.search(origin)
    if match is None:
        return None
    sign = "-" if "-" in (match[1] or "") else "+"
    return f"{sign}{int(match[2] or 0):02d}:{match[3] or '00'}"


def _has_decimal_comma(tables: Sequence[Mapping[str, str]], origin: str) -> bool:
    """Whether numbers of the file are written 1.234,5."""
    names = {name for table in tables for name, text in table.items() if "," in text}
    columns = {
        name: pa.array([without_coin(table.get(name, "")) for table in tables]) for name in sorted(names)
    }
    return bool(decimal_comma(columns, origin))


def _column_decimals(tables: Sequence[Mapping[str, str]], comma: bool) -> dict[str, int]:
    """Most decimals printed in each column."""
    mark = re.compile(r"[-+]?[\d. ]*,(\d+)" if comma else r"[-+]?[\d, ]*\.(\d+)")
    found: dict[str, int] = {}
    for table in tables:
        for name, text in table.items():
            if match := mark.match(text):
                key = plain(_bare(name))
                found[key] = max(found.get(key, 0), len(match[1]))
    return found


def _settle_dates(
    tables: Sequence[dict[str, str]], numbers: Sequence[int], origin: str, date_format: str | None
) -> None:
    """Dates such as 01/02/2025 as ISO, in place: the rows of a column have the same order of day and month."""
    for name in tables[0] if tables else ():
        rows = {number: table for number, table in zip(numbers, tables, strict=True) if table.get(name)}
        texts = [table[name] for table in rows.values()]
        if date_format is None and not any(_ORDERED_DATE.match(text) for text in texts):
            continue
        if not all(_DATED.search(text) for text in texts):
            continue
        column = pd.Series(texts, index=pd.Index(list(rows), name=LINE))
        moments = stamps(column, f"{origin}, column {name}", date_format)
        for table, moment in zip(rows.values(), moments, strict=True):
            table[name] = str(moment)
