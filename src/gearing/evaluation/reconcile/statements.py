"""Account statements of Binance, Bybit and OKX, read from JSON or CSV as the venue's interface or its page writes them.

The kinds of records and what is done with each of their fields: ``records/binance.py``, ``bybit.py``, ``okx.py``.
Numbers stay texts, because their printed decimals decide what counts as a difference.
"""

import csv
import io
import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gearing.evaluation.reconcile.answers import read_answer, unwrap
from gearing.evaluation.reconcile.records import binance, binance_pages, bybit_ledger, okx
from gearing.evaluation.reconcile.records.kind import Kind
from gearing.evaluation.reconcile.records.line import Line
from gearing.evaluation.reconcile.records.row import ABSENT, Row, plain
from gearing.market.timing import stamps
from gearing.storage.text import decoded, read_bytes

KINDS: Mapping[str, Sequence[Kind]] = {
    "binance": (*binance.KINDS, *binance_pages.KINDS),
    "bybit": bybit_ledger.KINDS,
    "okx": okx.KINDS,
}
_NUMBER = re.compile(r"[-+]?[\d.,' ]*\d")
_ORDERED_DATE = re.compile(r"\d{1,2}[-/.]\d{1,2}[-/.]\d{4}")  # day or month first: the whole column decides
_STATED = re.compile(r"Time Zone\s*:\s*((?:UTC|GMT)[-+\d:]*)", re.IGNORECASE)
_ZONE = re.compile(r"\((?:UTC|GMT)\s*([-+]{1,2})?(\d{1,2})?(?::?(\d{2}))?\)", re.IGNORECASE)
_LARGEST = 512 * 2**20  # of an unpacked file


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
    name = label or file.name
    raw = read_bytes(file)
    texts = _unzipped(raw, name) if raw.startswith(b"PK") else [(name, decoded(raw, name))]
    return [
        line
        for where, text in texts
        for line in parse_records(_records(text, where), venue, where, date_format)
    ]


def _unzipped(raw: bytes, name: str) -> list[tuple[str, str]]:
    """Texts of the CSV and JSON files in a zip."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(raw))
        members = [
            one for one in archive.infolist() if one.filename.lower().endswith((".csv", ".json", ".txt"))
        ]
        if any(one.file_size > _LARGEST for one in members):
            raise ValueError(
                f"{name}: it holds a file of more than {_LARGEST >> 20} MiB; give shorter periods."
            )
        texts = [
            (f"{name}/{one.filename}", decoded(archive.read(one), f"{name}/{one.filename}"))
            for one in members
        ]
    except (zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, NotImplementedError, EOFError, OSError):
        raise ValueError(f"{name}: the zip is damaged or locked; download it again or unpack it.") from None
    if not texts:
        raise ValueError(f"{name} holds no CSV or JSON; save a spreadsheet as CSV.")
    return texts


def _records(text: str, name: str) -> list[Any]:
    start = text.lstrip()[:1]
    if start == "<":
        raise ValueError(f"{name}: this is a web page, not a statement; fetch it again.")
    return unwrap(read_answer(text, name), name) if start in ("[", "{") else read_csv(text, name)


def read_csv(text: str, origin: str) -> list[dict[str, str]]:
    """Records of a table whose first row names the columns; separated by commas, semicolons or tabs.

    Lines above the header, such as the number of the account, have fewer columns and are left out; a time zone that
    they name is that of the columns of times.

    Raises
    ------
    ValueError
        For a column that is there twice, or a row with more values than columns; naming file and line.
    """
    text = text.replace("\ufeff", "")  # OKX's page begins every line with a byte order mark
    widest = max(text.splitlines()[:10] or [""], key=lambda line: max(line.count(mark) for mark in ",;\t|"))
    separator = max(",;\t|", key=widest.count)
    try:
        cells = list(csv.reader(io.StringIO(text), delimiter=separator))
    except csv.Error as error:
        raise ValueError(f"{origin}: this is not a table ({error}).") from None
    rows = [[cell.strip() for cell in row] for row in cells if any(cell.strip() for cell in row)]
    width, above = max((len(row) for row in rows[:10]), default=0), ""
    while rows and sum(map(bool, rows[0])) < min(width, 4):
        above += " ".join(rows.pop(0))
    if not rows:
        return []
    zone = _STATED.search(above)
    names = [f"{name}({zone[1]})" if zone and name.lower() == "time" else name for name in rows[0]]
    if doubled := [name for name, count in Counter(map(plain, names)).items() if name and count > 1]:
        raise ValueError(f"{origin}: the column {doubled[0]!r} is there twice; give each column once.")
    for number, row in enumerate(rows[1:], start=1):
        if any(row[len(names) :]):
            raise ValueError(f"{origin}, line {number}: {len(row)} values for {len(names)} columns.")
    return [dict(zip(names, row, strict=False)) for row in rows[1:]]


def parse_records(
    records: Iterable[Mapping[str, Any]],
    venue: str,
    origin: str = "statement",
    date_format: str | None = None,
) -> list[Line]:
    """Lines of records that are already in memory, in the order of the file, the oldest first."""
    family = venue.split("-")[0]
    if family not in KINDS:
        raise ValueError(f"{origin}: no statements of {venue!r}; there are {', '.join(sorted(KINDS))}.")
    lines = [_line(row, family, venue) for row in _rows(list(records), origin, date_format)]
    timed = [line.time for line in lines if line.time == line.time]
    return lines[::-1] if timed and timed[0] > timed[-1] else lines


def _line(row: Row, family: str, venue: str) -> Line:
    fitting = [kind for kind in KINDS[family] if kind.fits(row.texts)]
    if not fitting:
        raise row.error(_no_kind(row, family, venue))
    kind = min(fitting, key=lambda one: (len(one.unknown(row.texts)), -len(one.needs)))
    line = kind.read(row if kind.page else replace(row, zone=None))
    notes = tuple(f"the field {name} is not documented and not read" for name in kind.unknown(row.texts))
    if kind.page and row.zone is None:
        notes += ("times without a zone are taken as UTC",)
    return replace(line, notes=notes)


def _no_kind(row: Row, family: str, venue: str) -> str:
    """What is wrong with a record of no known kind, and what to give."""
    named = ", ".join(sorted(row.texts))
    fields = f"the fields {named[:300] or '(none)'} are of no known record of {venue}; "
    for other, kinds in KINDS.items():
        names = [kind.name for kind in kinds if kind.fits(row.texts)]
        if other != family and names:
            return f"{fields}they are those of {other} ({names[0]}): give --venue {other}."
    nearest = min(KINDS[family], key=lambda kind: len(kind.missing(row.texts)) / len(kind.needs))
    known = ", ".join(f"{kind.name} ({kind.source})" for kind in KINDS[family])
    lacking = ", ".join(nearest.missing(row.texts))
    return f"{fields}give {known}; nearest is {nearest.name}, which needs {lacking}, too."


def _rows(records: Sequence[Any], origin: str, date_format: str | None) -> list[Row]:
    tables: list[dict[str, str]] = []
    for number, record in enumerate(records, start=1):
        if not isinstance(record, Mapping):
            raise ValueError(f"{origin}, line {number}: {str(record)[:60]!r} is no record with named fields.")
        tables.append({str(name): _text(value) for name, value in record.items()})
    zone = _zone(" ".join(tables[0]), origin) if tables else None
    comma = _decimal_comma(tables)
    decimals = _column_decimals(tables, comma)
    _settle_dates(tables, origin, date_format)
    present = [
        {plain(_bare(name)): text for name, text in table.items() if text.lower() not in ABSENT}
        for table in tables
    ]
    return [
        Row(origin, number, texts, decimals, zone, comma) for number, texts in enumerate(present, start=1)
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


def _decimal_comma(tables: Sequence[Mapping[str, str]]) -> bool:
    """Whether numbers of the file are written 1.234,5: some number has a comma that separates no thousands."""
    numbers = [text for table in tables for text in table.values() if "," in text and _NUMBER.fullmatch(text)]
    return any(not re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?", text) for text in numbers)


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


def _settle_dates(tables: Sequence[dict[str, str]], origin: str, date_format: str | None) -> None:
    """Dates such as 01/02/2025 as ISO, in place: the rows of a column have the same order of day and month."""
    for name in tables[0] if tables else ():
        rows = [table for table in tables if table.get(name)]
        if date_format is None and not any(_ORDERED_DATE.match(table[name]) for table in rows):
            continue
        if not all(re.search(r"\d[-/.]\d+[-/.]\d", table[name]) for table in rows):
            continue
        moments = stamps([table[name] for table in rows], f"{origin}, column {name}", date_format)
        for table, moment in zip(rows, moments, strict=True):
            table[name] = str(moment)
