"""Tables as plain columns: CSV and JSON without pandas, for processes that have numpy only.

Strict where :mod:`gearing.storage.tables` guesses: a header or rows of a venue's answer, numbers with a decimal point.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gearing.storage.answers import rows_of_answer
from gearing.storage.archives import unpacked
from gearing.storage.cells import SEPARATORS
from gearing.storage.text import LINE, decoded, parse_json, read_bytes

_BINARY = (b"PAR1", b"ARROW1")
LARGEST = 1 << 28  # bytes of a file


class Lines(list[int]):
    """Lines of the rows of a file, as the index of its columns."""

    name = LINE


class Cells(list[Any]):
    """A column of texts or values; its ``index`` has the line of each row in the file."""

    index: Any

    def __init__(self, values: Sequence[Any], lines: Lines):
        super().__init__(values)
        self.index = lines


def read_columns(path: Path) -> Mapping[Any, Any]:
    """Columns of a CSV or JSON file by name; Parquet and Feather with pandas.

    Rows that are lists (klines of a venue) have columns named 0, 1, 2 ...

    Raises
    ------
    ValueError
        Naming the file, and the line, where it is damaged, of an unknown kind, or not one table.
    """
    content, where = unpacked(read_bytes(path), str(path), largest=LARGEST)
    if content.startswith(_BINARY):
        return _of_binary(path)
    text = decoded(content, where)
    if not text.strip():
        raise ValueError(f"{where} is empty; there is no table in it.")
    if text.lstrip()[:1] in ("[", "{"):
        return columns_of_rows(rows_of_answer(parse_json(text, where, allow_nan=True), where), where)
    return _of_csv(text, where)


def columns_of_rows(rows: Sequence[Any], where: str) -> dict[Any, list[Any]]:
    """Columns of rows that are all objects with the same names, or all lists of one length."""
    if not rows:
        raise ValueError(f"{where} has no rows.")
    lists = isinstance(rows[0], Sequence) and not isinstance(rows[0], str)
    kind: Any = Sequence if lists else Mapping
    names: list[Any] = (
        list(range(len(rows[0]))) if lists else list(rows[0]) if isinstance(rows[0], Mapping) else []
    )
    for number, row in enumerate(rows):
        if not isinstance(row, kind) or isinstance(row, str) or not names:
            raise ValueError(f"{where}: a table is a list of rows; each row a list of values or an object.")
        if len(row) != len(names) or not (lists or row.keys() == set(names)):
            raise ValueError(f"{where}, row {number}: its columns are not those of the first row.")
    return {name: [row[name] for row in rows] for name in names}


def _of_binary(path: Path) -> Mapping[Any, Any]:
    try:
        from gearing.storage.tables import read_table
    except ImportError:
        raise ValueError(
            f"{path}: Parquet and Feather need pandas and pyarrow, which are not installed; give CSV or JSON."
        ) from None
    table = read_table(path)
    return {name: table[name] for name in table.columns}


def _of_csv(text: str, where: str) -> dict[str, Cells]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    filled = [number for number, line in enumerate(lines) if line.strip()]
    separator = max(SEPARATORS, key=lines[filled[0]].count)
    try:
        rows = list(csv.reader([lines[number] for number in filled], delimiter=separator, strict=True))
    except csv.Error:
        raise ValueError(f"{where}: the ends of rows cannot be found; are quotes left open?") from None
    if len(rows) != len(filled):
        raise ValueError(f"{where}: a quoted cell runs over several lines; remove the line break.")
    header, body = [name.strip() for name in rows[0]], rows[1:]
    _check_header(header, f"{where}, line {filled[0] + 1}")
    if not body:
        raise ValueError(f"{where}: has no rows under its header.")
    for number, row in zip(filled[1:], body, strict=True):
        if len(row) != len(header):
            raise ValueError(
                f"{where}, line {number + 1}: {len(row)} cells, the first line has {len(header)}; the file is cut off, "
                f"or a cell holds an unquoted {separator!r}."
            )
    found = Lines(number + 1 for number in filled[1:])
    return {name: Cells([cell.strip() for cell in column], found)
            for name, column in zip(header, zip(*body, strict=True), strict=True)}  # fmt: skip


def _check_header(names: Sequence[str], where: str) -> None:
    if names[0].lstrip("+-")[:1].isdigit():
        raise ValueError(
            f"{where}: a number where the header should be; begin the file with the names of its columns."
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{where}: the column {twice!r} stands twice in the header; rename one of them.")
