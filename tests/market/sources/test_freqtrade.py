import gzip
import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from gearing.market import load_market, synthetic_market
from gearing.market.sources.freqtrade import import_freqtrade, trades_signal

NAMES = ["open", "high", "low", "close"]
HOUR = 3_600_000
PAIR = "BTC/USDT:USDT"


@pytest.fixture(scope="module")
def market():
    return synthetic_market("market-b", seed=3, years=30 / 365, contracts=("BTCUSDT",))


def candles(market, prices):
    frame = pd.DataFrame(prices[:, 0], columns=NAMES)
    frame.insert(0, "date", pd.DatetimeIndex(market.open_time).tz_localize("UTC"))
    return frame.assign(volume=market.volume[:, 0])


def rates(market):
    times = pd.DatetimeIndex(market.settlements["time"]).tz_localize("UTC")
    zero = dict.fromkeys(["high", "low", "close", "volume"], 0.0)
    return pd.DataFrame({"date": times, "open": market.settlements["rate"], **zero})


def write(frame, home, name, kind="feather"):
    """As freqtrade writes its tables."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / f"{name}.{kind}"
    if kind in ("feather", "parquet"):
        getattr(frame, f"to_{kind}")(path)
        return
    stamps = frame["date"].dt.tz_localize(None).to_numpy().astype("datetime64[ms]").astype(np.int64)
    text = json.dumps(frame.assign(date=stamps).to_numpy().tolist()).encode()
    path.write_bytes(gzip.compress(text) if kind == "json.gz" else text)


@pytest.fixture(params=["feather", "parquet", "json", "json.gz"])
def freqtrade(request, tmp_path, market):
    """What freqtrade keeps in user_data/data/binance/futures."""
    home = tmp_path / "user_data" / "data" / "binance" / "futures"
    write(candles(market, market.last), home, "BTC_USDT_USDT-1h-futures", request.param)
    write(candles(market, market.mark), home, "BTC_USDT_USDT-1h-mark", request.param)
    write(rates(market), home, "BTC_USDT_USDT-8h-funding_rate", request.param)
    return home.parent


def test_freqtrades_files_load_as_the_market_they_hold(freqtrade, tmp_path, market):
    report = import_freqtrade(freqtrade, tmp_path / "data")
    assert report.written == tuple(f"binance-um/BTCUSDT/{n}.parquet" for n in ("1h", "mark-1h", "funding"))
    loaded = load_market(tmp_path / "data", "BTCUSDT", missing_tiers="earliest")
    np.testing.assert_array_equal(loaded.last, market.last)
    np.testing.assert_array_equal(loaded.mark, market.mark)
    np.testing.assert_array_equal(loaded.settlements["rate"], market.settlements["rate"])


def test_only_the_requested_pairs_are_imported(tmp_path, market):
    home = tmp_path / "binance"
    write(candles(market, market.last), home, "BTC_USDT_USDT-1h-futures")
    assert len(import_freqtrade(home, tmp_path / "data", pairs=[PAIR]).written) == 1
    with pytest.raises(ValueError, match="no freqtrade futures files"):
        import_freqtrade(home, tmp_path / "data", pairs=["ETH/USDT:USDT"])


def test_an_older_funding_file_does_not_replace_the_present_one(tmp_path, market):
    home = tmp_path / "binance" / "futures"
    write(rates(market)[:20], home, "BTC_USDT_USDT-8h-funding_rate")
    write(rates(market), home, "BTC_USDT_USDT-1h-funding_rate")
    import_freqtrade(home, tmp_path / "data")
    stored = pd.read_parquet(tmp_path / "data/binance-um/BTCUSDT/funding.parquet")
    assert stored["rate"].tolist() == market.settlements["rate"].tolist()


def test_funding_files_that_disagree_are_both_named_and_nothing_is_written(tmp_path, market):
    home = tmp_path / "binance" / "futures"
    write(rates(market).assign(open=0.5), home, "BTC_USDT_USDT-8h-funding_rate")
    write(rates(market), home, "BTC_USDT_USDT-1h-funding_rate")
    report = import_freqtrade(home, tmp_path / "data")
    (why,) = report.failed.values()
    assert "1h-funding_rate.feather" in why
    assert "8h-funding_rate.feather disagrees with" in why
    assert report.exit_code == 1
    assert not list(tmp_path.glob("data/**/*.parquet"))


def test_each_exchange_has_its_own_folder(tmp_path, market):
    root = tmp_path / "user_data" / "data"
    for k, exchange in enumerate(("binance", "okx", "bybit", "hyperliquid")):
        write(
            candles(market, market.last * (1.0 + k)), root / exchange / "futures", "BTC_USDT_USDT-1h-futures"
        )
    written = import_freqtrade(root, tmp_path / "data").written
    venues = ("binance-um", "bybit-linear", "hyperliquid", "okx-swap")
    assert written == tuple(f"{venue}/BTCUSDT/1h.parquet" for venue in venues)
    close = pd.read_parquet(tmp_path / "data/okx-swap/BTCUSDT/1h.parquet")["close"][0]
    assert close == 2.0 * market.close[0, 0]


def test_an_exchange_without_a_venue_here_has_to_be_told_which_one_it_is(tmp_path, market):
    home = tmp_path / "mine" / "futures"
    write(candles(market, market.last), home, "BTC_USDT_USDT-1h-futures")
    with pytest.raises(ValueError, match="linear contracts of 'mine' have no venue here; give --venue"):
        import_freqtrade(home, tmp_path / "data")
    for name in ("okx-swap", "okx"):  # the folder, and the venue's profile
        written = import_freqtrade(home, tmp_path / "data", venue=name).written
        assert written == ("okx-swap/BTCUSDT/1h.parquet",)
    with pytest.raises(ValueError, match="no venue 'kraken'"):
        import_freqtrade(home, tmp_path / "data", venue="kraken")
    write(candles(market, market.last), tmp_path / "okx", "BTC_USDT_USDT-1h-futures")
    with pytest.raises(ValueError, match="whose venue is okx-swap; --venue says binance-um"):
        import_freqtrade(tmp_path / "okx", tmp_path / "data", venue="binance-um")


def test_contracts_settled_in_the_coin_go_to_the_venue_of_inverse_contracts(tmp_path, market):
    write(candles(market, market.last), tmp_path / "binance", "BTC_USD_BTC-1h-futures")
    assert import_freqtrade(tmp_path, tmp_path / "data").written == ("binance-coinm/BTCUSD/1h.parquet",)
    write(candles(market, market.last), tmp_path / "bybit", "BTC_USD_BTC-1h-futures")
    with pytest.raises(ValueError, match="inverse contracts of 'bybit' have no venue here"):
        import_freqtrade(tmp_path / "bybit", tmp_path / "data")
    with pytest.raises(ValueError, match="an inverse contract, and the contracts of bybit-linear are linear"):
        import_freqtrade(tmp_path / "bybit", tmp_path / "data", venue="bybit")


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_imported(tmp_path, market):
    home = tmp_path / "binance" / "futures"
    write(candles(market, market.last), home, "BTC_USDT_USDT-1h-futures")
    (home / "AVAX_USDT_USDT-8h-funding_rate.feather").write_bytes(b"")
    (home / "ADA_USDT_USDT-1h-futures.feather").write_bytes(b"ARROW1 and no more")
    (home / "XRP_USDT_USDT-1Mo-futures.feather").write_bytes(b"")
    write(candles(market, market.last), home.parent, "BTC_USDT-1h")  # spot
    report = import_freqtrade(home.parent, tmp_path / "data")
    assert report.written == ("binance-um/BTCUSDT/1h.parquet",)
    assert [name.rsplit("/", 1)[1].split("_")[0] for name in report.failed] == ["ADA", "AVAX", "XRP"]
    assert all(name in why for name, why in report.failed.items())
    assert [name.rsplit("/", 1)[1] for name in report.skipped] == ["BTC_USDT-1h.feather"]
    assert report.exit_code == 1


def trade(market, first, last, pair=PAIR, **more):
    start = int(market.open_time[0].astype(np.int64))
    return {
        "pair": pair,
        "open_timestamp": start + first * HOUR,
        "close_timestamp": start + last * HOUR,
        **more,
    }


def result(tmp_path, trades):
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"strategy": {"Mine": {"trades": trades}}}))
    return path


def test_trades_become_a_signal_known_at_the_closes(tmp_path, market):
    trades = [
        trade(market, 5, 8), trade(market, 8, 9, is_short=True), trade(market, 0, 99, pair="ETH/USDT:USDT"),
    ]  # fmt: skip
    signal = trades_signal(result(tmp_path, trades), market, PAIR)
    # opened at 05:00, the close of bar 4; closed at 08:00, the close of bar 7, where the short opens
    assert signal[:10].tolist() == [0, 0, 0, 0, 1, 1, 1, -1, 0, 0]


def test_trades_are_read_from_the_zip_that_freqtrade_exports(tmp_path, market):
    name = "backtest-result-2025-06-01_00-00-00"
    with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
        archive.writestr(f"{name}.json", result(tmp_path, [trade(market, 5, 8)]).read_text())
        archive.writestr(f"{name}_config.json", "{}")
        archive.writestr(f"{name}_market_change.feather", b"")
    assert trades_signal(tmp_path / f"{name}.zip", market, PAIR)[:9].tolist() == [0, 0, 0, 0, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"open_timestamp": None}, "trade 1: open_timestamp: the time is empty"),
        ({"close_timestamp": 0}, "trade 1: close_timestamp: 0 is not a date"),
        ({"open_timestamp": 4_000_000_000_000}, "closes at .* before it opens"),
        ({"is_short": "yes"}, "is_short is 'yes'"),
        ({"pair": "BTC/USDT"}, "no trades of 'BTC/USDT:USDT'. Did you mean 'BTC/USDT'"),
    ],
)
def test_trades_that_cannot_be_placed_are_refused(tmp_path, market, change, words):
    with pytest.raises(ValueError, match=words):
        trades_signal(result(tmp_path, [{**trade(market, 5, 8), **change}]), market, PAIR)


@pytest.mark.parametrize("content", ["[]", "{}", '{"strategy": 1}', '{"strategy": {"Mine": {}}}', "nothing"])
def test_a_file_that_is_no_result_is_named(tmp_path, market, content):
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(ValueError, match=r"result.json"):
        trades_signal(tmp_path / "result.json", market, PAIR)


def test_a_long_and_a_short_at_the_same_time_are_no_signal(tmp_path, market):
    trades = [trade(market, 5, 8), trade(market, 6, 9, is_short=True)]
    with pytest.raises(ValueError, match="overlap"):
        trades_signal(result(tmp_path, trades), market, PAIR)


@pytest.mark.parametrize("bar", ["1M", "1Mo"])
def test_bars_of_months_are_refused_as_such(tmp_path, bar):
    path = tmp_path / "data" / "binance" / "futures" / f"BTC_USDT_USDT-{bar}-futures.json"
    path.parent.mkdir(parents=True)
    path.write_text("[[1735689600000, 1, 1, 1, 1, 1]]")
    with pytest.raises(ValueError, match="months differ in length"):
        import_freqtrade(tmp_path / "data", tmp_path / "out")
