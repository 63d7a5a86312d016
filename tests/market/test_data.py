import copy
import dataclasses
import pickle

import numpy as np
import pandas as pd
import pytest

from gearing.contracts import Contract, TierSchedule
from gearing.market import SETTLEMENT_DTYPE, MarketData

HOUR = np.timedelta64(3_600_000, "ms")
TIERS = (TierSchedule.flat(0.005, 100),)


def make(n_bars=48, symbols=("AAA", "BBB"), start="2024-01-01", **changes):
    """A market whose close is 100, 101, ... in the first contract and ten times that in the second."""
    close = 100.0 + np.arange(n_bars)[:, None] * np.ones(len(symbols)) * 10.0 ** np.arange(len(symbols))
    opened = close - 0.5
    prices = np.stack([opened, close + 1.0, opened - 1.0, close], axis=-1)
    open_time = np.datetime64(start, "ms") + HOUR * np.arange(n_bars)
    settled = np.arange(0, n_bars, 8)
    settlements = np.array(
        [(open_time[k], c, 1e-4 * (c + 1), np.nan) for k in settled for c in range(len(symbols))],
        dtype=SETTLEMENT_DTYPE,
    )
    values = {
        "open_time": open_time,
        "bar": HOUR,
        "contracts": tuple(Contract(s, schedules=TIERS) for s in symbols),
        "last": prices,
        "mark": prices,
        "volume": np.ones((n_bars, len(symbols))),
        "settlements": settlements,
        "tradable": np.ones((n_bars, len(symbols)), bool),
    }
    return MarketData(**(values | changes))


def test_views_name_the_four_prices_of_a_bar():
    market = make()
    assert market.open[0, 0] == 99.5
    assert market.high[0, 0] == 101.0
    assert market.low[0, 0] == 98.5
    assert market.mark_close[1, 1] == 110.0


def test_a_bar_is_known_one_bar_after_it_opens():
    market = make()
    assert market.close_time[0] == np.datetime64("2024-01-01T01:00")


def test_arrays_cannot_be_written_and_the_callers_array_stays_its_own():
    volume = np.ones((48, 2))
    market = make(volume=volume)
    with pytest.raises(ValueError, match="read-only"):
        market.volume[0, 0] = 5.0
    volume[0, 0] = 7.0
    assert market.volume[0, 0] == 1.0


def test_copying_returns_the_same_object_and_pickling_an_equal_immutable_one():
    market = make()
    assert copy.copy(market) is market
    assert copy.deepcopy(market) is market
    again = pickle.loads(pickle.dumps(market))
    assert again.fingerprint == market.fingerprint
    assert not again.last.flags.writeable


def test_between_is_half_open_and_cuts_settlements_with_the_bars():
    part = make().between("2024-01-01T08:00", "2024-01-01T16:00")
    assert part.n_bars == 8
    assert part.open_time[0] == np.datetime64("2024-01-01T08:00")
    # 08:00 belongs to the part, 16:00 to the next one; two contracts
    assert part.settlements["time"].tolist() == [pd.Timestamp("2024-01-01T08:00").to_pydatetime()] * 2


def test_split_parts_hold_every_bar_and_every_settlement_once():
    market = make()
    parts = market.split("2024-01-01T05:00", "2024-01-02")
    np.testing.assert_array_equal(np.concatenate([p.open_time for p in parts]), market.open_time)
    settlements = np.concatenate([p.settlements for p in parts])
    assert settlements.tobytes() == market.settlements.tobytes()
    assert [p.n_bars for p in parts] == [5, 19, 24]


def test_select_reorders_contracts_and_their_settlements():
    market = make().select(["BBB", "AAA"])
    assert market.symbols == ("BBB", "AAA")
    assert market.close[1].tolist() == [110.0, 101.0]
    assert market.settlements["rate"][:2].tolist() == [2e-4, 1e-4]


def test_truth_is_cut_with_the_bars_and_constants_stay():
    market = make(truth={"drift": np.arange(48.0)[:, None] * [1, 2], "parameters": np.array("{}")})
    part = market.between("2024-01-01T03:00").select("BBB")
    assert part.truth["drift"][0].tolist() == [6.0]
    assert part.truth["parameters"] == "{}"


def test_the_fingerprint_is_of_values_not_of_names():
    assert make().fingerprint == make(name="other", notes=("x",)).fingerprint
    changed = make()
    prices = changed.last.copy()
    prices[3, 0, 3] += 1e-9
    assert make(last=prices).fingerprint != changed.fingerprint
    assert changed.between("2024-01-01T01:00").fingerprint != changed.fingerprint
    assert len(changed.fingerprint) == 64


def test_the_fingerprint_does_not_tell_copies_of_nan_or_zero_apart():
    rows = make().settlements.copy()
    rows["mark"] = np.float64(np.frombuffer(np.uint64(0xFFF8000000000001).tobytes())[0])
    rows["rate"][0] = 0.0
    other = rows.copy()
    other["mark"], other["rate"][0] = np.nan, -0.0
    assert make(settlements=rows).fingerprint == make(settlements=other).fingerprint


def _broken(row, field, value):
    prices = make().last.copy()
    prices[row, 1, field] = value
    return {"last": prices}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (_broken(3, 3, np.nan), "last of BBB: close at 2024-01-01 03:00 is nan"),
        (_broken(3, 0, -1.0), "last of BBB: open at 2024-01-01 03:00 is -1.0"),
        (_broken(3, 1, 1.0), "break low <= open, close <= high"),
        ({"open_time": make().open_time[[0, 0, *range(2, 48)]]}, "is repeated"),
        ({"open_time": make().open_time[[1, 0, *range(2, 48)]]}, "Sort the rows"),
        (
            {"open_time": make(60).open_time[[*range(10), *range(20, 58)]]},
            "10 bar\\(s\\) of 1h missing between",
        ),
        ({"open_time": make().open_time + np.timedelta64(90_000, "ms")}, "does not open on a multiple"),
        ({"volume": np.full((48, 2), -1.0)}, "volume of AAA: -1.0"),
        ({"volume": np.ones((48, 3))}, r"shape \(48, 3\), expected \(48, 2\)"),
        ({"settlements": make().settlements[::-1]}, "sorted by"),
        ({"truth": {"drift": np.full(48, np.nan)}}, "truth 'drift'"),
    ],
)
def test_a_broken_market_is_refused_with_series_stamp_rule_and_value(changes, words):
    with pytest.raises(ValueError, match=words):
        make(**changes)


def test_prices_are_absent_where_a_contract_is_not_tradable():
    prices, tradable = make().last.copy(), np.ones((48, 2), bool)
    prices[:10, 1], tradable[:10, 1] = np.nan, False
    market = make(last=prices, mark=prices, tradable=tradable)
    assert np.isnan(market.close[9, 1])


def test_a_rate_in_percent_is_refused():
    rows = make().settlements.copy()
    rows["rate"][2] = 1.5
    with pytest.raises(ValueError, match="rates are fractions"):
        make(settlements=rows)


def test_finer_bars_must_divide_and_are_cut_with_the_bars():
    fine = make(192)
    market = make()
    quarter = dataclasses.replace(
        market,
        open_time=np.datetime64("2024-01-01", "ms") + HOUR / 4 * np.arange(192),
        bar=HOUR / 4,
        settlements=np.empty(0, SETTLEMENT_DTYPE),
        **{name: getattr(fine, name) for name in ("last", "mark", "volume", "tradable")},
    )
    both = market.with_finer(quarter)
    assert both.between("2024-01-01T02:00", "2024-01-01T04:00").finer.n_bars == 8
    assert both.fingerprint != market.fingerprint
    with pytest.raises(ValueError, match="do not divide"):
        market.with_finer(market)


def test_an_empty_span_is_refused():
    with pytest.raises(ValueError, match="no bar of"):
        make().between("2030-01-01")


def test_an_unknown_contract_is_refused():
    with pytest.raises(ValueError, match="no contract 'CCC'"):
        make().select("CCC")


def test_the_market_prints_on_one_line():
    assert repr(make()) == (
        "MarketData(AAA, BBB; 48 bars of 1h, 2024-01-01 00:00 to 2024-01-03 00:00 UTC, 12 settlements)"
    )
