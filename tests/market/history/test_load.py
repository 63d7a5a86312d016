import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gearing.market import load_market, synthetic_market
from gearing.market.history.layout import bar_file, read_bars, read_funding
from gearing.market.history.series import Bars, missing_settlements
from gearing.market.history.writing import write_bars, write_funding, write_market

HOUR = np.timedelta64(3_600_000, "ms")
BRACKETS = [
    {
        "min_notional": 0,
        "max_notional": 1e6,
        "max_leverage": 50,
        "maintenance_margin_rate": 0.01,
        "maintenance_amount": 0.0,
    }
]


@pytest.fixture
def market():
    return synthetic_market("market-b", seed=1, years=60 / 365, contracts=("AAAUSDT", "BBBUSDT"))


@pytest.fixture
def folder(tmp_path, market):
    """Two contracts with sixty days of hours from 2020-01-01, tiers dated the day before."""
    write_market(market, tmp_path)
    history = {"2019-12-31": {"AAAUSDT": BRACKETS, "BBBUSDT": BRACKETS}}
    (tmp_path / "brackets-history.json").write_text(json.dumps(history))
    return tmp_path


def edit(folder, symbol, kind, change, bar=HOUR):
    """Rewrite a bar file after ``change`` chose or altered its rows."""
    path = bar_file(folder / "binance-um" / symbol, kind, bar)
    bars = read_bars(path)
    time, prices, volume = change(bars.open_time.copy(), bars.prices.copy(), bars.volume)
    write_bars(path, Bars(time, prices, volume, ""), "test")


def drop(first, last):
    def change(time, prices, volume):
        keep = np.ones(time.size, bool)
        keep[first:last] = False
        return time[keep], prices[keep], None if volume is None else volume[keep]

    return change


def load(folder, symbols="AAAUSDT", **options):
    return load_market(folder, symbols, **options)


def test_what_was_written_comes_back(folder, market):
    loaded = load(folder, ("AAAUSDT", "BBBUSDT"))
    np.testing.assert_array_equal(loaded.last, market.last)
    np.testing.assert_array_equal(loaded.mark, market.mark)
    np.testing.assert_array_equal(loaded.index, market.index)
    assert loaded.settlements.tobytes() == market.settlements.tobytes()
    assert loaded.tradable.all()


def test_two_loads_have_the_same_fingerprint(folder):
    assert load(folder).fingerprint == load(folder, start="2020-01-01", end="2020-03-01").fingerprint


def test_the_folder_can_come_from_the_environment(folder, monkeypatch):
    monkeypatch.setenv("GEARING_DATA", str(folder))
    assert load_market(symbols="AAAUSDT").n_bars == 60 * 24
    monkeypatch.delenv("GEARING_DATA")
    with pytest.raises(ValueError, match="GEARING_DATA"):
        load_market(symbols="AAAUSDT")


def test_without_a_span_the_longest_complete_one_is_taken_and_noted(folder):
    edit(folder, "AAAUSDT", "last", drop(100, 103))
    edit(folder, "BBBUSDT", "mark", drop(1400, 1440))
    both = load(folder, ("AAAUSDT", "BBBUSDT"))
    # from hour 103 (day 4, 07:00) to hour 1400 (day 58, 08:00)
    assert both.notes[0] == "longest complete span: 2020-01-05 07:00 to 2020-02-28 08:00 UTC"
    assert both.n_bars == 1400 - 103


def test_a_hole_in_the_requested_span_is_refused_with_its_place_and_length(folder):
    edit(folder, "AAAUSDT", "last", drop(100, 103))
    with pytest.raises(
        ValueError, match=r"3 bar\(s\) of 1h missing from 2020-01-05 04:00 to 2020-01-05 06:00"
    ):
        load(folder, start="2020-01-02", end="2020-02-01")


def test_a_missing_mark_is_refused_or_replaced_by_the_traded_price(folder):
    edit(folder, "AAAUSDT", "mark", drop(0, 48))
    with pytest.raises(ValueError, match=r'no mark price .* 2020-01-01 00:00 to 2020-01-03 00:00 .*"last"'):
        load(folder, start="2020-01-01", end="2020-02-01")
    market = load(folder, start="2020-01-01", end="2020-02-01", missing_mark="last")
    np.testing.assert_array_equal(market.mark[:48], market.last[:48])
    assert (market.mark[48:] != market.last[48:]).any()
    assert "traded price replaces the mark price in 48 of 744 bars" in " ".join(market.notes)


def test_missing_settlements_are_refused_or_taken_as_zero(folder):
    path = folder / "binance-um" / "AAAUSDT" / "funding.parquet"
    rows = read_funding(path)
    write_funding(path, np.delete(rows, [30, 31, 32]), "test")
    with pytest.raises(ValueError, match=r"from 2020-01-11 00:00 to 2020-01-11 16:00 \(3 settlements"):
        load(folder, start="2020-01-01", end="2020-02-01")
    market = load(folder, start="2020-01-01", end="2020-02-01", missing_funding="zero")
    assert market.settlements.size == 31 * 3 - 3
    assert "AAAUSDT: 3 missing settlements count as zero" in market.notes


def test_bars_before_the_oldest_tiers_are_refused_or_use_the_earliest(folder):
    (folder / "brackets-history.json").write_text(json.dumps({"2020-01-15": {"AAAUSDT": BRACKETS}}))
    with pytest.raises(ValueError, match="oldest margin tiers are of 2020-01-15"):
        load(folder, start="2020-01-01", end="2020-02-01")
    early = load(folder, start="2020-01-01", end="2020-02-01", missing_tiers="earliest")
    assert "margin tiers of 2020-01-15 are used for all earlier bars" in " ".join(early.notes)
    assert load(folder).open_time[0] == np.datetime64("2020-01-15")


def test_undated_tiers_are_noted(folder):
    (folder / "brackets-history.json").unlink()
    (folder / "brackets.json").write_text(json.dumps({"AAAUSDT": BRACKETS}))
    assert "margin tiers are not dated" in " ".join(load(folder).notes)


def test_a_contract_without_tiers_is_refused(folder):
    (folder / "brackets-history.json").unlink()
    with pytest.raises(ValueError, match="no margin tiers of AAAUSDT"):
        load(folder)


def test_a_contract_listed_later_is_not_tradable_before(folder):
    edit(folder, "BBBUSDT", "last", drop(0, 240))
    market = load(folder, ("AAAUSDT", "BBBUSDT"), start="2020-01-01", end="2020-02-01")
    assert market.tradable[:240, 1].sum() == 0
    assert market.tradable[240:, 1].all()
    assert np.isnan(market.close[239, 1])


def test_longer_bars_are_built_from_hours(folder, market):
    daily = load(folder, bar="1d")
    assert daily.n_bars == 60
    assert daily.high[3, 0] == market.high[72:96, 0].max()
    assert daily.volume[3, 0] == pytest.approx(market.volume[72:96, 0].sum())


def test_mark_bars_longer_than_the_bar_count_as_missing(folder):
    home = folder / "binance-um" / "AAAUSDT"
    hours = read_bars(home / "mark-1h.parquet")
    write_bars(home / "mark-8h.parquet", hours.grouped(HOUR, 8 * HOUR), "test")
    (home / "mark-1h.parquet").unlink()
    with pytest.raises(ValueError, match="no mark price"):
        load(folder, start="2020-01-01", end="2020-02-01")
    assert load(folder, bar="8h").n_bars == 180


def test_finer_bars_with_gaps_lie_beneath_and_stay_within_the_mark(folder, market):
    home = folder / "binance-um" / "AAAUSDT"
    hours = read_bars(home / "1h.parquet")
    for kind in ("", "mark-"):
        bars = read_bars(home / f"{kind}1h.parquet")
        write_bars(home / f"{kind}8h.parquet", bars.grouped(HOUR, 8 * HOUR), "test")
    keep = np.ones(hours.open_time.size, bool)
    keep[10:12] = False  # the second bar of eight hours loses part of its path
    write_bars(home / "1h.parquet", Bars(hours.open_time[keep], hours.prices[keep], None, ""), "test")
    (home / "mark-1h.parquet").unlink()
    coarse = load(folder, bar="8h", finer="1h", missing_mark="last")
    finer = coarse.finer
    assert finer.tradable[:8, 0].all()
    assert not finer.tradable[8:16, 0].any()
    high = np.repeat(coarse.mark_high[:, 0], 8)
    live = finer.tradable[:, 0]
    assert (finer.mark_high[live, 0] <= high[live]).all()
    with pytest.raises(ValueError, match="no mark bars of 1h"):
        load(folder, bar="8h", finer="1h")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda t, p, v: (t, np.where(np.arange(t.size)[:, None] == 5, np.nan, p), v),
            "open at 2020-01-01 05:00",
        ),
        (lambda t, p, v: (t[::-1], p, v), "sort by time"),
        (lambda t, p, v: (np.where(t == t[5], t[4], t), p, v), "2020-01-01 04:00 is repeated"),
        (lambda t, p, v: (t + np.timedelta64(60_000, "ms"), p, v), "off the grid of 1h bars"),
        (lambda t, p, v: (t, p[:, [0, 2, 1, 3]], v), "break low <= open, close <= high"),
    ],
)
def test_a_broken_file_is_refused_by_name_stamp_and_rule(folder, change, words):
    edit(folder, "AAAUSDT", "last", change)
    with pytest.raises(ValueError, match=f"1h.parquet.*{words}"):
        load(folder)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"symbols": "AAAUSD"}, "Did you mean 'AAAUSDT'"),
        ({"venue": "okx-swap"}, "has no venue 'okx-swap'"),
        ({"bar": "1x"}, "is not a duration"),
        ({"bar": "5m"}, "no traded bars that divide 5m; stored: 1h"),
        ({"start": "2019-01-01", "end": "2020-01-05"}, "bars reach from 2020-01-01"),
        ({"start": "yesterday"}, "is not a date"),
        ({"missing_mark": "zero"}, "missing_mark is 'error' or 'last'"),
    ],
)
def test_wrong_requests_are_refused_with_what_to_do(folder, options, words):
    with pytest.raises(ValueError, match=words):
        load(folder, **options)


def test_a_file_without_a_column_says_which(folder):
    path = folder / "binance-um" / "AAAUSDT" / "1h.parquet"
    pq.write_table(pa.table({"open_time": pa.array([0], pa.timestamp("ms")), "open": [1.0]}), path)
    with pytest.raises(ValueError, match="no column high, low, close"):
        load(folder)


def test_implied_volatility_is_known_a_day_after_its_stamp(folder):
    days = np.arange("2020-01-01", "2020-01-20", dtype="datetime64[D]").astype("datetime64[ms]")
    (folder / "dvol").mkdir()
    table = {"time": pa.array(days, pa.timestamp("ms")), "dvol": np.arange(days.size) + 50.0}
    pq.write_table(pa.table(table), folder / "dvol" / "AAA-1d.parquet")
    market = load(folder)
    column = market.implied_volatility[:, 0]
    assert np.isnan(column[22])  # closes at 23:00 of the first day
    assert column[23] == 0.50  # closes at 00:00 of the second: the first day's value
    assert column[24 + 22] == 0.50
    assert np.isnan(column[-1])  # the last value is stale


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (["00", "08", "16"], []),
        (["00", "16"], ["08"]),
        (["08", "16"], ["00"]),
        (["00"], ["08", "16"]),
        (["00", "04", "08", "10", "16"], []),  # a venue in stress settles more often
        ([], ["00", "08", "16"]),
    ],
)
def test_due_settlements_follow_the_usual_interval(times, expected):
    def stamps(hours):
        return np.array([f"2024-01-01T{h}:00" for h in hours], "datetime64[ms]")

    start, end = np.datetime64("2024-01-01", "ms"), np.datetime64("2024-01-02", "ms")
    np.testing.assert_array_equal(missing_settlements(stamps(times), start, end, 8 * HOUR), stamps(expected))


@pytest.mark.slow
def test_the_whole_real_history_loads(real_history):
    for home in sorted((real_history / "binance-um").iterdir()):
        options = {"missing_mark": "last", "missing_funding": "zero", "missing_tiers": "earliest"}
        market = load_market(real_history, home.name, **options)
        assert market.n_bars > 13_000, home.name
    assert load_market(real_history, ("BTCUSDT", "ETHUSDT", "ADAUSDT")).tradable.all()


def test_a_market_is_added_to_a_folder_and_other_values_are_refused(folder, market):
    write_market(market.between("2020-01-10", "2020-01-20"), folder)  # which it has already
    assert load(folder).n_bars == 60 * 24
    other = synthetic_market("market-b", seed=2, years=60 / 365, contracts=("AAAUSDT", "BBBUSDT"))
    with pytest.raises(
        ValueError, match=r"the market's last of AAAUSDT disagrees with .*1h\.parquet in .*replace=True"
    ):
        write_market(other, folder)
    np.testing.assert_array_equal(load(folder).last[:, 0], market.last[:, 0])
    write_market(other, folder, replace=True)
    np.testing.assert_array_equal(load(folder).last[:, 0], other.last[:, 0])


def test_tiers_of_a_pair_are_refused_instead_of_not_being_found(folder):
    (folder / "brackets-history.json").unlink()
    (folder / "brackets.json").write_text(json.dumps({"AAA/USDT:USDT": BRACKETS}))  # as ccxt writes them
    with pytest.raises(
        ValueError, match=r"brackets.json: the key 'AAA/USDT:USDT' is a pair; name contracts like"
    ):
        load(folder)


def test_a_day_of_tiers_that_is_written_in_two_ways_is_refused(folder):
    days = {"2019-12-31": {"AAAUSDT": BRACKETS}, "2019-12-31T00:00": {"AAAUSDT": BRACKETS}}
    (folder / "brackets-history.json").write_text(json.dumps(days))
    with pytest.raises(ValueError, match="2019-12-31T00:00: another key is the same day"):
        load(folder)


def test_all_contracts_of_a_folder_trade_while_they_have_bars(folder):
    edit(folder, "AAAUSDT", "last", drop(0, 240))  # listed ten days later
    edit(folder, "BBBUSDT", "last", drop(1200, 1440))  # ends ten days earlier
    (folder / "binance-um" / "EMPTYUSDT").mkdir()
    found = load(folder, "all", missing_mark="last", missing_funding="zero")
    assert found.symbols == ("AAAUSDT", "BBBUSDT")
    assert found.n_bars == 1440
    np.testing.assert_array_equal(found.tradable[:, 0], np.arange(1440) >= 240)
    np.testing.assert_array_equal(found.tradable[:, 1], np.arange(1440) < 1200)
    part = load(folder, ["all"], start="2020-01-03", missing_mark="last", missing_funding="zero")
    assert part.open_time[0] == np.datetime64("2020-01-03")


def test_missing_funding_takes_the_median_of_the_contracts_that_settle_then(folder):
    for symbol, rates in (("AAAUSDT", (1e-4, 2e-4, 3e-4)), ("BBBUSDT", (5e-4,))):
        path = folder / "binance-um" / symbol / "funding.parquet"
        rows = read_funding(path)[: len(rates)]
        rows["rate"] = rates
        write_funding(path, rows, "test")
    options = {"missing_mark": "last", "missing_funding": "median"}
    both = load(folder, ["AAAUSDT", "BBBUSDT"], start="2020-01-01", end="2020-02-01", **options)
    rates = {(str(one["time"])[:13], int(one["contract"])): one["rate"] for one in both.settlements}
    second, third = sorted({time for time, _ in rates})[1:3]
    # B's second and third settlement are missing: the median of A's one rate; nobody settles after the third
    assert (rates[second, 1], rates[third, 1]) == (2e-4, 3e-4)
    assert len(rates) == 6
    assert any("BBBUSDT" in note and "median rate of the other contracts" in note for note in both.notes)


def test_all_contracts_of_an_empty_folder_are_refused(tmp_path):
    (tmp_path / "binance-um").mkdir()
    with pytest.raises(ValueError, match="no contract with traded bars"):
        load(tmp_path, "all")
