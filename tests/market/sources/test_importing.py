import json

import numpy as np
import pandas as pd
import pytest

from gearing.market import load_market, synthetic_market
from gearing.market.sources.importing import import_freqtrade, import_table, trades_signal

NAMES = ["open", "high", "low", "close"]


@pytest.fixture(scope="module")
def market():
    return synthetic_market("market-b", seed=3, years=30 / 365, contracts=("BTCUSDT",))


def table(market, prices, time_name):
    frame = pd.DataFrame(prices[:, 0], columns=NAMES)
    frame.insert(0, time_name, pd.DatetimeIndex(market.open_time).tz_localize("UTC"))
    return frame.assign(volume=market.volume[:, 0])


@pytest.fixture
def freqtrade(tmp_path, market):
    """What freqtrade keeps in user_data/data/binance/futures."""
    home = tmp_path / "user_data" / "futures"
    home.mkdir(parents=True)
    table(market, market.last, "date").to_feather(home / "BTC_USDT_USDT-1h-futures.feather")
    table(market, market.mark, "date").to_feather(home / "BTC_USDT_USDT-1h-mark.feather")
    times = pd.DatetimeIndex(market.settlements["time"]).tz_localize("UTC")
    rates = pd.DataFrame(
        {"date": times, "open": market.settlements["rate"], "high": 0.0, "low": 0.0, "close": 0.0}
    )
    rates.assign(volume=0.0).to_feather(home / "BTC_USDT_USDT-8h-funding_rate.feather")
    return home.parent


def test_freqtrades_files_load_as_the_market_they_hold(freqtrade, tmp_path, market):
    written = import_freqtrade(freqtrade, tmp_path / "data")
    assert written == [f"binance-um/BTCUSDT/{n}.parquet" for n in ("1h", "mark-1h", "funding")]
    loaded = load_market(tmp_path / "data", "BTCUSDT", missing_tiers="earliest")
    np.testing.assert_array_equal(loaded.last, market.last)
    np.testing.assert_array_equal(loaded.mark, market.mark)
    np.testing.assert_array_equal(loaded.settlements["rate"], market.settlements["rate"])


def test_only_the_requested_pairs_are_imported(freqtrade, tmp_path):
    assert len(import_freqtrade(freqtrade, tmp_path / "data", pairs=["BTC/USDT:USDT"])) == 3
    with pytest.raises(ValueError, match="no freqtrade futures files"):
        import_freqtrade(freqtrade, tmp_path / "data", pairs=["ETH/USDT:USDT"])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "text"])
def test_tables_with_other_names_and_stamps_are_mapped(tmp_path, market, unit):
    frame = table(market, market.last, "when").rename(columns={"close": "last", "volume": "amount"})
    if unit != "text":
        frame["when"] = market.open_time.astype(f"datetime64[{unit}]").astype(np.int64)
    frame.to_csv(tmp_path / "bars.csv", index=False)
    mapping = {"open_time": "when", "close": "last", "volume": "amount"}
    name = import_table(tmp_path / "bars.csv", tmp_path / "data", "BTCUSDT", mapping=mapping)
    assert name == "binance-um/BTCUSDT/1h.parquet"
    loaded = load_market(
        tmp_path / "data", "BTCUSDT", missing_mark="last", missing_funding="zero", missing_tiers="earliest"
    )
    np.testing.assert_allclose(loaded.last, market.last, rtol=1e-12)


def test_parquet_funding_is_imported(tmp_path, market):
    frame = pd.DataFrame({"t": market.settlements["time"], "r": market.settlements["rate"]})
    frame.to_parquet(tmp_path / "f.parquet")
    mapping = {"time": "t", "rate": "r"}
    import_table(tmp_path / "f.parquet", tmp_path / "data", "BTCUSDT", kind="funding", mapping=mapping)
    stored = pd.read_parquet(tmp_path / "data" / "binance-um" / "BTCUSDT" / "funding.parquet")
    np.testing.assert_array_equal(stored["rate"], market.settlements["rate"])


def test_trades_become_a_signal_known_at_the_closes(tmp_path, market):
    hour = 3_600_000
    start = int(market.open_time[0].astype(np.int64))
    trades = [
        {"pair": "BTC/USDT:USDT", "open_timestamp": start + 5 * hour, "close_timestamp": start + 8 * hour},
        {
            "pair": "BTC/USDT:USDT",
            "open_timestamp": start + 8 * hour,
            "close_timestamp": start + 9 * hour,
            "is_short": True,
        },
        {"pair": "ETH/USDT:USDT", "open_timestamp": start, "close_timestamp": start + 99 * hour},
    ]
    (tmp_path / "result.json").write_text(json.dumps({"strategy": {"Mine": {"trades": trades}}}))
    signal = trades_signal(tmp_path / "result.json", market, "BTC/USDT:USDT")
    # opened at 05:00, the close of bar 4; closed at 08:00, the close of bar 7, where the short opens
    assert signal[:10].tolist() == [0, 0, 0, 0, 1, 1, 1, -1, 0, 0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mapping": {"open_time": "nowhere"}}, "no column nowhere"),
        ({"kind": "trades"}, "kind is 'last'"),
        ({"bar": "4h"}, "off the grid of 4h bars"),
    ],
)
def test_wrong_imports_are_refused_by_name(tmp_path, market, change, words):
    table(market, market.last, "open_time").to_parquet(tmp_path / "x.parquet")
    with pytest.raises(ValueError, match=words):
        import_table(tmp_path / "x.parquet", tmp_path / "data", "BTCUSDT", **change)
    assert not list((tmp_path).glob("data/**/*.parquet"))
