"""Settled funding rates for records that omit them: a data folder, a table, or the venue's own answer."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gearing.evaluation.reconcile.answers import read_answer, unwrap
from gearing.evaluation.reconcile.contracts import plain_symbol
from gearing.evaluation.reconcile.records.row import plain
from gearing.evaluation.reconcile.statements import read_csv
from gearing.market.history import layout
from gearing.market.timing import stamps
from gearing.storage.text import read_text

# Columns as this project, Binance (interface and archive), Bybit and OKX name them; the first that is there counts.
_COLUMNS = {
    "time": ("time", "fundingtime", "fundingratetimestamp", "calctime"),
    "rate": ("rate", "realizedrate", "fundingrate", "lastfundingrate"),
    "mark": ("mark", "markprice"),
    "symbol": ("symbol", "instid"),
}


def read_settlements(
    path: Path, symbols: Sequence[str], folder_venue: str, date_format: str | None = None
) -> dict[tuple[str, np.datetime64], tuple[float, float]]:
    """(symbol, time) -> (rate, mark) of settlements in a file or a data folder; the mark is NaN where none is given.

    Parameters
    ----------
    path : data folder, ``funding.parquet``, a CSV, or the JSON of the venue's funding history
        A table has time and rate, and mark and symbol if it has them; without symbol, it is the contract of the
        folder it lies in, or the statement's only one.
    symbols : the contracts of the statement
    folder_venue : the venue's subfolder of a data folder

    Raises
    ------
    ValueError
        Naming the file, what is missing and what to give.
    """
    if path.is_dir():
        return _of_folder(path, symbols, folder_venue)
    table = _table(path)
    columns = _columns(path, table)
    moments = stamps(table[columns["time"]], f"{path}, {columns['time']}", date_format)
    rates = _numbers(path, table, columns["rate"])
    marks = _numbers(path, table, columns["mark"]) if "mark" in columns else np.full(len(table), math.nan)
    names = _symbols(path, table, columns, symbols)
    rows = zip(names, moments, rates, marks, strict=True)
    return {(name, time): (float(rate), float(mark)) for name, time, rate, mark in rows if name}


def _of_folder(
    path: Path, symbols: Sequence[str], venue: str
) -> dict[tuple[str, np.datetime64], tuple[float, float]]:
    found = {}
    for symbol in symbols:
        own = path / venue / plain_symbol(symbol)
        file = (own if own.is_dir() else path) / "funding.parquet"
        if not file.is_file():
            raise ValueError(
                f"{file}: there is no such file; `gearing data fetch {plain_symbol(symbol)}` stores it."
            )
        for row in layout.read_funding(file):
            found[symbol, row["time"]] = float(row["rate"]), float(row["mark"])
    return found


def _table(path: Path) -> pd.DataFrame:
    if path.suffix.lower() == ".parquet":
        return layout_table(path)
    text = read_text(path)
    if text.lstrip()[:1] in ("[", "{"):
        return pd.DataFrame(unwrap(read_answer(text, str(path)), str(path)))
    return pd.DataFrame(read_csv(text, str(path)))


def layout_table(path: Path) -> pd.DataFrame:
    """A Parquet file as a table.

    Raises
    ------
    ValueError
        Naming the file, where it cannot be read.
    """
    try:
        return pd.read_parquet(path)
    except Exception:
        raise ValueError(f"{path}: this is not a Parquet file that can be read; give another one.") from None


def _columns(path: Path, table: pd.DataFrame) -> dict[str, str]:
    present = {plain(str(name)): str(name) for name in table}
    found = {}
    for ours, names in _COLUMNS.items():
        match = next((present[name] for name in names if name in present), None)
        if match is not None:
            found[ours] = match
    if missing := [name for name in ("time", "rate") if name not in found]:
        has = ", ".join(map(str, table)) or "none"
        raise ValueError(
            f"{path}: no column {' or '.join(missing)}; give time, rate, mark and symbol. It has {has}."
        )
    return found


def _numbers(path: Path, table: pd.DataFrame, name: str) -> np.ndarray:
    numbers = pd.to_numeric(table[name].replace("", None), errors="coerce")
    bad = numbers.isna() & table[name].notna() & (table[name].astype(str) != "")
    if bad.any():
        row = int(bad.to_numpy().argmax())
        raise ValueError(
            f"{path}, line {row + 1}: {name} is {table[name].iloc[row]!r}, which is not a number."
        )
    return numbers.to_numpy(dtype=float)


def _symbols(
    path: Path, table: pd.DataFrame, columns: dict[str, str], symbols: Sequence[str]
) -> Iterable[str]:
    """The statement's name of each row's contract; "" for contracts that the statement does not have."""
    known = {plain_symbol(symbol): symbol for symbol in symbols}
    if "symbol" in columns:
        return [known.get(plain_symbol(str(name)), "") for name in table[columns["symbol"]]]
    own = known.get(plain_symbol(path.parent.name)) or (symbols[0] if len(symbols) == 1 else None)
    if own is None:
        raise ValueError(
            f"{path}: the statement has {len(symbols)} contracts; give a column 'symbol', or a data folder."
        )
    return [own] * len(table)
