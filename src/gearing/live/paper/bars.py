"""Bars and settlements of a paper run: from files or a data folder, and as the run's journal stores them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gearing.market.data import MarketData
from gearing.market.timing import stamps
from gearing.storage.cells import numbers
from gearing.storage.tables import read_table

PRICES = ("open", "high", "low", "close")
REQUIRED = ("open_time", *PRICES, "volume")
FUNDING = ("time", "rate", "mark", "contract")
_TIMES = ("open_time", "time")


@dataclass(frozen=True)
class Recorded:
    """Bars and settlements in order of time, several contracts in one table.

    Attributes
    ----------
    bars : DataFrame
        ``open_time`` (datetime64[ms]), ``contract``, prices, and whatever else the bundle reads.
    funding : DataFrame or None
        ``time``, ``contract``, ``rate`` and optionally ``mark``; None where nothing is known of settlements.
    """

    bars: pd.DataFrame
    funding: pd.DataFrame | None

    def between(self, start: np.datetime64, end: np.datetime64) -> Recorded:
        """Bars that open, and settlements that fall, in [start, end)."""
        bars = self.bars[(self.bars["open_time"] >= start) & (self.bars["open_time"] < end)]
        if self.funding is None:
            return Recorded(bars, None)
        inside = (self.funding["time"] >= start) & (self.funding["time"] < end)
        return Recorded(bars, self.funding[inside])

    @classmethod
    def joined(cls, parts: Iterable[Recorded]) -> Recorded:
        """Parts that follow each other."""
        given = list(parts)
        cash = [part.funding for part in given if part.funding is not None]
        funding = pd.concat(cash, ignore_index=True) if cash else None
        return cls(pd.concat([part.bars for part in given], ignore_index=True), funding)

    def closed_until(self, symbols: tuple[str, ...], bar: np.timedelta64) -> np.datetime64 | None:
        """The last close that every contract has."""
        last = self.bars.groupby("contract")["open_time"].max()
        if not set(symbols) <= set(last.index):
            return None
        return np.datetime64(min(last[symbol] for symbol in symbols), "ms") + bar

    def to_plain(self) -> dict[str, Any]:
        """The tables as JSON, column by column; moments in milliseconds, numbers exact."""
        funding = None if self.funding is None else _columns(self.funding)
        return {"bars": _columns(self.bars), "funding": funding}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Recorded:
        """What `to_plain` wrote."""
        funding = values["funding"]
        return cls(_frame(values["bars"]), None if funding is None else _frame(funding))


def _columns(table: pd.DataFrame) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name in table.columns:
        values = table[name].to_numpy()
        if name in _TIMES:
            values = values.astype("datetime64[ms]").astype(np.int64)
        found[str(name)] = [None if value != value else value for value in values.tolist()]
    return found


def _frame(columns: Mapping[str, list[Any]]) -> pd.DataFrame:
    table: dict[str, Any] = {}
    for name, values in columns.items():
        if name in _TIMES:
            table[name] = np.array(values, np.int64).astype("datetime64[ms]")
        elif name == "contract":
            table[name] = values
        else:
            table[name] = np.array([np.nan if value is None else value for value in values], np.float64)
    return pd.DataFrame(table)


def from_files(bars: Path, funding: Path | None, symbols: tuple[str, ...]) -> Recorded:
    """Bars and settlements of files, CSV or Parquet, as ``gearing decide`` reads them.

    Raises
    ------
    ValueError
        For a missing column, a contract that is not the bundle's, or a cell that is no number or moment.
    """
    table = _of_file(bars, "open_time", REQUIRED, symbols)
    cash = None
    if funding is not None:
        cash = _of_file(funding, "time", ("time", "rate"), symbols)
        cash = cash[[name for name in FUNDING if name in cash]]
    return Recorded(table, cash)


def _of_file(path: Path, clock: str, needed: tuple[str, ...], symbols: tuple[str, ...]) -> pd.DataFrame:
    table = read_table(path).drop(columns="source", errors="ignore")
    missing = [name for name in needed if name not in table]
    if missing:
        raise ValueError(f"{path}: no column {', '.join(missing)}; it needs {', '.join(needed)}.")
    if "contract" not in table:
        if len(symbols) > 1:
            raise ValueError(f"{path}: the bundle decides on {', '.join(symbols)}; add a column 'contract'.")
        table = table.assign(contract=symbols[0])
    unknown = sorted(set(map(str, table["contract"])) - set(symbols))
    if unknown:
        raise ValueError(
            f"{path}: contract {unknown[0]!r} is not in the bundle, which has {', '.join(symbols)}."
        )
    columns: dict[str, Any] = {}
    for name in table.columns:
        if name == clock:
            columns[name] = stamps(table[name], f"{path}: {name}")
        else:
            columns[name] = table[name] if name == "contract" else numbers(table[name], f"{path}: {name}")
    ordered = pd.DataFrame(columns).sort_values([clock, "contract"], kind="stable").reset_index(drop=True)
    twice = ordered.duplicated([clock, "contract"])
    if twice.any():
        raise ValueError(f"{path}: {ordered[clock][twice].iloc[0]} is repeated; leave one of them.")
    return ordered


def from_market(market: MarketData) -> Recorded:
    """The bars and settlements of a market."""
    tables = []
    for j, symbol in enumerate(market.symbols):
        columns: dict[str, Any] = {"open_time": market.open_time, "contract": symbol}
        for prefix, prices in (("", market.last), ("mark_", market.mark), ("index_", market.index)):
            if prices is not None:
                columns |= {f"{prefix}{name}": prices[:, j, k] for k, name in enumerate(PRICES)}
        columns["volume"] = market.volume[:, j]
        for name in ("implied_volatility", "predicted_rate"):
            values = getattr(market, name)
            if values is not None:
                columns[name] = values[:, j]
        table = pd.DataFrame(columns)
        tables.append(table[np.isfinite(table[list(PRICES)]).all(axis=1)])
    bars = pd.concat(tables).sort_values(["open_time", "contract"], kind="stable").reset_index(drop=True)
    cash = market.settlements
    names = np.array(market.symbols, object)[cash["contract"]]
    funding = pd.DataFrame(
        {"time": cash["time"], "contract": names, "rate": cash["rate"], "mark": cash["mark"]}
    )
    return Recorded(bars, funding)


class Feed:
    """Where bars come from: read again whenever newer ones are needed.

    Parameters
    ----------
    read : callable
        Returns all that is known now.
    grows : bool
        Whether later calls may return more.
    """

    def __init__(self, read: Callable[[], Recorded], grows: bool = False):
        self.read, self.grows = read, grows
        self._known: Recorded | None = None

    def known(self, again: bool = False) -> Recorded:
        """What is known; with ``again``, read once more where it grows."""
        if self._known is None or (again and self.grows):
            self._known = self.read()
        return self._known
