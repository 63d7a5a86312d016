"""Import data of other programs into the folder layout: freqtrade's files, CSV and Parquet."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gearing.market.data import MarketData
from gearing.market.history import layout
from gearing.market.history.frames import bars_from_frame, settlements_from_frame
from gearing.market.history.writing import write_bars, write_funding
from gearing.market.timing import positive_duration

FREQTRADE = re.compile(
    r"(?P<base>\w+?)_(?P<quote>\w+?)_(?P<settle>\w+)-(?P<bar>\w+)-(?P<kind>futures|mark|funding_rate)"
)
BARS = {"futures": "last", "mark": "mark"}


def import_freqtrade(
    source: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    venue: str = "binance-um",
    pairs: Sequence[str] | None = None,
) -> list[str]:
    """Import freqtrade's candles, mark prices and funding rates (``user_data/data/<exchange>``, feather files).

    Parameters
    ----------
    source : path
        The exchange's folder or its ``futures`` folder.
    folder : path
        The data folder to write into; files of the same name are replaced.
    pairs : sequence of str, optional
        As freqtrade writes them ("BTC/USDT:USDT"); all by default.

    Returns
    -------
    list of str
        Files written, relative to the data folder.

    Raises
    ------
    ValueError
        If no file matches, or a file is invalid; the message names the file.
    """
    found = sorted(p for p in Path(source).rglob("*.feather") if FREQTRADE.fullmatch(p.stem))
    wanted = None if pairs is None else {re.sub(r"[/:]", "_", pair) for pair in pairs}
    chosen = [p for p in found if wanted is None or p.stem.split("-")[0] in wanted]
    if not chosen:
        raise ValueError(
            f"{source}: no freqtrade futures files (BTC_USDT_USDT-1h-futures.feather) of these pairs."
        )
    return [_import_feather(path, Path(folder), venue) for path in chosen]


def import_table(
    path: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    symbol: str,
    kind: str = "last",
    bar: Any = "1h",
    mapping: Mapping[str, str] | None = None,
    venue: str = "binance-um",
) -> str:
    """Import a CSV or Parquet table.

    Parameters
    ----------
    path : path
        ``.csv`` (also compressed) or ``.parquet``.
    symbol : str
    kind : {"last", "mark", "index", "funding"}
    bar : str or timedelta
        Length of the bars; not used for funding.
    mapping : mapping, optional
        gearing's column (open_time, open, high, low, close, volume; time, rate, mark) to the table's column.
    venue : str

    Returns
    -------
    str
        File written, relative to the data folder.
    """
    if kind not in (*layout.PREFIX, "funding"):
        raise ValueError(f"kind is 'last', 'mark', 'index' or 'funding', not {kind!r}.")
    table = _renamed(_read(Path(path)), mapping or {}, str(path))
    return _write(table, str(path), Path(folder), venue, symbol, kind, bar)


def trades_signal(
    path: str | os.PathLike[str], market: MarketData, pair: str, strategy: str | None = None
) -> np.ndarray:
    """Read freqtrade's exported backtest trades as a signal: 1 long, -1 short, 0 flat, shape (n_bars,).

    Row k holds what is known at the close of bar k: a trade that opens at a bar's open was decided at the close of
    the one before, so its signal is in the rows whose close is at or after its opening and before its closing.

    Parameters
    ----------
    path : path
        Backtest result as JSON.
    market : MarketData
        Gives the bars.
    pair : str
        As freqtrade writes it ("BTC/USDT:USDT").
    strategy : str, optional
        Needed if the file holds several.
    """
    results = json.loads(Path(path).read_text(encoding="utf-8")).get("strategy", {})
    name = strategy or (next(iter(results)) if len(results) == 1 else "")
    if name not in results:
        raise ValueError(
            f"{path}: holds the strategies {', '.join(results) or 'none'}; pass strategy= one of them."
        )
    trades = [t for t in results[name]["trades"] if t["pair"] == pair]
    if not trades:
        raise ValueError(f"{path}: {name} has no trades of {pair!r}.")
    signal = np.zeros(market.n_bars)
    close = market.close_time.astype(np.int64)
    for trade in trades:
        first, last = np.searchsorted(close, [trade["open_timestamp"], trade["close_timestamp"]])
        signal[first:last] = -1.0 if trade.get("is_short") else 1.0
    return signal


def _import_feather(path: Path, folder: Path, venue: str) -> str:
    match = FREQTRADE.fullmatch(path.stem)
    assert match is not None
    table = pd.read_feather(path)
    symbol = match["base"] + match["quote"]
    if match["kind"] == "funding_rate":  # freqtrade stores the rate in the column open
        table = _renamed(table, {"time": "date", "rate": "open"}, str(path))[["time", "rate"]]
        return _write(table, str(path), folder, venue, symbol, "funding", None)
    table = _renamed(table, {"open_time": "date"}, str(path))
    return _write(table, str(path), folder, venue, symbol, BARS[match["kind"]], match["bar"])


def _write(
    table: pd.DataFrame, where: str, folder: Path, venue: str, symbol: str, kind: str, bar: Any
) -> str:
    home, origin = folder / venue / symbol, f"import of {Path(where).name}"
    if kind == "funding":
        target = home / "funding.parquet"
        write_funding(target, settlements_from_frame(table, where), origin)
    else:
        length = positive_duration(bar)
        target = layout.bar_file(home, kind, length)
        columns = table if kind == "last" else table.drop(columns="volume", errors="ignore")
        write_bars(target, bars_from_frame(columns, where).checked(length), origin)
    return target.relative_to(folder).as_posix()


def _read(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if ".csv" in path.suffixes:
        return pd.read_csv(path)
    raise ValueError(f"{path}: only .csv and .parquet tables are read.")


def _renamed(table: pd.DataFrame, mapping: Mapping[str, str], where: str) -> pd.DataFrame:
    layout.require_columns(where, table.columns, mapping.values())
    chosen = table.drop(columns=[ours for ours in mapping if ours in table and mapping[ours] != ours])
    return chosen.rename(columns={theirs: ours for ours, theirs in mapping.items()})
