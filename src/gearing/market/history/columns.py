"""Find bars and settlements in tables of other programs: which column is which.

Known are the names and orders of Binance's archive and interface, Bybit, OKX, ccxt, freqtrade and common downloads.
Capitals, spaces and underscores in names do not matter. What is not known is named by the caller: ``{ours: theirs}``.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gearing.market.history.frames import bars_from_frame, settlements_from_frame
from gearing.market.history.layout import PRICES, require_columns
from gearing.market.history.series import Bars
from gearing.market.timing import stamps
from gearing.names import check_names

_CLOCKS = (
    "time",
    "timestamp",
    "datetime",
    "date",
    "ts",
    "t",
    "unix",
    "unixtime",
    "gmttime",
    "utctime",
    "index",
    "",
)
# Ours: theirs, in lower case without spaces and signs; the first that a table has is taken.
_BARS: Mapping[str, Sequence[str]] = {
    "open_time": ("opentime", "starttime", "start", "startat", *_CLOCKS),
    "open": ("open", "openprice", "o"), "high": ("high", "highprice", "h"),
    "low": ("low", "lowprice", "l"), "close": ("close", "closeprice", "c"),
    "volume": ("volccy", "volume", "basevolume", "vol", "v"),  # OKX's vol counts contracts, its volCcy coins
}  # fmt: skip
_FUNDING: Mapping[str, Sequence[str]] = {
    "time": ("calctime", "fundingtime", "fundingratetimestamp", "settlementtime", *_CLOCKS),
    "rate": (
        "realizedrate",
        "rate",
        "lastfundingrate",
        "fundingrate",
    ),  # OKX: what was paid, then what was due
    "mark": ("mark", "markprice"),
}
_SYMBOLS = ("symbol", "pair", "instid", "contract", "ticker", "tic")
_TIME_OF_DAY = re.compile(r"\d{1,2}:\d\d(:\d\d(\.\d+)?)?( ?[AaPp][Mm])?")
_CONFIRMED = ("confirm", "confirmed", "isclosed")
_ARCHIVE = (
    *_BARS,
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
)
# Orders of columns where a file has no header, by their number.
_BAR_ORDERS: Mapping[int, Sequence[str]] = {
    5: ("open_time", *PRICES),
    6: tuple(_BARS),  # ccxt, freqtrade
    7: (*_BARS, "turnover"),  # Bybit
    9: ("ts", *PRICES, "vol", "volCcy", "volCcyQuote", "confirm"),  # OKX
    12: _ARCHIVE,  # Binance
}
_FUNDING_ORDERS: Mapping[int, Sequence[str]] = {
    2: ("time", "rate"),
    3: ("calc_time", "hours", "last_funding_rate"),
}


def bars_of_table(
    table: pd.DataFrame,
    where: str,
    symbol: str = "",
    mapping: Mapping[str, str] | None = None,
    date_format: str | None = None,
    kind: str = "last",
) -> Bars:
    """Bars of a table, in order of time; bars that the venue marks as not complete (OKX's confirm 0) are left out.

    Parameters
    ----------
    table : DataFrame
        As :func:`gearing.storage.tables.read_table` returns it.
    where : str
        File, for messages.
    symbol : str
        Refuses rows of another contract, where the table names contracts.
    mapping : mapping, optional
        Our column to the table's column.
    date_format : str, optional
        See :func:`gearing.market.timing.stamps`.
    kind : {"last", "mark", "index"}
        Of mark and index prices, OKX's sixth column is no volume, but whether the bar is complete.
    """
    named = _named(table, _BAR_ORDERS, where)
    if kind != "last" and _is_confirmed(table):
        named = named.rename(columns={"volume": "confirm"})
    _check_symbol(named, symbol, where)
    confirmed = next((column for column in named.columns if _plain(column) in _CONFIRMED), None)
    if confirmed is not None:
        named = named[~named[confirmed].astype(str).str.lower().isin(["0", "false"])]
    found = _renamed(named, _BARS, {**_coin_volume(named, symbol), **(mapping or {})}, where, date_format)
    if "volume" not in found and (other := [str(name) for name in named.columns if "vol" in _plain(name)]):
        raise ValueError(
            f"{where}: no column is known to hold the volume in coins; pass --column volume=... "
            f"(of {', '.join(other)})."
        )
    return bars_from_frame(found, where, date_format)


def settlements_of_table(
    table: pd.DataFrame,
    where: str,
    symbol: str = "",
    mapping: Mapping[str, str] | None = None,
    date_format: str | None = None,
) -> np.ndarray:
    """Settlements of a table, in order of time, as :func:`bars_of_table` reads bars; equal rows count once."""
    named = _named(table, _FUNDING_ORDERS, where)
    _check_symbol(named, symbol, where)
    found = _renamed(named, _FUNDING, mapping or {}, where, date_format)
    return settlements_from_frame(found, where, date_format, equal_rows=True)


def _named(table: pd.DataFrame, orders: Mapping[int, Sequence[str]], where: str) -> pd.DataFrame:
    """The table with names for the columns of a file without a header."""
    if len(table) == 0:
        raise ValueError(f"{where}: has no rows.")
    if not _unnamed(table):
        return table
    if "volume" in orders.get(6, ()) and len(table.columns) in (6, 7) and _is_clock(table[1]):
        return table.set_axis(["date", "time", *PRICES, "volume"][: len(table.columns)], axis=1)
    if len(table.columns) not in orders:
        known = ", ".join(f"{width} ({', '.join(names)})" for width, names in orders.items())
        raise ValueError(
            f"{where}: has no header, and {len(table.columns)} columns are of no known order: {known}. "
            "Add a header line."
        )
    return table.set_axis(list(orders[len(table.columns)]), axis=1)


def _is_confirmed(table: pd.DataFrame) -> bool:
    """Whether the last of six columns without names says which bars are complete; volumes are not all 0 or 1."""
    if len(table.columns) != 6 or not _unnamed(table):
        return False
    flags = set(table[5].astype(str))
    return "1" in flags and flags <= {"0", "1"}


def _unnamed(table: pd.DataFrame) -> bool:
    return all(isinstance(name, int | np.integer) for name in table.columns)


def _one_clock(table: pd.DataFrame, given: Sequence[str]) -> pd.DataFrame:
    """The table, with a day and a time of day in two columns (MetaTrader) as one."""
    days, times = ([c for c in table.columns if _plain(c) == name] for name in ("date", "time"))
    if (
        len(days) != 1
        or len(times) != 1
        or {days[0], times[0]} & set(given)
        or not _is_clock(table[times[0]])
    ):
        return table
    moments = table[days[0]].astype(str) + " " + table[times[0]]
    return table.drop(columns=times).assign(**{days[0]: moments})


def _is_clock(column: pd.Series) -> bool:
    """Whether all cells are times of day without a day."""
    return all(isinstance(cell, str) and _TIME_OF_DAY.fullmatch(cell) for cell in column)


def _renamed(
    table: pd.DataFrame,
    known: Mapping[str, Sequence[str]],
    mapping: Mapping[str, str],
    where: str,
    date_format: str | None,
) -> pd.DataFrame:
    """The columns that are needed, under our names."""
    check_names("--column names no column of ours", mapping, known)
    require_columns(where, table.columns, mapping.values())
    table = _one_clock(table, list(mapping.values()))
    closing = {"T"} if "t" in table.columns else set()  # of Hyperliquid and Binance's streams
    taken = closing.union(mapping.values(), _row_numbers(table))
    free = {column: _plain(column) for column in table.columns if column not in taken}
    chosen: dict[str, Any] = {}
    for ours, theirs in known.items():
        if ours in mapping:
            chosen[ours] = mapping[ours]
        elif (found := _found(table, ours, theirs, free, where, date_format)) is not None:
            chosen[ours] = found
    missing = [ours for ours in known if ours not in chosen and ours not in ("volume", "mark")]
    if missing:
        has = ", ".join(map(str, table.columns))
        hint = _closing_hint(missing[0], free)
        raise ValueError(
            f"{where}: no column {missing[0]}; it has {has}. {hint}Pass --column {missing[0]}=..."
        )
    return pd.DataFrame({ours: table[theirs] for ours, theirs in chosen.items()}, index=table.index)


def _row_numbers(table: pd.DataFrame) -> set[str]:
    """The column without a name, where it counts rows (pandas writes it) and another column has the times."""
    known = {*_BARS["open_time"], *_FUNDING["time"]}
    if "" not in table.columns or not any(
        _plain(column) in known for column in table.columns if column != ""
    ):
        return set()
    numbered = table[""].dtype.kind in "iu" and bool(table[""].between(0, 10**8).all())
    return {""} if numbered else set()


def _closing_hint(ours: str, free: Mapping[Any, str]) -> str:
    closing = next((column for column, plain in free.items() if plain in ("closetime", "endtime")), None)
    if ours != "open_time" or closing is None:
        return ""
    return f"{closing!r} is the end of a bar: subtract the bar's length. "


def _found(
    table: pd.DataFrame,
    ours: str,
    theirs: Sequence[str],
    free: Mapping[Any, str],
    where: str,
    date_format: str | None,
) -> Any:
    """The table's column of that meaning; None without one."""
    if ours in free:
        return ours
    fitting = [column for name in theirs for column, plain in free.items() if plain == name]
    if ours in ("open_time", "time"):
        _check_clocks(table, fitting, ours, where, date_format)
    elif fitting and sum(free[column] == free[fitting[0]] for column in fitting) > 1:
        raise ValueError(
            f"{where}: the columns {fitting[0]!r} and {fitting[1]!r} may both be {ours}; pass --column {ours}=..."
        )
    return fitting[0] if fitting else None


def _check_clocks(
    table: pd.DataFrame, columns: Sequence[Any], ours: str, where: str, date_format: str | None
) -> None:
    """Several columns of times must agree to the second; else the caller has to choose."""
    read = [stamps(table[column], f"{where}: {column}", date_format) for column in columns]
    for column, moments in zip(columns[1:], read[1:], strict=True):
        if (moments.astype("datetime64[s]") != read[0].astype("datetime64[s]")).any():
            raise ValueError(
                f"{where}: the columns {columns[0]!r} and {column!r} are both times and differ; "
                f"pass --column {ours}=... for the one to use."
            )


def _coin_volume(table: pd.DataFrame, symbol: str) -> dict[str, Any]:
    """The column of a volume that is named after the contract's coin, like "Volume BTC"."""
    coins = [(column, _plain(column).removeprefix("volume").upper()) for column in table.columns]
    own = [column for column, coin in coins if len(coin) > 1 and symbol.upper().startswith(coin)]
    return {"volume": own[0]} if len(own) == 1 and _plain(own[0]).startswith("volume") else {}


def _check_symbol(table: pd.DataFrame, symbol: str, where: str) -> None:
    names = [column for column in table.columns if _plain(column) in _SYMBOLS]
    rows = pd.unique(table[names[0]]) if names else ()
    for given in [*rows, *table.attrs.get("symbols", ())] if symbol else ():
        if contract_symbol(str(given)) != contract_symbol(symbol):
            raise ValueError(
                f"{where}: has rows of {given}, and {symbol} was requested; keep the rows of one contract in a file."
            )


def contract_symbol(written: str) -> str:
    """A contract as venues spell it, as one word: BTC/USDT:USDT, BTC-USDT-SWAP and BTC_USDT are BTCUSDT."""
    pair = written.upper().split(":")[0]
    return re.sub(r"[^A-Z0-9]", "", re.sub(r"[-_](SWAP|PERP|PERPETUAL)$", "", pair))


def _plain(name: Any) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name).lower())
