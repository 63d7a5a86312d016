"""Download from exchange APIs: Bybit and OKX through ccxt, implied volatility from Deribit.

These have no public archive with checksums. Pages are requested in order, retried after temporary errors, and added
to complete Parquet files regularly; a run requests only the missing rows, so that an interrupted one resumes. ccxt is
an extra (``gearing[data]``).
"""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gearing.market.history import layout
from gearing.market.history.series import Bars, settlement_rows, whole_minutes
from gearing.market.history.writing import STAMP, joined_bars, joined_funding, write_bars, write_funding
from gearing.market.sources.retrying import FetchError, PassingError, Patience, Retrying
from gearing.market.sources.web import Web
from gearing.market.timing import label, positive_duration, stamp, text
from gearing.names import check_file_name
from gearing.storage.atomic import write_atomically
from gearing.storage.text import decoded, parse_json

FOLDERS = {"bybit": "bybit-linear", "okx": "okx-swap", "binanceusdm": "binance-um"}
PRICES = {"last": None, "mark": "mark", "index": "index"}
PAGE = 100  # rows per request of every endpoint of both
SHORTEST_FUNDING = 3_600_000  # ms; no contract settles more often than hourly
USUAL_FUNDING = 28_800_000  # ms; a longer gap is requested again
UNTIL = {
    "okx": "after"
}  # ccxt has no unified end of a funding page for OKX, which returns the newest of a span first
SAVED_AFTER = 50  # pages
PATIENCE = Patience(retries=5, first_wait=1.0)
DERIBIT = "https://www.deribit.com"
DVOL = "api/v2/public/get_volatility_index_data"


def fetch_ccxt(
    exchange: Any,
    symbol: str,
    folder: str | os.PathLike[str],
    start: Any,
    end: Any,
    bar: Any = "1h",
    kind: str = "last",
    sleep: Callable[[float], None] = time.sleep,
    patience: Patience = PATIENCE,
    tell: Callable[[str], None] = lambda text: None,
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
    patience : Patience
        How often and how long a page is tried.
    tell : callable
        Called with each span after the first row for which the exchange has none.

    Returns
    -------
    str
        File written, relative to the data folder.

    Raises
    ------
    ImportError
        If ccxt is needed and not installed.
    ValueError
        If the exchange returns nothing for the period.
    """
    if kind not in (*PRICES, "funding"):
        raise ValueError(f"kind is 'last', 'mark', 'index' or 'funding', not {kind!r}.")
    client = _client(exchange)
    root = Path(folder)
    home = layout.contract_folder(
        root, FOLDERS.get(client.id, client.id), symbol.split(":")[0].replace("/", "", 1)
    )
    first, last = (int(stamp(t).astype(np.int64)) for t in (start, end))
    funding, length = kind == "funding", positive_duration(bar)
    step = int(length.astype(np.int64))
    target = home / "funding.parquet" if funding else layout.bar_file(home, kind, length)
    inner, outer = (USUAL_FUNDING, SHORTEST_FUNDING) if funding else (step, step)
    if not funding:
        last = min(last, int(time.time() * 1000) - step + 1)  # an unfinished bar still changes

    def page(since: int) -> list[list[float]]:
        if funding:
            return _rates(client, symbol, since, since + PAGE * outer)
        price = {} if PRICES[kind] is None else {"price": PRICES[kind]}
        return client.fetch_ohlcv(symbol, label(length), since=since, limit=PAGE, params=price)

    origin, what = f"ccxt {client.id}", f"{client.id}: {kind} of {symbol}"
    retrying = Retrying(patience, sleep)
    for a, b in _missing(_stamps(target), first, last, inner, outer):
        for rows in _pages(page, a, b, PAGE * outer, retrying, what):
            inside = {int(row[0]): row for row in rows if a <= row[0] < b}
            if not inside:
                continue
            table = np.array([inside[k] for k in sorted(inside)], dtype=float)
            times = table[:, 0].astype(np.int64).astype("datetime64[ms]")
            if funding:
                rates = settlement_rows(whole_minutes(times), table[:, 1].copy(), None, str(target))
                write_funding(target, joined_funding([rates], target), origin)
            else:
                bars = Bars(times, table[:, 1:5], table[:, 5] if kind == "last" else None, str(target))
                write_bars(target, joined_bars([bars], target).checked(length), origin)
    stamps = _stamps(target)
    if not ((stamps >= first) & (stamps < last)).any():
        raise ValueError(
            f"{client.id}: {kind} of {symbol}: the exchange returned nothing for the period; choose a later start."
        )
    for a, b in _missing(stamps, first, last, inner, outer):
        if a > first and b - a >= inner:  # an end within a step of the last row is none
            begins, ends = (text(np.datetime64(moment, "ms")) for moment in (a - a % 60_000, b))
            tell(f"{what}: nothing between {begins} and {ends}")
    return target.relative_to(root).as_posix()


def fetch_dvol(
    coin: str,
    folder: str | os.PathLike[str],
    start: Any,
    end: Any,
    base_url: str = DERIBIT,
    client: httpx.Client | None = None,
    sleep: Callable[[float], None] = time.sleep,
    patience: Patience = PATIENCE,
) -> str:
    """Download Deribit's daily implied-volatility index (closes, in percent a year) into ``dvol/<COIN>-1d.parquet``.

    Days that the file already has stay in it.
    """
    target = Path(folder) / "dvol" / f"{check_file_name(coin, 'the coin')}-1d.parquet"
    first, last = (int(stamp(t).astype(np.int64)) for t in (start, end))
    call = partial(_deribit, Web(client=client), f"{base_url.rstrip('/')}/{DVOL}")
    rows = _dvol_rows(coin, first, last, call, Retrying(patience, sleep))
    if not rows:
        raise ValueError(f"Deribit has no volatility index of {coin} in [{start}, {end}).")
    if target.is_file():
        stored = pq.read_table(target, columns=["time", "dvol"])
        days = np.asarray(stored["time"], "datetime64[ms]").astype(np.int64).tolist()
        rows = dict(zip(days, stored["dvol"].to_pylist(), strict=True)) | rows
    times = np.array(sorted(rows), "int64").astype("datetime64[ms]")
    columns = {
        "time": pa.array(times, pa.timestamp("ms")).cast(STAMP),
        "dvol": [rows[k] for k in sorted(rows)],
    }
    write_atomically(target, lambda part: pq.write_table(pa.table(columns), part, compression="zstd"))
    return f"dvol/{coin}-1d.parquet"


def _dvol_rows(
    coin: str, first: int, last: int, call: Callable[..., dict[str, Any]], retrying: Retrying
) -> dict[int, float]:
    """Closes by milliseconds, page by page from the newest."""
    rows: dict[int, float] = {}
    until = last - 1
    while until >= first:
        query = {"currency": coin, "start_timestamp": first, "end_timestamp": until, "resolution": "1D"}
        page = retrying.run(partial(call, query))
        rows |= {int(row[0]): float(row[4]) for row in page["data"] if first <= row[0] < last}
        following = page.get("continuation")
        if following is None or following >= until:
            break
        until = following
    return rows


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


def _stamps(target: Path) -> np.ndarray:
    """Stamps of a file in milliseconds, ascending; none where there is no file."""
    if not target.is_file():
        return np.empty(0, np.int64)
    funding = target.name == "funding.parquet"
    times = (
        layout.read_funding(target)["time"] if funding else layout.read_bars(target, volume=False).open_time
    )
    return times.astype(np.int64)


def _missing(stamps: np.ndarray, first: int, last: int, inner: int, outer: int) -> list[tuple[int, int]]:
    """Spans of [first, last) without rows: longer than ``inner`` between stored rows, than ``outer`` at the ends."""
    inside = stamps[(stamps >= first) & (stamps < last)].tolist()
    if not inside:
        return [(first, last)]
    gaps = [(a + 1, b) for a, b in pairwise(inside) if b - a > inner]
    head = [(first, inside[0])] if inside[0] > first else []
    tail = [(inside[-1] + 1, last)] if last - inside[-1] > outer else []
    return head + gaps + tail


def _pages(
    page: Callable[[int], list[Any]], first: int, last: int, span: int, retrying: Retrying, what: str
) -> Iterator[list[Any]]:
    """Rows from ``first`` to ``last`` in order, some pages at a time.

    A page covers at most ``span`` from its start on, so an empty one (before a listing, in an outage) is skipped.
    """
    rows: list[Any] = []
    since, count = first, 0
    while since < last:
        batch = retrying.run(partial(_ccxt_call, partial(page, since), what))
        fresh = [row for row in batch if row[0] >= since]
        rows += fresh
        since = max(int(row[0]) for row in fresh) + 1 if fresh else since + span
        count += 1
        if count % SAVED_AFTER == 0:
            yield rows
            rows = []
    yield rows


def _rates(client: Any, symbol: str, since: int, until: int) -> list[list[float]]:
    """Settlements from ``since`` to ``until``: few enough for one page, whichever end it starts from."""
    end = {UNTIL.get(client.id, "until"): until}
    found = client.fetch_funding_rate_history(symbol, since=since, limit=PAGE, params=end)
    return [[row["timestamp"], row["fundingRate"]] for row in found]


def _ccxt_call(call: Callable[[], Any], what: str, deadline: float) -> Any:
    """Result of a call of ccxt, which has a timeout of its own; its NetworkError, rate limits included, may pass."""
    del deadline
    try:
        return call()
    except Exception as error:
        kinds = {base.__name__ for base in type(error).__mro__}
        detail = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:300]}"
        if "NetworkError" in kinds:
            raise PassingError(f"{what}: {detail}") from error
        if "BaseError" in kinds:  # ccxt's: an unknown symbol, a request that the exchange refuses
            raise FetchError(f"{what}: {detail}") from error
        raise


def _deribit(web: Web, url: str, query: dict[str, Any], deadline: float) -> dict[str, Any]:
    """The result in an answer of Deribit."""
    status, body = web.get(url, deadline, query)
    if status >= 400:
        raise FetchError(f"{url}: status {status}; check the coin and the period.")
    answer = parse_json(decoded(body, url), url, dict)
    result = answer.get("result")
    if not isinstance(result, dict) or not isinstance(result.get("data"), list):
        raise FetchError(f"{url}: the answer holds no data: {str(answer)[:200]}.")
    return result
