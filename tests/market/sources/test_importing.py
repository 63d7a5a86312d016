import numpy as np
import pandas as pd
import pytest

from gearing.market import load_market, synthetic_market
from gearing.market.sources.importing import import_table

NAMES = ["open", "high", "low", "close"]


@pytest.fixture(scope="module")
def market():
    return synthetic_market("market-b", seed=3, years=30 / 365, contracts=("BTCUSDT",))


def table(market, prices, time_name):
    frame = pd.DataFrame(prices[:, 0], columns=NAMES)
    frame.insert(0, time_name, pd.DatetimeIndex(market.open_time).tz_localize("UTC"))
    return frame.assign(volume=market.volume[:, 0])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "text"])
def test_tables_with_other_names_and_stamps_are_mapped(tmp_path, market, unit):
    frame = table(market, market.last, "when").rename(columns={"close": "last", "volume": "amount"})
    if unit != "text":
        frame["when"] = market.open_time.astype(f"datetime64[{unit}]").astype(np.int64)
    frame.to_csv(tmp_path / "bars.csv", index=False)
    mapping = {"open_time": "when", "close": "last", "volume": "amount"}
    report = import_table(tmp_path / "bars.csv", tmp_path / "data", "BTCUSDT", mapping=mapping)
    assert report.written == ("binance-um/BTCUSDT/1h.parquet",)
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


HOURS = np.arange("2025-01-01", "2025-01-04", dtype="datetime64[h]").astype("datetime64[ms]")


def bars(first=0, last=72, close=100.0):
    """Hourly bars of constant prices; ``close`` of all but the first bar's open."""
    time = HOURS[first:last]
    prices = {"open": close, "high": close + 1.0, "low": close - 1.0, "close": close, "volume": 2.0}
    return pd.DataFrame({"open_time": time, **prices})


def imported(tmp_path, frame, name="x.csv", **more):
    frame.to_csv(tmp_path / name, index=False)
    return import_table(tmp_path / name, tmp_path / "data", "BTCUSDT", **more)


def stored(tmp_path, name="1h"):
    return pd.read_parquet(tmp_path / "data" / "binance-um" / "BTCUSDT" / f"{name}.parquet")


def test_an_import_adds_to_what_the_folder_holds(tmp_path):
    imported(tmp_path, bars(0, 40))
    imported(tmp_path, bars(30, 72))  # ten common hours agree
    assert len(stored(tmp_path)) == 72
    imported(tmp_path, bars(30, 72))
    assert len(stored(tmp_path)) == 72


def test_rows_that_disagree_are_refused_with_the_first_of_them_until_one_side_is_chosen(tmp_path):
    imported(tmp_path, bars(0, 40))
    words = r"x.csv disagrees with .*1h.parquet in 10 of 10 common rows, first at 2025-01-02 06:00 UTC: open 101.0"
    with pytest.raises(ValueError, match=words):
        imported(tmp_path, bars(30, 72, close=101.0))
    assert len(stored(tmp_path)) == 40  # unchanged
    imported(tmp_path, bars(30, 72, close=101.0), replace=True)
    assert stored(tmp_path)["close"].tolist() == [100.0] * 30 + [101.0] * 42


def test_several_files_are_one_import_where_they_agree(tmp_path):
    for name, part in (("a.csv", bars(40, 72)), ("b.csv", bars(0, 45))):
        part.to_csv(tmp_path / name, index=False)
    import_table([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "data", "BTCUSDT")
    assert len(stored(tmp_path)) == 72


def test_rows_in_another_order_are_sorted_and_equal_ones_counted_once(tmp_path):
    twice = pd.concat([bars(), bars(10, 20)])[::-1]
    report = imported(tmp_path, twice)
    assert "10 rows repeat others" in report.notes[0]
    assert (stored(tmp_path)["open_time"].dt.tz_localize(None).to_numpy() == HOURS).all()
    with pytest.raises(ValueError, match="2025-01-01 10:00 is repeated with other values"):
        imported(tmp_path, pd.concat([bars(), bars(10, 20, close=101.0)]))


def test_a_bar_that_has_not_closed_is_left_out_and_more_of_them_are_refused(tmp_path):
    now = np.datetime64("now", "h").astype("datetime64[ms]")
    running = bars().assign(open_time=now - np.arange(72)[::-1] * np.timedelta64(1, "h"))
    report = imported(tmp_path, running)
    assert "has not closed yet; left out" in report.notes[0]
    assert len(stored(tmp_path)) == 71
    with pytest.raises(ValueError, match=r"have not closed yet. Is open_time in UTC"):
        imported(tmp_path, running.assign(open_time=running["open_time"] + np.timedelta64(2, "h")))


def test_the_length_of_bars_is_their_usual_step_and_a_given_one_has_to_fit(tmp_path):
    assert imported(tmp_path, bars()[::4]).written == ("binance-um/BTCUSDT/4h.parquet",)
    with pytest.raises(ValueError, match="the bars are 4h apart, and 1h are expected"):
        imported(tmp_path, bars()[::4], bar="1h")
    with pytest.raises(ValueError, match="fewer than two bars do not define their length"):
        imported(tmp_path, bars()[:1])


def test_missing_bars_are_reported(tmp_path):
    report = imported(tmp_path, bars().drop(index=[7, 8]))
    (note,) = report.notes
    assert note.startswith(
        "binance-um/BTCUSDT/1h.parquet: 2 bars are missing, the first at 2025-01-01 07:00;"
    )


def test_impossible_values_are_refused_by_file_and_moment(tmp_path):
    for change, words in (
        ({"volume": -1.0}, "volume at 2025-01-01 00:00 is -1.0"),
        ({"close": np.inf}, "close at 2025-01-01 00:00 is inf"),
        ({"open": np.nan}, "open at 2025-01-01 00:00 is nan"),
        ({"close": "abc"}, "close, line 2: 'abc' is not a number"),
    ):
        with pytest.raises(ValueError, match=words):
            imported(tmp_path, bars().assign(**change))


def test_funding_is_joined_and_a_wrong_rate_refused(tmp_path):
    rates = pd.DataFrame(
        {"calc_time": HOURS[::8].astype(np.int64) + 3, "hours": 8, "last_funding_rate": 1e-4}
    )
    imported(tmp_path, rates[:5], kind="funding")
    imported(tmp_path, rates[3:], kind="funding")
    assert (stored(tmp_path, "funding")["time"].dt.tz_localize(None).to_numpy() == HOURS[::8]).all()
    with pytest.raises(ValueError, match=r"rate 0.0002, there 0.0001"):
        imported(tmp_path, rates.assign(last_funding_rate=2e-4), kind="funding")
    with pytest.raises(ValueError, match="rates are fractions"):
        imported(tmp_path, rates.assign(last_funding_rate=1.5), kind="funding")


@pytest.mark.parametrize("symbol", ["../../esc", "", "a/b", ".."])
def test_a_contract_is_a_plain_name(tmp_path, symbol):
    bars().to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(ValueError, match="cannot name a file or a folder"):
        import_table(tmp_path / "x.csv", tmp_path / "data", symbol)


def test_repeated_settlements_are_counted_in_a_note(tmp_path):
    rates = pd.DataFrame({"time": HOURS[::8].astype(np.int64), "rate": 1e-4})
    report = imported(tmp_path, pd.concat([rates, rates[:2]]), kind="funding")
    assert report.notes[0].endswith("x.csv: 2 rows repeat others; counted once")
