import httpx
import numpy as np
import pandas as pd
import pytest

from gearing.market import synthetic_market
from gearing.market.history import layout
from gearing.market.sources import exchanges
from gearing.market.sources.exchanges import fetch_ccxt, fetch_dvol
from gearing.market.sources.retrying import FetchError

SYMBOL = "BTC/USDT:USDT"


class NetworkError(Exception):
    """Named as ccxt's."""


class RateLimitExceeded(NetworkError):  # noqa: N818 - the name in ccxt
    pass


class FakeExchange:
    """Speaks as ccxt does, in pages, and fails every third call."""

    id = "bybit"

    def __init__(self, market):
        self.market, self.calls = market, 0

    def _stumble(self):
        self.calls += 1
        if self.calls % 3 == 0:
            raise RateLimitExceeded("too many requests")

    def fetch_ohlcv(self, symbol, timeframe, since, limit, params):
        self._stumble()
        prices = self.market.mark if params.get("price") == "mark" else self.market.last
        stamps = self.market.open_time.astype(np.int64)
        rows = np.flatnonzero(stamps >= since)[:limit]
        return [[int(stamps[k]), *prices[k, 0].tolist(), float(self.market.volume[k, 0])] for k in rows]

    def fetch_funding_rate_history(self, symbol, since, limit, params):
        self._stumble()
        rows = self.market.settlements
        stamps = rows["time"].astype(np.int64)
        chosen = rows[(stamps >= since) & (stamps <= params["until"])][-limit:]
        return [
            {"timestamp": int(r["time"].astype(np.int64)), "fundingRate": float(r["rate"])} for r in chosen
        ]


@pytest.fixture(scope="module")
def market():
    return synthetic_market("market-b", seed=1, years=90 / 365, contracts=("BTCUSDT",))


def get(market, folder, kind, start="2020-01-01", end="2020-03-31"):
    return fetch_ccxt(FakeExchange(market), SYMBOL, folder, start, end, kind=kind, sleep=lambda s: None)


def test_pages_become_whole_files_in_spite_of_rate_limits(tmp_path, market):
    name = get(market, tmp_path, "last")
    assert name == "bybit-linear/BTCUSDT/1h.parquet"
    bars = layout.read_bars(tmp_path / name)
    np.testing.assert_array_equal(bars.prices, market.last[:, 0])
    np.testing.assert_array_equal(bars.volume, market.volume[:, 0])
    marks = layout.read_bars(tmp_path / get(market, tmp_path, "mark"))
    np.testing.assert_array_equal(marks.prices, market.mark[:, 0])
    rates = layout.read_funding(tmp_path / get(market, tmp_path, "funding"))
    np.testing.assert_array_equal(rates["rate"], market.settlements["rate"])


@pytest.mark.parametrize("kind", ["last", "funding"])
def test_a_later_run_adds_to_what_is_there_and_fills_holes(tmp_path, market, kind):
    get(market, tmp_path, kind, start="2020-02-05", end="2020-02-10")
    get(market, tmp_path, kind, start="2020-01-10", end="2020-01-20")
    name = get(market, tmp_path, kind)
    if kind == "last":
        np.testing.assert_array_equal(layout.read_bars(tmp_path / name).open_time, market.open_time)
    else:
        np.testing.assert_array_equal(
            layout.read_funding(tmp_path / name)["time"], market.settlements["time"]
        )


def test_what_is_there_is_not_requested_again(tmp_path, market):
    exchange = FakeExchange(market)
    for _ in range(2):
        exchange.calls = 0
        fetch_ccxt(exchange, SYMBOL, tmp_path, "2020-01-01", "2020-03-31", sleep=lambda s: None)
    assert exchange.calls == 0


def test_an_interrupted_run_keeps_the_pages_it_had_and_goes_on_there(tmp_path, market, monkeypatch):
    monkeypatch.setattr(exchanges, "SAVED_AFTER", 3)

    class Cut(FakeExchange):
        def fetch_ohlcv(self, *args, **options):
            if self.calls == 10:
                raise KeyboardInterrupt
            return super().fetch_ohlcv(*args, **options)

    with pytest.raises(KeyboardInterrupt):
        fetch_ccxt(Cut(market), SYMBOL, tmp_path, "2020-01-01", "2020-03-31", sleep=lambda s: None)
    kept = layout.read_bars(tmp_path / "bybit-linear" / "BTCUSDT" / "1h.parquet")
    assert kept.open_time.size == 600  # of 10 calls 3 failed; 6 of the 7 pages of 100 were saved
    name = get(market, tmp_path, "last")
    np.testing.assert_array_equal(layout.read_bars(tmp_path / name).prices, market.last[:, 0])


def test_lasting_errors_end_in_one_message(tmp_path, market):
    class Dead(FakeExchange):
        def fetch_ohlcv(self, *args, **options):
            raise RateLimitExceeded("never")

    with pytest.raises(
        FetchError, match="bybit: last of BTC/USDT:USDT: RateLimitExceeded: never after 6 tries"
    ):
        fetch_ccxt(Dead(market), SYMBOL, tmp_path, "2020-01-01", "2020-02-01", sleep=lambda s: None)
    assert not list(tmp_path.rglob("*.parquet"))


def test_an_empty_period_is_refused(tmp_path, market):
    with pytest.raises(ValueError, match="returned nothing for the period"):
        get(market, tmp_path, "last", start="2030-01-01", end="2030-02-01")


def test_implied_volatility_is_read_page_by_page(tmp_path):
    day = 86_400_000
    first = 1_577_836_800_000  # 2020-01-01
    calls = []

    def answer(request):
        calls.append(request)
        if len(calls) == 1:
            return httpx.Response(429)
        end = int(request.url.params["end_timestamp"])
        days = [t for t in range(first, first + 10 * day, day) if t <= end][-4:]
        following = days[0] - 1 if days[0] > first else None
        return httpx.Response(
            200, json={"result": {"data": [[t, 1, 2, 0, 50.0] for t in days], "continuation": following}}
        )

    client = httpx.Client(transport=httpx.MockTransport(answer))
    name = fetch_dvol("BTC", tmp_path, "2020-01-01", "2020-01-11", client=client, sleep=lambda s: None)
    table = pd.read_parquet(tmp_path / name)
    assert len(table) == 10
    assert (table["dvol"] == 50.0).all()
    known_at, value = layout.read_implied_volatility(tmp_path, "BTCUSDT")
    assert known_at[0] == np.datetime64("2020-01-02")
    assert value[0] == 0.5


def answering(status, **content):
    return httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(status, **content)))


def test_days_of_implied_volatility_that_are_there_stay(tmp_path):
    day = 86_400_000
    first = 1_577_836_800_000  # 2020-01-01
    for begin, value in ((first, 50.0), (first + 3 * day, 60.0)):
        rows = [[begin + k * day, 1, 2, 0, value] for k in range(5)]
        client = answering(200, json={"result": {"data": rows, "continuation": None}})
        name = fetch_dvol("BTC", tmp_path, "2020-01-01", "2020-02-01", client=client)
    assert pd.read_parquet(tmp_path / name)["dvol"].tolist() == [50.0] * 3 + [60.0] * 5


@pytest.mark.parametrize(
    ("status", "content", "words"),
    [
        (400, {"json": {"error": {"message": "no such coin"}}}, "status 400; check the coin and the period"),
        (200, {"json": {"result": None}}, "the answer holds no data"),
        (200, {"text": "<html>"}, "this is not JSON"),
    ],
)
def test_an_answer_without_implied_volatility_is_refused_in_one_line(tmp_path, status, content, words):
    with pytest.raises(ValueError, match=words) as refused:
        fetch_dvol("BTC", tmp_path, "2020-01-01", "2020-02-01", client=answering(status, **content))
    assert "\n" not in str(refused.value)


def test_names_with_a_path_are_refused(tmp_path, market):
    with pytest.raises(ValueError, match=r"the coin .* cannot name"):
        fetch_dvol("../x", tmp_path, "2020-01-01", "2020-02-01", client=answering(500))
    with pytest.raises(ValueError, match=r"the contract .* cannot name"):
        fetch_ccxt(
            FakeExchange(market), "../../x", tmp_path, "2020-01-01", "2020-02-01", sleep=lambda s: None
        )


def test_hours_that_the_exchange_lacks_are_told(tmp_path, market):
    lost = (market.open_time >= np.datetime64("2020-01-10")) & (
        market.open_time < np.datetime64("2020-01-10T05")
    )

    class Holed(FakeExchange):
        def fetch_ohlcv(self, *args, **options):
            dropped = set(market.open_time[lost].astype(np.int64).tolist())
            return [row for row in super().fetch_ohlcv(*args, **options) if row[0] not in dropped]

    reported = []
    fetch_ccxt(
        Holed(market),
        SYMBOL,
        tmp_path,
        "2020-01-05",
        "2020-01-20",
        sleep=lambda s: None,
        tell=reported.append,
    )
    assert reported == [f"bybit: last of {SYMBOL}: nothing between 2020-01-09 23:00 and 2020-01-10 05:00"]
