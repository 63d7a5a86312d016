"""Bybit and OKX through the real ccxt, whose requests go to a server on loopback.

The server answers as the venues' documentation says: newest row first, at most so many rows, OKX with its exclusive
``before`` and ``after``, Bybit with its inclusive ``start`` and ``end``; instruments are the documented examples.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest

from gearing.market import synthetic_market
from gearing.market.history import layout
from gearing.market.sources import exchanges
from gearing.market.sources.exchanges import fetch_ccxt

ccxt = pytest.importorskip("ccxt", reason="ccxt is an extra: pip install 'gearing[data]'")

SYMBOL = "BTC/USDT:USDT"
START, END = "2020-01-01", "2020-03-31"
LISTED = np.datetime64("2020-01-20T00:00", "ms").astype(
    np.int64
)  # contracts begin later than they are asked for
BYBIT = {
    "symbol": "BTCUSDT", "contractType": "LinearPerpetual", "status": "Trading", "baseCoin": "BTC", "quoteCoin": "USDT",
    "launchTime": "1584230400000", "deliveryTime": "0", "deliveryFeeRate": "", "priceScale": "2",
    "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
    "priceFilter": {"minPrice": "0.10", "maxPrice": "1999999.80", "tickSize": "0.10"},
    "lotSizeFilter": {"maxOrderQty": "1190.000", "minOrderQty": "0.001", "qtyStep": "0.001", "minNotionalValue": "5",
                      "postOnlyMaxOrderQty": "1190.000", "maxMktOrderQty": "500.000"},
    "unifiedMarginTrade": True, "fundingInterval": 480, "settleCoin": "USDT", "copyTrading": "both",
    "upperFundingRate": "0.00375", "lowerFundingRate": "-0.00375",
}  # fmt: skip
OKX = {
    "alias": "", "baseCcy": "", "category": "1", "ctMult": "1", "ctType": "linear", "ctVal": "0.01", "ctValCcy": "BTC",
    "expTime": "", "instFamily": "BTC-USDT", "instId": "BTC-USDT-SWAP", "instType": "SWAP", "lever": "100",
    "listTime": "1573557408000", "lotSz": "0.01", "maxLmtSz": "100000000", "maxMktSz": "100000", "minSz": "0.01",
    "optType": "", "quoteCcy": "", "settleCcy": "USDT", "state": "live", "stk": "", "tickSz": "0.1",
    "uly": "BTC-USDT",
}  # fmt: skip


@pytest.fixture(scope="module")
def market():
    return synthetic_market("market-b", seed=1, years=90 / 365, contracts=("BTCUSDT",))


class Venue:
    """What the two venues answer; counts requests and fails now and then."""

    def __init__(self, market):
        self.market, self.requests, self.faults = market, 0, {}

    def answer(self, path, query):
        """Status and JSON of a request."""
        self.requests += 1
        if self.requests in self.faults:
            return self.faults[self.requests], {"retCode": 10006, "code": "50011", "msg": "Too Many Requests"}
        bybit = path.startswith("/v5/")
        if path.endswith("/instruments-info"):
            return 200, bybit_says(
                {"category": query["category"], "list": [BYBIT] * (query["category"] == "linear")}
            )
        if path.endswith("/public/instruments"):
            return 200, okx_says([OKX] * (query["instType"] == "SWAP"))
        if "funding" in path:
            return 200, self.funding(bybit, query)
        kind = "mark" if "mark-price" in path else "index" if "index" in path else "last"
        return 200, self.candles(bybit, kind, query)

    def candles(self, bybit, kind, query):
        stamps = self.market.open_time.astype(np.int64)
        rows = self._newest_first(
            bybit, stamps, query, most=1000 if bybit else 300 if kind == "last" else 100
        )
        prices = getattr(self.market, kind)[:, 0]
        lines = [[str(stamps[k]), *(repr(float(x)) for x in prices[k])] for k in rows]
        if kind == "last":
            base = [float(self.market.volume[k, 0]) for k in rows]
            for line, volume, k in zip(lines, base, rows, strict=True):
                turnover = repr(volume * float(prices[k, 3]))
                # Bybit: base volume, turnover; OKX: contracts of 0.01, base, quote
                line += [repr(volume), turnover] if bybit else [repr(volume / 0.01), repr(volume), turnover]
        if bybit:
            return bybit_says({"symbol": "BTCUSDT", "category": "linear", "list": lines})
        return okx_says([[*line, "1"] for line in lines])

    def funding(self, bybit, query):
        rows = self.market.settlements
        stamps = rows["time"].astype(np.int64)
        chosen = self._newest_first(bybit, stamps, query, most=200 if bybit else 100)
        rate = {k: repr(float(rows["rate"][k])) for k in chosen}
        if bybit:
            told = [
                {"symbol": "BTCUSDT", "fundingRate": rate[k], "fundingRateTimestamp": str(stamps[k])}
                for k in chosen
            ]
            return bybit_says({"category": "linear", "list": told})
        names = {
            "instId": "BTC-USDT-SWAP",
            "instType": "SWAP",
            "method": "current_period",
            "formulaType": "noRate",
        }
        return okx_says([
            {**names, "fundingRate": "0.5", "realizedRate": rate[k], "fundingTime": str(stamps[k])} for k in chosen
        ])  # fmt: skip

    @staticmethod
    def _newest_first(bybit, stamps, query, most):
        limit = min(int(query.get("limit", 100)), most)
        if bybit:
            low = int(query.get("start", query.get("startTime", 0)))
            high = int(query.get("end", query.get("endTime", 1 << 60)))
            inside = np.flatnonzero((stamps >= max(low, LISTED)) & (stamps <= high))
            oldest = (
                "end" not in query and "endTime" not in query
            )  # with a start only, rows are counted from it
            return (inside[:limit] if oldest else inside[-limit:])[::-1].tolist()
        newer, older = int(query.get("before", -1)), int(query.get("after", 1 << 60))
        inside = np.flatnonzero((stamps > newer) & (stamps < older) & (stamps >= LISTED))
        return inside[-limit:][::-1].tolist()


def bybit_says(result):
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": 1672025956592}


def okx_says(data):
    return {"code": "0", "msg": "", "data": data}


@pytest.fixture
def venue(market):
    """The venue, and the address at which it answers."""
    venue = Venue(market)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            address = urlsplit(self.path)
            status, told = venue.answer(address.path, dict(parse_qsl(address.query)))
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    venue.address = f"http://127.0.0.1:{server.server_port}"
    yield venue
    server.shutdown()
    server.server_close()


def client(name, venue):
    """The real class of ccxt, sent to loopback."""
    made = getattr(ccxt, name)({"enableRateLimit": False, "options": {"fetchCurrencies": False}})
    made.urls["api"] = dict.fromkeys(made.urls["api"], venue.address)
    made.has["fetchCurrencies"] = False  # needs an account
    made.session.trust_env = False
    return made


def get(name, venue, folder, kind, start=START, end=END):
    return fetch_ccxt(client(name, venue), SYMBOL, folder, start, end, kind=kind, sleep=lambda s: None)


@pytest.mark.parametrize(("name", "home"), [("bybit", "bybit-linear"), ("okx", "okx-swap")])
def test_every_kind_arrives_whole_from_the_listing_on(venue, tmp_path, market, name, home):
    listed = int((LISTED - market.open_time[0].astype(np.int64)) // 3_600_000)
    for kind in ("last", "mark", "index"):
        file = get(name, venue, tmp_path, kind)
        assert file == f"{home}/BTCUSDT/{'' if kind == 'last' else f'{kind}-'}1h.parquet"
        bars = layout.read_bars(tmp_path / file, volume=kind == "last")
        np.testing.assert_array_equal(bars.open_time, market.open_time[listed:])
        np.testing.assert_array_equal(bars.prices, getattr(market, kind)[listed:, 0])
        if kind == "last":
            np.testing.assert_array_equal(bars.volume, market.volume[listed:, 0])  # in base coins
    rates = layout.read_funding(tmp_path / get(name, venue, tmp_path, "funding"))
    expected = market.settlements[market.settlements["time"].astype(np.int64) >= LISTED]
    np.testing.assert_array_equal(rates["time"], expected["time"])
    np.testing.assert_array_equal(rates["rate"], expected["rate"])


@pytest.mark.parametrize("name", ["bybit", "okx"])
@pytest.mark.parametrize("status", [429, 503])
def test_passing_errors_of_the_venue_are_sat_out(venue, tmp_path, market, name, status):
    venue.faults = dict.fromkeys((9, 10, 14), status)
    bars = layout.read_bars(tmp_path / get(name, venue, tmp_path, "last"))
    assert bars.open_time.size == market.n_bars - 19 * 24


def test_a_bar_that_is_not_over_is_not_taken(venue, tmp_path, market, monkeypatch):
    now = market.open_time[-1].astype(np.int64) / 1000 + 60  # a minute into the last bar
    monkeypatch.setattr(exchanges.time, "time", lambda: now)
    bars = layout.read_bars(tmp_path / get("bybit", venue, tmp_path, "last"))
    assert bars.open_time[-1] == market.open_time[-2]


def test_a_contract_that_the_venue_does_not_have_is_named(venue, tmp_path):
    with pytest.raises(ccxt.BadSymbol, match="NIX/USDT"):
        fetch_ccxt(client("okx", venue), "NIX/USDT:USDT", tmp_path, START, END, sleep=lambda s: None)
