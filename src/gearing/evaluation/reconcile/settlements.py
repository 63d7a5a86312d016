"""Settled funding rates for records that omit them: a data folder, a table, or the venue's own answer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gearing.market.history import layout
from gearing.market.history.columns import contract_symbol, settlements_of_table
from gearing.storage.tables import read_table

Rates = dict[tuple[str, np.datetime64], tuple[float, float]]
_SYMBOLS = ("symbol", "instId", "pair", "contract")


def read_settlements(
    path: Path, symbols: Sequence[str], folder_venue: str, date_format: str | None = None
) -> Rates:
    """(symbol, time) -> (rate, mark) of settlements in a file or a data folder; the mark is NaN where none is given.

    Parameters
    ----------
    path : data folder, ``funding.parquet``, a CSV, or the JSON of the venue's funding history
        A table has time and rate, and mark and symbol if it has them; without symbol, it is the contract of the
        folder it lies in, or the statement's only one.
    symbols : the contracts of the statement
    folder_venue : the venue's subfolder of a data folder
    date_format : see :func:`gearing.market.timing.stamps`

    Raises
    ------
    ValueError
        Naming the file, what is missing and what to give.
    """
    if path.is_dir():
        return _of_folder(path, symbols, folder_venue)
    table = read_table(path)
    found: Rates = {}
    for symbol, part in _by_symbol(path, table, symbols).items():
        found |= _rates(symbol, settlements_of_table(part, str(path), date_format=date_format))
    return found


def _rates(symbol: str, rows: Any) -> Rates:
    return {(symbol, row["time"]): (float(row["rate"]), float(row["mark"])) for row in rows}


def _of_folder(path: Path, symbols: Sequence[str], venue: str) -> Rates:
    """Settlements of the contracts that the folder has; an error if it has none of them."""
    found: Rates = {}
    known = [symbol for symbol in symbols if _file(path, venue, symbol).is_file()]
    if symbols and not known:
        missing, name = _file(path, venue, symbols[0]), contract_symbol(symbols[0])
        raise ValueError(f"{missing}: there is no such file; `gearing data fetch {name}` stores it.")
    for symbol in known:
        found |= _rates(symbol, layout.read_funding(_file(path, venue, symbol)))
    return found


def _file(path: Path, venue: str, symbol: str) -> Path:
    """Funding of a contract in a data folder, or in the contract's own folder."""
    own = path / "funding.parquet"
    if own.is_file() and contract_symbol(path.name) == contract_symbol(symbol):
        return own
    return path / venue / contract_symbol(symbol) / "funding.parquet"


def _by_symbol(path: Path, table: pd.DataFrame, symbols: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The statement's name of a contract -> its rows; rows of other contracts are not needed."""
    known = {contract_symbol(symbol): symbol for symbol in symbols}
    column = next((name for name in table.columns if str(name).lower() in map(str.lower, _SYMBOLS)), None)
    if column is not None:
        parts = table.groupby(table[column].map(lambda name: contract_symbol(str(name))), sort=False)
        return {known[str(name)]: part.drop(columns=column) for name, part in parts if name in known}
    own = known.get(contract_symbol(path.resolve().parent.name)) or (
        symbols[0] if len(symbols) == 1 else None
    )
    if own is None:
        raise ValueError(
            f"{path}: the statement has {len(symbols)} contracts; give a column 'symbol', or a data folder."
        )
    return {own: table}
