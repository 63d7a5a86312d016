"""Mark prices of a venue between the lines of a statement: which mark a position met first, and when.

Read from a table, from candles as the venues' APIs return them (Binance ``markPriceKlines``, Bybit
``mark-price-kline``, OKX ``history-mark-price-candles``), or from a folder of market data.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gearing.market.history import layout
from gearing.market.history.columns import contract_symbol
from gearing.market.timing import stamps
from gearing.storage.cells import numbers
from gearing.storage.tables import table_of
from gearing.storage.text import decoded, parse_json, read_bytes, row_name

_INSTANT = np.timedelta64(0, "ms")
_OHLC = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Touch:
    """The bar and mark price that reached a level (a gap: the open beyond the level)."""

    opened: np.datetime64
    ended: np.datetime64
    mark: float
    gap: bool


@dataclass(frozen=True)
class MarkPath:
    """Mark prices of one contract.

    Attributes
    ----------
    time : (n,) datetime64[ms]
        Openings of bars, or instants, ascending, UTC.
    prices : (n, 4) float64
        Open, high, low, close; four times the same for an instant.
    bar : timedelta64
        Length of a bar; zero for instants.
    """

    time: np.ndarray
    prices: np.ndarray
    bar: np.timedelta64

    def first_touch(
        self, level: float, side: float, since: np.datetime64, until: np.datetime64, whole: bool
    ) -> Touch | None:
        """First mark at or beyond ``level`` against a position of ``side``, among bars opened from ``since`` on.

        ``until`` is the last opening, or, where ``whole``, the end by which a bar has to be over.
        """
        first = int(np.searchsorted(self.time, since))
        last = int(np.searchsorted(self.time, until - (self.bar if whole else _INSTANT), side="right"))
        if whole and self.bar == _INSTANT:
            last = int(np.searchsorted(self.time, until))
        span = self.prices[first:last]
        beyond = side * (span[:, 2 if side > 0.0 else 1] - level) <= 0.0
        if not beyond.any():
            return None
        k = int(beyond.argmax())
        gap = bool(side * (span[k, 0] - level) < 0.0)
        opened = self.time[first + k]
        return Touch(opened, opened + self.bar, float(span[k, 0]) if gap else level, gap)

    def at(self, time: np.datetime64) -> tuple[float, float]:
        """Mark at the opening of a bar, and its distance to the close before; NaN and 0 where no bar opens."""
        k = int(np.searchsorted(self.time, time))
        if k == self.time.size or self.time[k] != time:
            return math.nan, 0.0
        opened, before = float(self.prices[k, 0]), float(self.prices[max(k - 1, 0), 3])
        return opened, abs(opened - before)

    def furthest(self, side: float, since: np.datetime64, until: np.datetime64) -> float:
        """The most adverse mark of a position of ``side`` in the bars that overlap the span; NaN without bars."""
        after = since - self.bar if self.bar > _INSTANT else since
        first = int(np.searchsorted(self.time, after, side="right" if self.bar > _INSTANT else "left"))
        last = int(np.searchsorted(self.time, until, side="right"))
        if last <= first:
            return math.nan
        span = self.prices[first:last]
        return float(span[:, 2].min() if side > 0.0 else span[:, 1].max())


def read_marks(path: Path, symbols: Sequence[str], folder_venue: str = "binance-um") -> dict[str, MarkPath]:
    """Mark prices of contracts from a file or a folder.

    Parameters
    ----------
    path : CSV, Parquet or JSON file, or a folder in the layout of ``data/README.md``
        A table has ``time`` or ``open_time``, and ``mark`` or ``open``, ``high``, ``low``, ``close``; with several
        contracts ``symbol``, too. Candles of an interface need no names.
    symbols : the contracts of the statement
    folder_venue : the venue's subfolder, where ``path`` is a folder

    Raises
    ------
    ValueError
        Naming the file, what is missing and what to give.
    """
    if path.is_dir():
        return _of_folder(path, folder_venue, symbols)
    table = _table(path)
    known = {contract_symbol(symbol): symbol for symbol in symbols}
    if "symbol" not in table:
        if len(symbols) != 1:
            raise ValueError(f"{path}: the statement has {len(symbols)} contracts; give a column 'symbol'.")
        return {symbols[0]: _path_of(path, table)}
    parts = {contract_symbol(str(symbol)): part for symbol, part in table.groupby("symbol", sort=False)}
    return {known[name]: _path_of(path, part) for name, part in parts.items() if name in known}


def _of_folder(path: Path, venue: str, symbols: Sequence[str]) -> dict[str, MarkPath]:
    """Marks of the contracts that the folder has; an error if it has none of them."""
    found, missing = {}, []
    for symbol in symbols:
        try:
            found[symbol] = _stored(path, venue, contract_symbol(symbol))
        except ValueError as error:
            missing.append(error)
    if missing and not found:
        raise missing[0]
    return found


def _stored(folder: Path, venue: str, symbol: str) -> MarkPath:
    """The finest stored mark bars of a contract."""
    own = layout.symbol_folder(folder, venue, symbol)
    stored = layout.stored_bars(own, "mark")
    if not stored:
        raise ValueError(f"{own}: no mark-*.parquet; `gearing data fetch {symbol}` stores mark prices.")
    bars = layout.read_bars(layout.bar_file(own, "mark", stored[0]), volume=False).checked(stored[0])
    return MarkPath(bars.open_time, bars.prices, stored[0])


def _table(path: Path) -> pd.DataFrame:
    """The table of a file; candles of an interface have no names, Bybit's answer states their contract."""
    raw = read_bytes(path)
    table = table_of(raw, str(path))
    if all(isinstance(name, str) for name in table.columns):
        return table
    table = table.iloc[:, :5].set_axis(["time", *_OHLC][: min(5, table.shape[1])], axis=1)
    answer = parse_json(decoded(raw, str(path)), str(path)) if raw.lstrip()[:1] == b"{" else {}
    inside = answer.get("result")
    symbol = inside.get("symbol") if isinstance(inside, dict) else None
    return table if symbol is None else table.assign(symbol=symbol)


def _path_of(path: Path, table: pd.DataFrame) -> MarkPath:
    clock = next((name for name in ("time", "open_time") if name in table), None)
    names = ["mark"] * 4 if "mark" in table else [*_OHLC]
    missing = [name for name in names if name not in table]
    if clock is None or missing:
        lacking = "time" if clock is None else ", ".join(missing)
        raise ValueError(f"{path}: no column {lacking}; give time, and mark or open, high, low, close.")
    prices = np.column_stack([numbers(table[name], f"{path}, {name}") for name in names])
    time = stamps(table[clock], f"{path}, {clock}")
    order = np.argsort(time, kind="stable")
    bad = ~(np.isfinite(prices) & (prices > 0.0)).all(axis=1)
    if bad.any():
        where = row_name(table, int(bad.argmax()))
        raise ValueError(f"{path}, {where}: a mark price must be a positive number.")
    time, prices = time[order], prices[order]
    steps = np.diff(time)
    if (steps == _INSTANT).any():
        raise ValueError(f"{path}: {time[1:][steps == _INSTANT][0]} is repeated.")
    bars = "mark" not in table and steps.size > 0
    return MarkPath(time, prices, steps.min() if bars else _INSTANT)
