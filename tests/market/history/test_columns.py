import json

import numpy as np
import pandas as pd
import pytest

from gearing.market.history.columns import bars_of_table, contract_symbol, settlements_of_table
from gearing.storage.tables import table_of

N = 5
HOURS = np.datetime64("2025-01-01", "ms") + np.arange(N) * np.timedelta64(1, "h")
MS = HOURS.astype(np.int64)
OPEN = 94_000.0 + np.arange(N)
PRICES = np.column_stack([OPEN, OPEN + 5.0, OPEN - 5.0, OPEN + 1.0])
VOLUME = 2.0 + np.arange(N)
TEXTS = [[f"{value:.2f}" for value in row] for row in np.column_stack([PRICES, VOLUME])]


def rows(*more, time=MS):
    """Rows of time, prices and volume as texts, then more columns."""
    return [[str(t), *row, *more] for t, row in zip(time, TEXTS, strict=True)]


def csv(header, lines):
    return "\n".join([*([header] if header else []), *(",".join(line) for line in lines)]).encode()


def as_json(values):
    return json.dumps(values).encode()


KLINE = [
    "1735693199999",
    "1000.5",
    "10",
    "1.0",
    "94000.0",
    "0",
]  # close time, quote volume, trades, taker volumes, none
NAMES = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_quote,ignore"
)
OKX = [
    [*row, str(float(row[5]) * 0.01), "1000.5", "1"] for row in rows()
]  # volume in contracts, coins and quote, confirm
CRYPTO_DATA = [
    [str(t // 1000), str(h).replace("T", " ")[:19], "BTC/USDT", *row[:4], row[4], "1000.5", "7"]
    for t, h, row in zip(MS, HOURS, TEXTS, strict=True)
]


@pytest.mark.parametrize(
    ("content", "coins"),
    [
        (csv(NAMES, rows(*KLINE)), 1.0),  # Binance's archive
        (csv("", rows(*KLINE)), 1.0),  # and its older files
        (csv("", rows(*KLINE, time=MS * 1_000)), 1.0),  # and its spot files since 2025
        (as_json([[int(row[0]), *row[1:]] for row in rows(*KLINE)]), 1.0),  # Binance's klines
        (as_json([[float(cell) for cell in row] for row in rows()]), 1.0),  # ccxt, freqtrade
        (as_json({"retCode": 0, "result": {"symbol": "BTCUSDT", "list": rows("1000.5")[::-1]}}), 1.0),  # Bybit
        (as_json({"code": "0", "msg": "", "data": OKX[::-1]}), 0.01),
        (csv("ts,open,high,low,close,vol,volCcy,volCcyQuote,confirm", OKX), 0.01),
        (csv("Timestamp,Open,High,Low,Close,Volume", rows(time=MS // 1_000)), 1.0),  # TradingView
        (csv("Open time,Open,High,Low,Close,Volume", rows()).replace(b",", b";"), 1.0),
        (
            b"https://www.a-download.site\n"
            + csv("unix,date,symbol,open,high,low,close,Volume BTC,Volume USDT,tradecount", CRYPTO_DATA[::-1]),
            1.0,
        ),
        (csv("", [[row[0], *row[1:], "7"] for row in rows(time=MS // 1_000)]), 1.0),  # Kraken: trades last
    ],
)  # fmt: skip
def test_bars_of_every_known_layout_are_the_same_bars(content, coins):
    bars = bars_of_table(table_of(content, "x"), "x", "BTCUSDT")
    assert bars.open_time.tolist() == HOURS.tolist()
    np.testing.assert_array_equal(bars.prices, PRICES)
    np.testing.assert_allclose(bars.volume, VOLUME * coins, rtol=1e-12)


RATES = np.array([1, 2, -3, 4, 5]) * 1e-4
STAMPS = MS[0] + np.arange(N) * 8 * 3_600_000
PAIRS = [(str(t), f"{r:.4f}") for t, r in zip(STAMPS, RATES, strict=True)]


@pytest.mark.parametrize(
    "content",
    [
        csv("calc_time,funding_interval_hours,last_funding_rate", [(f"{int(t) + 7}", "8", r) for t, r in PAIRS]),
        csv("", [(t, "8", r) for t, r in PAIRS]),
        as_json([{"symbol": "BTCUSDT", "fundingTime": int(t), "fundingRate": r, "markPrice": ""} for t, r in PAIRS]),
        as_json(
            {"retCode": 0, "result": {"category": "linear", "list": [
                {"symbol": "BTCUSDT", "fundingRate": r, "fundingRateTimestamp": t} for t, r in PAIRS[::-1]
            ]}}
        ),
        as_json(
            {"code": "0", "data": [
                {"instId": "BTC-USDT-SWAP", "fundingTime": t, "fundingRate": "0.9", "realizedRate": r}
                for t, r in PAIRS[::-1]
            ]}
        ),
        as_json([{"symbol": "BTC/USDT:USDT", "timestamp": int(t), "fundingRate": float(r)} for t, r in PAIRS]),  # ccxt
    ],
)  # fmt: skip
def test_settlements_of_every_known_layout_are_the_same_settlements(content):
    found = settlements_of_table(table_of(content, "x"), "x", "BTCUSDT")
    assert found["time"].astype(np.int64).tolist() == STAMPS.tolist()
    np.testing.assert_allclose(found["rate"], RATES, rtol=1e-12)
    assert np.isnan(found["mark"]).all()


def test_a_candle_that_okx_has_not_confirmed_is_left_out():
    newest = [*OKX[-1][:-1], "0"]
    bars = bars_of_table(table_of(as_json({"code": "0", "data": [newest, *OKX[-2::-1]]}), "x"), "x")
    assert bars.open_time.tolist() == HOURS[:-1].tolist()


BARS = pd.DataFrame(
    {"open_time": MS, "open": OPEN, "high": OPEN + 5.0, "low": OPEN - 5.0, "close": OPEN, "volume": 1.0}
)


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        (BARS.drop(columns="close"), {}, "no column close; it has open_time, open, high, low, volume. Pass"),
        (BARS.assign(time=MS + 60_000), {"mapping": {"open_time": "nowhere"}}, "no column nowhere"),
        (BARS, {"mapping": {"opentime": "open"}}, "no column of ours 'opentime'. Did you mean 'open_time'"),
        (
            BARS.rename(columns={"open_time": "time"}).assign(date=MS + 60_000),
            {},
            "'time' and 'date' are both times and differ",
        ),
        (
            BARS.rename(columns={"volume": "Vol. in USDT"}),
            {},
            "no column is known to hold the volume in coins; pass --column volume=... (of Vol. in USDT)",
        ),
        (BARS.assign(OPEN=1.0).rename(columns={"open": "Open"}), {}, "'Open' and 'OPEN' may both be open"),
        (BARS.assign(symbol="ETHUSDT"), {"symbol": "BTCUSDT"}, "has rows of ETHUSDT, and BTCUSDT was requested"),
        (BARS.set_axis(range(6), axis=1).iloc[:, :4], {}, "has no header, and 4 columns are of no known order"),
        (BARS.iloc[:0], {}, "has no rows"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_told_is_refused_with_what_it_has(table, options, words):
    with pytest.raises(ValueError, match=r"^(x|--column)") as error:
        bars_of_table(table, "x", **options)
    assert words in str(error.value)


def test_two_columns_of_the_same_times_are_no_question():
    table = BARS.rename(columns={"open_time": "unix"}).assign(date=[str(hour) for hour in HOURS])
    assert bars_of_table(table, "x").open_time.tolist() == HOURS.tolist()


@pytest.mark.parametrize(
    "written", ["BTCUSDT", "BTC/USDT:USDT", "BTC-USDT-SWAP", "BTC_USDT", "btcusdt", "BTC/USDT"]
)
def test_a_contract_is_one_word_however_a_venue_spells_it(written):
    assert contract_symbol(written) == "BTCUSDT"


def bybit(symbol):
    """Bybit's answer for candles: the contract stands next to the rows, which are lists."""
    return as_json({"retCode": 0, "result": {"symbol": symbol, "list": rows("1000.5")[::-1]}})


def test_an_answer_for_another_contract_is_refused_where_its_rows_are_lists():
    with pytest.raises(ValueError, match="has rows of ETHUSDT, and BTCUSDT was requested"):
        bars_of_table(table_of(bybit("ETHUSDT"), "x"), "x", "BTCUSDT")


def test_pages_of_an_answer_for_another_contract_are_refused():
    pages = f"[{bybit('BTCUSDT').decode()}, {bybit('ETHUSDT').decode()}]".encode()
    with pytest.raises(ValueError, match="has rows of ETHUSDT"):
        bars_of_table(table_of(pages, "x"), "x", "BTCUSDT")


def test_a_mark_that_okx_has_not_confirmed_is_left_out():
    marks = [[*row[:5], "0" if k == 0 else "1"] for k, row in enumerate(rows()[::-1])]  # the newest is open
    found = bars_of_table(table_of(as_json({"code": "0", "data": marks}), "x"), "x", kind="mark")
    assert found.open_time.tolist() == HOURS[:-1].tolist()


def test_the_sixth_column_of_freqtrades_marks_is_a_volume_of_zero():
    marks = as_json([[int(row[0]), *map(float, row[1:5]), 0.0] for row in rows()])
    assert bars_of_table(table_of(marks, "x"), "x", kind="mark").open_time.tolist() == HOURS.tolist()


@pytest.mark.parametrize("header", ["Date,Time,Open,High,Low,Close,Volume", ""])
def test_a_day_and_a_time_of_day_in_two_columns_are_one_moment(header):
    parts = [str(hour).replace("-", ".").replace("T", " ")[:16].split() for hour in HOURS]
    found = bars_of_table(
        table_of(csv(header, [[*at, *row] for at, row in zip(parts, TEXTS, strict=True)]), "x"), "x"
    )
    assert found.open_time.tolist() == HOURS.tolist()
    assert found.prices.tolist() == PRICES.tolist()


def test_of_t_and_capital_t_the_first_opens_the_bar():
    candles = [  # Hyperliquid
        {"t": int(row[0]), "T": int(row[0]) + 3_599_999, **dict(zip("ohlcv", row[1:], strict=True))}
        for row in rows()
    ]
    found = bars_of_table(table_of(as_json(candles), "x"), "x")
    assert (found.open_time.tolist(), found.volume.tolist()) == (HOURS.tolist(), VOLUME.tolist())


def test_a_table_of_closing_times_says_what_to_subtract():
    with pytest.raises(ValueError, match="'close_time' is the end of a bar: subtract the bar's length"):
        bars_of_table(table_of(csv("close_time,open,high,low,close,volume", rows()), "x"), "x")


def test_equal_settlements_count_once_and_others_are_refused():
    lines = [[str(t + 3), "0.0001"] for t in MS]
    found = settlements_of_table(table_of(csv("fundingTime,fundingRate", lines + lines), "x"), "x")
    assert found["time"].tolist() == HOURS.tolist()
    with pytest.raises(ValueError, match="2025-01-01 00:00 is repeated"):
        settlements_of_table(
            table_of(csv("fundingTime,fundingRate", [*lines, [str(MS[0]), "0.0002"]]), "x"), "x"
        )


@pytest.mark.parametrize("mark", ["0.00000000", "-5", "1e400"])
def test_a_settlement_at_no_price_is_refused_by_its_moment(mark):
    table = table_of(csv("fundingTime,fundingRate,markPrice", [[str(MS[0]), "0.0001", mark]]), "x")
    with pytest.raises(
        ValueError, match=r"x: mark at 2025-01-01 00:00 is .*; give the mark price, or an empty cell"
    ):
        settlements_of_table(table, "x")


@pytest.mark.parametrize("name", ["timestamp", "Open time"])
def test_row_numbers_that_pandas_writes_are_no_times(name):
    numbered = csv(f",{name},open,high,low,close,volume", [[str(k), *row] for k, row in enumerate(rows())])
    assert bars_of_table(table_of(numbered, "x"), "x").open_time.tolist() == HOURS.tolist()
