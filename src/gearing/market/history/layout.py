"""The layout of a data folder, and readers of its files.

``<folder>/<venue>/<SYMBOL>/<bar>.parquet`` holds traded bars, next to ``mark-<bar>``, ``index-<bar>`` and
``funding``; ``brackets.json`` and ``brackets-history.json`` are at the top.
"""

import os
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gearing.contracts import (
    TierSchedule,
    VenueProfile,
    shipped_schedules,
    shipped_symbols,
    venue as venue_profile,
    venue_names,
)
from gearing.contracts.shipped import schedule_from_rows
from gearing.market.history.series import Bars, settlement_rows
from gearing.market.timing import DAY, label, positive_duration, stamp, stamps
from gearing.names import check_file_name, did_you_mean
from gearing.storage.cells import numbers
from gearing.storage.text import kind_of, read_json

PRICES = ("open", "high", "low", "close")
PREFIX = {"last": "", "mark": "mark-", "index": "index-"}
PROFILES = {"binance-um": "binance-usdm", "okx-swap": "okx", "bybit-linear": "bybit"}
BRACKETS, HISTORY = "brackets.json", "brackets-history.json"


def venue_folder(venue: str) -> str:
    """Name of a venue's folder, given it or the name of the venue's profile.

    Raises
    ------
    ValueError
        For a venue that is not known, naming those that are.
    """
    known = [*PROFILES, *(name for name in venue_names() if name not in PROFILES.values())]
    folders = {name: folder for folder, name in PROFILES.items()}
    if venue not in known and venue not in folders:
        raise ValueError(f"no venue {venue!r:.60}.{did_you_mean(venue, known)}")
    return folders.get(venue, venue)


def profile(venue: str) -> VenueProfile:
    """Rules of a venue, by the name of its folder."""
    return venue_profile(PROFILES.get(venue, venue))


def data_folder(folder: str | os.PathLike[str] | None) -> Path:
    """The folder given, else the one that ``GEARING_DATA`` names.

    Raises
    ------
    ValueError
        If neither is given, or the folder does not exist.
    """
    given = folder if folder is not None else os.environ.get("GEARING_DATA")
    if not given:
        raise ValueError(
            "no data folder: pass one, or set the environment variable GEARING_DATA. "
            "`gearing data fetch` fills a folder."
        )
    path = Path(given)
    if not path.is_dir():
        raise ValueError(f"data folder {path} does not exist; `gearing data fetch` makes one.")
    return path


def contract_folder(folder: Path, venue: str, symbol: str) -> Path:
    """Folder of a contract, which may not exist.

    Raises
    ------
    ValueError
        If the venue's or the contract's name cannot be a folder's.
    """
    return folder / check_file_name(venue, "the venue") / check_file_name(symbol, "the contract")


def symbol_folder(folder: Path, venue: str, symbol: str) -> Path:
    """Folder of a contract; an unknown one is refused with the nearest name."""
    path = contract_folder(folder, venue, symbol)
    if not path.is_dir():
        parent = folder / venue
        if not parent.is_dir():
            venues = sorted(p.name for p in folder.iterdir() if p.is_dir())
            raise ValueError(f"{folder} has no venue {venue!r}; it has {', '.join(venues) or 'none'}.")
        known = sorted(p.name for p in parent.iterdir() if p.is_dir())
        raise ValueError(f"{parent} has no contract {symbol!r}.{did_you_mean(symbol, known)}")
    return path


def contract_names(folder: str | os.PathLike[str] | None, venue: str) -> tuple[str, ...]:
    """Symbols of all contracts of a venue that have traded bars, in order of the alphabet.

    Raises
    ------
    ValueError
        If there is none.
    """
    parent = data_folder(folder) / check_file_name(venue, "the venue")
    found = sorted(p.name for p in parent.glob("*") if p.is_dir() and stored_bars(p, "last"))
    if not found:
        raise ValueError(f"{parent} holds no contract with traded bars; `gearing data fetch` fills a folder.")
    return tuple(found)


def bar_file(folder: Path, kind: str, bar: np.timedelta64) -> Path:
    """File of a kind ("last", "mark", "index") and bar length."""
    return folder / f"{PREFIX[kind]}{label(bar)}.parquet"


def stored_bars(folder: Path, kind: str) -> list[np.timedelta64]:
    """Bar lengths stored of a kind, ascending."""
    found = []
    for path in folder.glob(f"{PREFIX[kind]}*.parquet"):
        try:
            found.append(positive_duration(path.stem.removeprefix(PREFIX[kind])))
        except ValueError:
            continue
    return sorted(found)


def best_source(folder: Path, kind: str, bar: np.timedelta64) -> np.timedelta64 | None:
    """The stored bar length to build ``bar`` from: itself, else the longest that divides it."""
    fitting = [b for b in stored_bars(folder, kind) if b <= bar and bar % b == np.timedelta64(0, "ms")]
    return fitting[-1] if fitting else None


def read_bars(path: Path, start: Any = None, end: Any = None, volume: bool = True) -> Bars:
    """Read a bar file, only the columns and row groups that are needed."""
    names = _columns(path)
    require_columns(path, names, ("open_time", *PRICES))
    columns = ["open_time", *PRICES, *(["volume"] if volume and "volume" in names else [])]
    table = _read(path, columns, _time_filter(path, "open_time", start, end))
    prices = np.column_stack([_floats(table, name, path) for name in PRICES])
    volumes = _floats(table, "volume", path) if "volume" in columns else None
    return Bars(_stamps(table, "open_time", path), prices, volumes, str(path))


def read_funding(path: Path) -> np.ndarray:
    """Read settlements as an array of ``FUNDING_DTYPE``; mark is NaN where the file has none."""
    return settlement_rows(*funding_columns(path), str(path))


def funding_columns(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Times, rates and marks of a file of settlements as they stand in it, in any order."""
    names = _columns(path)
    require_columns(path, names, ("time", "rate"))
    table = _read(path, [c for c in ("time", "rate", "mark") if c in names])
    mark = _floats(table, "mark", path) if "mark" in names else None
    return _stamps(table, "time", path), _floats(table, "rate", path), mark


def read_implied_volatility(folder: Path, symbol: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Daily implied volatility of the symbol's coin: (moment it is known, annualised fraction).

    The files do not say whether a day's value is its open or its close, so it counts as known a day later.
    """
    for coin in (symbol.removesuffix("USDT"), symbol.removesuffix("USD")):
        path = folder / "dvol" / f"{coin}-1d.parquet"
        if path.is_file():
            require_columns(path, _columns(path), ("time", "dvol"))
            table = _read(path, ["time", "dvol"])
            return _stamps(table, "time", path) + DAY, _floats(table, "dvol", path) / 100.0
    return None


def read_tiers(folder: Path, venue: str, symbol: str) -> tuple[tuple[TierSchedule, ...], str]:
    """Dated margin tiers of a contract, ascending, and a note on their source ("" if they are the venue's).

    The venue's own files come first, then those at the top of the folder (Binance), then shipped ones.
    """
    for place in (folder / venue, folder):
        if schedules := _tiers_in(place, symbol):
            foreign = place == folder and PROFILES.get(venue, venue) != "binance-usdm"
            return schedules, f"{symbol}: margin tiers are Binance's, {venue} has none" if foreign else ""
    if symbol in shipped_symbols():
        return shipped_schedules(symbol), f"{symbol}: margin tiers are those shipped with the package"
    raise ValueError(
        f"{folder} has no margin tiers of {symbol} ({HISTORY}, {BRACKETS}), and none ship with the package. "
        "Export the venue's brackets into that file."
    )


def _tiers_in(folder: Path, symbol: str) -> tuple[TierSchedule, ...]:
    dated: dict[date, TierSchedule] = {}
    if (path := folder / HISTORY).is_file():
        for day, table in read_json(path, dict).items():
            as_of = stamp(day, f"{path}, the key {day!r}").astype("datetime64[D]").item()
            where = f"{path}, {day}"
            if as_of in dated:
                raise ValueError(f"{where}: another key is the same day; keep one of them.")
            if symbol in _object(table, where):
                dated[as_of] = schedule_from_rows(
                    table[symbol], as_of, f"{HISTORY}, {day}", f"{where}, {symbol}"
                )
    if dated:
        return tuple(dated[day] for day in sorted(dated))
    if (path := folder / BRACKETS).is_file() and symbol in (
        table := _object(read_json(path, dict), str(path))
    ):
        return (schedule_from_rows(table[symbol], None, f"{BRACKETS}, undated", f"{path}, {symbol}"),)
    return ()


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(
            f"{where} holds {kind_of(value)}; it should hold an object of margin tiers by contract."
        )
    if spelled := [name for name in value if "/" in name or ":" in name]:
        raise ValueError(
            f"{where}: the key {spelled[0]!r} is a pair; name contracts like their folders (BTCUSDT)."
        )
    return value


def _time_filter(path: Path, column: str, start: Any, end: Any) -> Any:
    """Bounds of a column of times for the reader of Parquet, None where there are none."""
    if start is None and end is None:
        return None
    kind = pq.read_schema(path).field(column).type
    if not pa.types.is_timestamp(kind):
        raise ValueError(f"{path}: {column} is stored as {kind}; `gearing data import` stores it as times.")
    return [
        (
            column,
            sign,
            pa.scalar(int(np.datetime64(moment, "ms").astype(np.int64)), pa.timestamp("ms", kind.tz)),
        )
        for sign, moment in ((">=", start), ("<", end))
        if moment is not None
    ]


def require_columns(where: object, names: Iterable[object], needed: Iterable[str]) -> None:
    """Refuse a table without a column that is needed."""
    has = list(names)
    if lost := [name for name in needed if name not in has]:
        raise ValueError(f"{where}: no column {', '.join(lost)}; it has {', '.join(map(str, has))}.")


def _columns(path: Path) -> list[str]:
    try:
        return pq.read_schema(path).names
    except (pa.ArrowException, OSError):
        raise ValueError(f"{path} is damaged or not Parquet; get it again or remove it.") from None


def _read(path: Path, columns: list[str], filters: Any = None) -> pa.Table:
    try:
        return pq.read_table(path, columns=columns, filters=filters)
    except (pa.ArrowException, OSError):
        raise ValueError(f"{path} is damaged; get it again or remove it.") from None


def _stamps(table: pa.Table, name: str, path: Path) -> np.ndarray:
    column = table[name]
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms"), safe=False)
    return stamps(column.to_numpy(), f"{path}: {name}")


def _floats(table: pa.Table, name: str, path: Path) -> np.ndarray:
    return numbers(table[name].to_numpy(), f"{path}: {name}")
