"""Download from exchanges' own interfaces: Bybit and OKX through ccxt, implied volatility from Deribit.

These have no public archive with checksums. Pages are requested in order, repeated after passing errors, and written
as whole Parquet files; a run goes on after the last stored bar. ccxt is an extra (``gearing[data]``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gearing.market import layout
from gearing.market.download import joined_bars
from gearing.market.fetching import RETRIED
from gearing.market.series import Bars
from gearing.market.timing import duration, label, stamp
from gearing.market.writing import STAMP, atomically, write_bars, write_funding

FOLDERS = {"bybit": "bybit-linear", "okx": "okx-swap"}
PRICES = {"last": None, "mark": "mark", "index": "index"}
PAGE = 100  # what every endpoint of both gives at once
SHORTEST_FUNDING = 3_600_000  # ms; no contract settles more often than hourly
UNTIL = {
    "okx": "after"
}  # ccxt has no unified end of a funding page for OKX, which gives the newest of a span first
TRIES = 6
DERIBIT = "https://www.deribit.com"


def fetch_ccxt(
    exchange: Any,
    symbol: str,
    folder: str | os.PathLike[str],
    start: Any,
    end: Any,
    bar: Any = "1h",
    kind: str = "last",
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Download one kind of one contract through ccxt.

    Parameters
    ----------
    exchange : str or ccxt exchange
        "bybit", "okx", or an exchange object of ccxt.
    symbol : str
        As ccxt writes it ("BTC/USDT:USDT").
    folder : path
    start, end : date or text
        Half-open, UTC.
    kind : {"last", "mark", "index", "funding"}

    Returns
    -------
    str
        File written, relative to the data folder.

    Raises
    ------
    ImportError
        If ccxt is needed and not installed.
    ValueError
        If the exchange gives nothing for the period.
    """
    if kind not in (*PRICES, "funding"):
        raise ValueError(f"kind is 'last', 'mark', 'index' or 'funding', not {kind!r}.")
    client = _client(exchange)
    root = Path(folder)
    home = root / FOLDERS.get(client.id, client.id) / symbol.split(":")[0].replace("/", "")
    first, last = (int(stamp(t).astype(np.int64)) for t in (start, end))
    if kind == "funding":
        target = home / "funding.parquet"
        span = PAGE * SHORTEST_FUNDING
        pages = _pages(
            lambda since: _rates(client, symbol, since, since + span), first, last, span, client, sleep
        )
        rows = _funding_rows(_wanted(pages, first, last, f"{client.id}: funding of {symbol}"), target)
        write_funding(target, rows, f"ccxt {client.id}")
        return target.relative_to(root).as_posix()
    length = duration(bar)
    bar_ms = int(length.astype(np.int64))
    last = min(last, int(time.time() * 1000) - bar_ms + 1)  # a bar that is not over changes yet
    target = layout.bar_file(home, kind, length)
    parameters = {} if PRICES[kind] is None else {"price": PRICES[kind]}

    def page(since: int) -> list[list[float]]:
        return client.fetch_ohlcv(symbol, label(length), since=since, limit=PAGE, params=parameters)

    raw = _pages(page, first, last, PAGE * bar_ms, client, sleep)
    table = np.array(_wanted(raw, first, last, f"{client.id}: {kind} of {symbol}"), dtype=float)
    parts = [_bars(table, kind == "last", str(target))]
    if target.is_file():
        parts.append(layout.read_bars(target, volume=kind == "last"))
    write_bars(target, joined_bars(parts).checked(length), f"ccxt {client.id}")
    return target.relative_to(root).as_posix()


def fetch_dvol(
    coin: str,
    folder: str | os.PathLike[str],
    start: Any,
    end: Any,
    base_url: str = DERIBIT,
    client: httpx.Client | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Download Deribit's daily implied-volatility index (closes, in percent a year) into ``dvol/<COIN>-1d.parquet``."""
    own = client or httpx.Client(timeout=30.0)
    first, last = (int(stamp(t).astype(np.int64)) for t in (start, end))
    rows: dict[int, float] = {}
    until = last - 1
    while until >= first:
        query = {"currency": coin, "start_timestamp": first, "end_timestamp": until, "resolution": "1D"}
        answer = _json(own, f"{base_url.rstrip('/')}/api/v2/public/get_volatility_index_data", query, sleep)[
            "result"
        ]
        rows |= {int(row[0]): float(row[4]) for row in answer["data"] if first <= row[0] < last}
        following = answer.get("continuation")
        if following is None or following >= until:
            break
        until = following
    if not rows:
        raise ValueError(f"Deribit has no volatility index of {coin} in [{start}, {end}).")
    target = Path(folder) / "dvol" / f"{coin}-1d.parquet"
    times = np.array(sorted(rows), "int64").astype("datetime64[ms]")
    columns = {
        "time": pa.array(times, pa.timestamp("ms")).cast(STAMP),
        "dvol": [rows[k] for k in sorted(rows)],
    }
    atomically(target, lambda part: pq.write_table(pa.table(columns), part, compression="zstd"))
    return f"dvol/{coin}-1d.parquet"


def _client(exchange: Any) -> Any:
    if not isinstance(exchange, str):
        return exchange
    try:
        import ccxt
    except ImportError:
        raise ImportError("downloads from Bybit and OKX need ccxt: pip install 'gearing[data]'.") from None
    if exchange not in FOLDERS:
        raise ValueError(f"exchange {exchange!r} is not one of {', '.join(FOLDERS)}.")
    return getattr(ccxt, exchange)({"enableRateLimit": True})


def _pages(
    page: Callable[[int], list[Any]],
    first: int,
    last: int,
    span: int,
    client: Any,
    sleep: Callable[[float], None],
) -> list[Any]:
    """Rows from ``first`` to ``last``, page after page.

    A page covers at most ``span`` from its start on, so an empty one (before a listing, in an outage) is passed over.
    """
    rows: list[Any] = []
    since = first
    while since < last:
        batch = _patiently(lambda since=since: page(since), client, sleep)  # type: ignore[misc]
        fresh = [row for row in batch if row[0] >= since]
        rows += fresh
        since = max(int(row[0]) for row in fresh) + 1 if fresh else since + span
    return rows


def _patiently(call: Callable[[], Any], client: Any, sleep: Callable[[float], None]) -> Any:
    """Repeat a call after errors of the network (ccxt's NetworkError, which rate limits are), with growing waits."""
    for attempt in range(TRIES):
        try:
            return call()
        except Exception as error:
            passing = any(base.__name__ == "NetworkError" for base in type(error).__mro__)
            if not passing or attempt == TRIES - 1:
                raise
            sleep(min(2.0**attempt, 60.0))
    raise AssertionError("unreachable")


def _rates(client: Any, symbol: str, since: int, until: int) -> list[list[float]]:
    """Settlements from ``since`` to ``until``: so few that they fit one page, whichever end it is counted from."""
    end = {UNTIL.get(client.id, "until"): until}
    found = client.fetch_funding_rate_history(symbol, since=since, limit=PAGE, params=end)
    return [[row["timestamp"], row["fundingRate"]] for row in found]


def _wanted(rows: list[Any], first: int, last: int, what: str) -> list[Any]:
    inside = {int(row[0]): row for row in rows if first <= row[0] < last}
    if not inside:
        raise ValueError(f"{what}: the exchange gave nothing for the period; choose a later start.")
    return [inside[k] for k in sorted(inside)]


def _bars(table: np.ndarray, volume: bool, where: str) -> Bars:
    times = table[:, 0].astype(np.int64).astype("datetime64[ms]")
    return Bars(times, table[:, 1:5], table[:, 5] if volume else None, where)


def _funding_rows(rows: list[Any], target: Path) -> np.ndarray:
    minute = 60_000
    stamps = (np.array([int(r[0]) for r in rows]) + minute // 2) // minute * minute
    rates = np.array([float(r[1]) for r in rows])
    new = layout.settlement_rows(stamps.astype("datetime64[ms]"), rates, None, str(target))
    if not target.is_file():
        return new
    joined = np.concatenate([new, layout.read_funding(target)])
    _, first = np.unique(joined["time"], return_index=True)
    return joined[first]


def _json(client: httpx.Client, url: str, query: dict[str, Any], sleep: Callable[[float], None]) -> Any:
    detail = ""
    for attempt in range(TRIES):
        try:
            response = client.get(url, params=query)
            if response.status_code not in RETRIED:
                response.raise_for_status()
                return response.json()
            detail = f"status {response.status_code}"
        except httpx.TransportError as error:
            detail = str(error)
        sleep(min(2.0**attempt, 60.0))
    raise ValueError(f"{url}: {detail} after {TRIES} tries; try again later.")
