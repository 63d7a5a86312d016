"""Read tables that users bring: Parquet, Feather, CSV and JSON, also in gzip or a zip of one file.

What a file is shows in its content, not in its name. CSV is separated by commas, semicolons, tabs or bars, with or
without a header; text is UTF-8 (:mod:`gearing.storage.text`). Nothing is dropped but lines without content: blank ones,
repeated headers where files were joined, and a title of one cell above the header.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet

from gearing.storage.answers import rows_of_answer, symbols_of_answer
from gearing.storage.archives import unpacked
from gearing.storage.cells import EMPTY, SEPARATORS
from gearing.storage.text import LINE, decoded, parse_json, read_bytes

_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_COMMA_GROUPS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
_POINT_GROUPS = re.compile(r"[+-]?\d{1,3}(\.\d{3})+")
_COMMA_DECIMALS = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+([eE][+-]?\d+)?")
_POINT = r"^[-+]?(\d*\.\d{1,2}|\d*\.\d{4,}|\d{4,}\.\d+|0\.\d+)$"  # which no thousands have
_UNSURE = re.compile(r"[+-]?\d{1,3}[.,]\d{3}")  # 1,234 and 1.234
_SEPARATOR_LINE = re.compile(r"\"?sep=([,;\t|])\"?\s*", re.IGNORECASE)  # which Excel writes first


def read_table(path: Path, as_text: bool = False) -> pd.DataFrame:
    """The table of a file.

    Parameters
    ----------
    path : Path
    as_text : bool
        Leave the cells of CSV and JSON as they are written; by default a column of numbers becomes numbers.

    Returns
    -------
    DataFrame
        Columns are texts, or numbers from 0 where the file has no header. The index of a CSV's table is named "line".
        ``attrs["symbols"]`` has the contracts that an answer names next to rows that are lists.

    Raises
    ------
    ValueError
        Naming the file, and the line, where it is damaged, of an unknown kind, or not one table.
    """
    return table_of(read_bytes(path), str(path), as_text)


def table_of(content: bytes, where: str, as_text: bool = False) -> pd.DataFrame:
    """The table of a file's content; ``where`` begins messages."""
    content, where = unpacked(content, where)
    if content.startswith(b"\x89HDF"):
        raise ValueError(
            f"{where}: HDF5 is not read, because its files may run code; convert it "
            "(`freqtrade convert-data --format-from hdf5 --format-to feather`)."
        )
    for magic, reader in ((b"PAR1", pa.parquet.read_table), (b"ARROW1", pa.feather.read_table)):
        if content.startswith(magic):
            return _binary(content, where, reader)
    text = decoded(content, where)
    if not text.strip():
        raise ValueError(f"{where} is empty; there is no table in it.")
    if text.lstrip()[:1] in ("[", "{"):
        values = parse_json(text, where, allow_nan=True, numbers=str if as_text else None)
        return _of_json(values, where, as_text)
    return _of_csv(text, where, as_text)


def _binary(content: bytes, where: str, reader: Any) -> pd.DataFrame:
    """Parquet or Feather; an index that was stored becomes a column."""
    try:
        table = reader(pa.BufferReader(content)).to_pandas()
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError):
        raise ValueError(f"{where} is damaged or cut off; get the file again.") from None
    index = table.index  # row numbers, those of a part of a table as well, are no column
    plain = index.name is None and index.dtype.kind in "iu" and bool((index < 10**8).all())
    return table if plain else table.reset_index()


def _of_json(values: Any, where: str, as_text: bool) -> pd.DataFrame:
    rows = rows_of_answer(values, where)
    if rows and all(isinstance(row, Sequence) and not isinstance(row, str) for row in rows):
        width = len(rows[0])
        odd = next((k for k, row in enumerate(rows) if len(row) != width), None)
        if odd is not None:
            raise ValueError(f"{where}, row {odd}: {len(rows[odd])} values, the first row has {width}.")
    elif not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(f"{where}: a table is a list of rows; each row a list of values or an object.")
    try:
        table = pd.DataFrame(rows)
        table.attrs["symbols"] = sorted(symbols_of_answer(values))
        texts = {
            name: pa.array(table[name], pa.string())
            for name in table
            if not as_text and _all_text(table[name])
        }
    except UnicodeError:
        raise ValueError(f"{where}: holds half of a character (\\ud800 to \\udfff); remove it.") from None
    for name, column in zip(texts, _numbers_in(texts, where), strict=True):
        table[name] = column.to_pandas()
    return table


def _all_text(column: pd.Series) -> bool:
    return all(isinstance(cell, str) for cell in column)


def _of_csv(text: str, where: str, as_text: bool) -> pd.DataFrame:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    filled = [number for number, line in enumerate(lines) if line.strip()]
    try:
        separator, skipped = _separator([lines[number] for number in filled[:50]])
    except csv.Error:
        raise ValueError(f"{where}: its first lines are no CSV; is a quote left open?") from None
    filled = filled[skipped:]
    header = next(csv.reader([lines[filled[0]]], delimiter=separator))
    named = not _begins_with_number(header[0])
    names = (
        _names(header, f"{where}, line {filled[0] + 1}") if named else [str(k) for k in range(len(header))]
    )
    body = filled[1:] if named else filled
    if not body:
        raise ValueError(f"{where}: has no rows under its header.")
    table = _parsed([lines[number] for number in body], names, separator, where, body)
    if not named and (later := _later_header(table)):
        named, header = True, later
        names = _names(header, where)
    repeated = _equal_rows(table, header) if named else np.zeros(len(body), bool)
    index = pd.Index(np.array(body, np.int64)[~repeated] + 1, name=LINE)
    if repeated.any():
        table = table.filter(pa.array(~repeated))
    columns = table.columns if as_text else _numbers_in(dict(zip(names, table.columns, strict=True)), where)
    frame = pa.table(columns, [str(k) for k in range(len(names))]).to_pandas()
    frame.index, frame.columns = index, names if named else range(len(names))
    return frame


def _begins_with_number(cell: str) -> bool:
    return cell.strip().lstrip("+-")[:1].isdigit()


def _separator(lines: Sequence[str]) -> tuple[str, int]:
    """The separator that gives rows of one width, and the title lines of one cell above them."""
    if named := _SEPARATOR_LINE.fullmatch(lines[0]):
        return named[1], 1
    best, found, skipped = (False, 0, 1), ",", 0
    for separator in SEPARATORS:
        widths = [len(row) for row in csv.reader(lines, delimiter=separator)]
        titles = next((k for k, width in enumerate(widths) if width > 1), 0)
        quality = (len(set(widths[titles:])) == 1, -titles, widths[titles])
        if widths[titles] > 1 and quality > best:
            best, found, skipped = quality, separator, titles
    return found, skipped


def _names(header: Sequence[str], where: str) -> list[str]:
    names = [name.strip() for name in header]
    names = [name or ("" if k == 0 else f"column {k + 1}") for k, name in enumerate(names)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{where}: the column {twice!r} stands twice in the header; rename one of them.")
    return names


def _parsed(
    lines: Sequence[str], names: Sequence[str], separator: str, where: str, numbers_: Sequence[int]
) -> pa.Table:
    """All cells as texts without surrounding spaces."""
    odd: list[tuple[int, int]] = []

    def refuse(row: Any) -> str:
        odd.append((row.number, row.actual_columns))
        return "error"

    columns = [str(k) for k in range(len(names))]
    try:
        table = pa.csv.read_csv(
            pa.BufferReader("\n".join(lines).encode() + b"\n"),
            pa.csv.ReadOptions(column_names=columns, use_threads=False, block_size=1 << 26),
            pa.csv.ParseOptions(delimiter=separator, invalid_row_handler=refuse),
            pa.csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowException:
        if not odd:
            raise ValueError(f"{where}: the ends of rows cannot be found; are quotes left open?") from None
        number, width = odd[0]
        raise ValueError(
            f"{where}, line {numbers_[min(number - 1, len(numbers_) - 1)] + 1}: {width} cells, the first line has "
            f"{len(names)}; the file is cut off, or a cell holds an unquoted {separator!r}."
        ) from None
    if table.num_rows != len(lines):
        raise ValueError(f"{where}: a quoted cell runs over several lines; remove the line break.")
    trimmed = [pc.utf8_trim_whitespace(column) for column in table.columns]
    return pa.table(dict(zip(columns, trimmed, strict=True)))


def _later_header(table: pa.Table) -> list[str]:
    """The header that a later line holds, where files without and with one were joined; empty without."""
    texts = pc.match_substring_regex(table.column(0), "^[A-Za-z_]")
    for row in np.flatnonzero(texts.to_numpy(zero_copy_only=False)):
        cells = [column[int(row)].as_py() for column in table.columns]
        if all(cells) and not any(_begins_with_number(cell) for cell in cells):
            return cells
    return []


def _equal_rows(table: pa.Table, header: Sequence[str]) -> np.ndarray:
    """Rows that repeat the header, (n,) bool."""
    same = np.ones(table.num_rows, bool)
    for column, name in zip(table.columns, header, strict=True):
        same &= pc.equal(column, name.strip()).to_numpy(zero_copy_only=False).astype(bool)
        if not same.any():
            break
    return same


def _numbers_in(columns: Mapping[Any, Any], where: str) -> list[Any]:
    """Columns of texts; those whose cells are all numbers or empty as numbers."""
    with_comma = {name: c for name, c in columns.items() if pc.any(pc.match_substring(c, ",")).as_py()}
    points = bool(with_comma) and any(
        pc.any(pc.match_substring_regex(c, _POINT)).as_py() for c in columns.values()
    )
    comma = decimal_comma(with_comma, where, points)
    found = []
    for name, texts in columns.items():
        plain = texts
        if comma:
            _check_points(name, texts, where)
            plain = pc.replace_substring(pc.replace_substring(plain, ".", ""), ",", ".")
        elif name in with_comma and comma is False:
            plain = pc.replace_substring(plain, ",", "")
        number = _cast(plain)
        found.append(texts if number is None else number)
    return found


def _check_points(name: Any, texts: Any, where: str) -> None:
    """Where commas are decimal marks, points part thousands."""
    cells = [cell for cell in texts.to_pylist() if "." in cell and _PLAIN.fullmatch(cell)]
    odd = next((cell for cell in cells if not _POINT_GROUPS.fullmatch(cell)), None)
    if odd is not None:
        raise ValueError(
            f"{where}, column {name}: {odd!r} has a decimal point and other numbers a decimal comma; write "
            "numbers like 94000.5."
        )


def _cast(texts: Any) -> Any:
    """Texts as integers or floats; None if one is neither, or all are empty."""
    empty = pc.is_in(pc.utf8_lower(texts), pa.array(EMPTY))
    odd = pc.match_substring_regex(texts, "^[-+]?(0[xX]|[iI])")  # hexadecimal digits, "inf"
    if pc.all(empty).as_py() or pc.any(odd).as_py():
        return None
    given = pc.if_else(empty, pa.scalar(None, pa.string()), texts)
    for kind in (pa.float64(),) if pc.any(empty).as_py() else (pa.int64(), pa.float64()):
        try:
            return given.cast(kind)
        except pa.ArrowException:
            continue
    return None


def decimal_comma(columns: Mapping[Any, Any], where: str, points: bool = False) -> bool | None:
    """Whether commas are decimal marks (True) or part thousands (False); None where no number has one.

    Parameters
    ----------
    columns : mapping of name to texts
    where : str
        File, for messages.
    points : bool
        Whether the file has numbers with a decimal point; commas then part thousands.

    Raises
    ------
    ValueError
        If every number with a comma can be read in both ways, or numbers disagree.
    """
    grouped = decimals = False
    unsure: tuple[Any, str] | None = None
    for name, column in columns.items():
        cells = [cell for cell in column.to_pylist() if cell.lower() not in EMPTY]
        forms = (_PLAIN, _COMMA_GROUPS, _COMMA_DECIMALS)
        if not all(any(form.fullmatch(cell) for form in forms) for cell in cells):
            continue
        with_comma = [cell for cell in cells if "," in cell]
        sure = [cell for cell in with_comma if not _UNSURE.fullmatch(cell)]
        grouped |= any(_COMMA_GROUPS.fullmatch(cell) for cell in sure)
        decimals |= any(_COMMA_DECIMALS.fullmatch(cell) for cell in sure)
        unsure = unsure or (name, with_comma[0])
    if grouped and decimals:
        raise ValueError(
            f"{where}: some commas part thousands and others decimals; write numbers like 94000.5."
        )
    if unsure and not (grouped or decimals or points):
        raise ValueError(
            f"{where}, column {unsure[0]}: {unsure[1]!r} may have three decimals or part thousands; write numbers like "
            "94000.5."
        )
    return decimals if unsure else None
