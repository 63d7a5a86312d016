"""Columns from a user's table: signals, forecasts, anything that a policy or a direction may read.

The table is CSV, JSON, Parquet or Feather. Its column ``time`` is the moment from which a row is known (UTC); a table
by bars has ``open_time`` instead, and a row is then known at the close of its bar. A column ``symbol`` tells contracts
apart. Every other column becomes a feature of that name. A value holds until the next row; before the first row there
is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gearing.features.feature import FEATURES, Feature
from gearing.market import MarketData
from gearing.market.timing import stamps, text
from gearing.storage.cells import numbers
from gearing.storage.tables import read_table

_TIME, _OPEN_TIME, _SYMBOL = "time", "open_time", "symbol"


@dataclass(frozen=True, eq=False)
class _Rows:
    """One contract's rows of one column, ascending in time."""

    time: np.ndarray  # (n_rows,) datetime64[ms]
    values: np.ndarray  # (n_rows,)


@dataclass(frozen=True, eq=False)
class _FromFile:
    """A feature's function: the last value known at every close."""

    name: str
    path: str
    by_bar: bool  # whether the times are those at which bars open
    rows: Mapping[str, _Rows]  # by symbol; "" stands for all contracts

    def __call__(self, market: MarketData) -> np.ndarray:
        return np.stack([self._of(symbol, market) for symbol in market.symbols], axis=1)

    def _of(self, symbol: str, market: MarketData) -> np.ndarray:
        if symbol not in self.rows and "" not in self.rows:
            raise ValueError(f"{self.path} has no rows of {symbol}; it has {', '.join(self.rows)}.")
        rows = self.rows.get(symbol, self.rows.get(""))
        assert rows is not None
        known = rows.time + market.bar if self.by_bar else rows.time
        close = market.close_time
        self._check_end(known, close[-1])
        last = np.searchsorted(known, close, side="right") - 1
        return np.where(last >= 0, rows.values[np.maximum(last, 0)], np.nan)

    def _check_end(self, known: np.ndarray, end: np.datetime64) -> None:
        """Refuse to hold the last value for longer than the table ever held one."""
        step = np.diff(known).max() if len(known) > 1 else np.timedelta64(0, "ms")
        if end > known[-1] + step:
            raise ValueError(
                f"{self.path} ends on {text(known[-1])}, and the market goes on to {text(end)}: {self.name} would be "
                f"out of date. Add rows, or end earlier, as in market.to={str(known[-1])[:10]}."
            )


def columns_from_file(path: Path, date_format: str | None = None) -> tuple[str, ...]:
    """Register the columns of a table as features; returns their names.

    Parameters
    ----------
    path : Path
    date_format : str, optional
        As in `gearing.market.timing.stamps`.

    Raises
    ------
    ValueError
        Naming the file and the line: no times or no further columns, a moment twice, a value that is no number, a name
        that a feature has already.
    """
    table = read_table(path)
    clock = [name for name in (_TIME, _OPEN_TIME) if name in table]
    if len(clock) != 1:
        raise ValueError(
            f"{path} has {'both' if clock else 'neither'} time {'and' if clock else 'nor'} open_time; it needs one of "
            f"them: time is when a row is known, open_time the bar that it belongs to. Its columns: "
            f"{', '.join(map(str, table.columns))}."
        )
    names = [str(name) for name in table if name not in (*clock, _SYMBOL)]
    if not names or table.empty:
        raise ValueError(f"{path} has no {'rows' if names else f'columns besides {clock[0]}'}.")
    time = stamps(table[clock[0]], f"{path}: {clock[0]}", date_format)
    for name in names:
        values = numbers(table[name], f"{path}: {name}")
        rows = {symbol: _rows(time, values, at, path, name) for symbol, at in _contracts(table).items()}
        _register(_FromFile(name, str(path), clock[0] == _OPEN_TIME, rows), values)
    return tuple(names)


def _contracts(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Rows of each contract; "" for all where the table does not tell them apart."""
    if _SYMBOL not in table:
        return {"": np.arange(len(table))}
    symbols = table[_SYMBOL].astype(str).to_numpy()
    return {symbol: np.flatnonzero(symbols == symbol) for symbol in dict.fromkeys(symbols)}


def _rows(time: np.ndarray, values: np.ndarray, at: np.ndarray, path: Path, name: str) -> _Rows:
    order = at[np.argsort(time[at], kind="stable")]
    ordered = time[order]
    if (twice := ordered[1:][ordered[1:] == ordered[:-1]]).size:
        raise ValueError(f"{path}: {name} has two rows for {text(twice[0])}; keep one of them.")
    return _Rows(ordered, values[order])


def _register(compute: _FromFile, values: np.ndarray) -> None:
    finite = values[np.isfinite(values)]
    if len(finite) < np.count_nonzero(~np.isnan(values)) or not finite.size:
        raise ValueError(f"{compute.path}: {compute.name} holds infinity, or nothing at all.")
    if not compute.name.isidentifier():
        raise ValueError(
            f"{compute.path}: {compute.name!r} is no name of a column: use letters, digits and _."
        )
    low, high = float(finite.min()), float(finite.max())
    bounds = (low, high) if low < high else (low - 1.0, high + 1.0)
    feature = Feature(compute.name, compute, ("0h",), "", *bounds, compute.path)
    if compute.name in FEATURES and not isinstance(FEATURES[compute.name].compute, _FromFile):
        taken = f"gearing has a feature {compute.name!r} already. Rename the column."
        raise ValueError(f"{compute.path}: {taken}")
    FEATURES.add(compute.name, feature, source=_FromFile)
