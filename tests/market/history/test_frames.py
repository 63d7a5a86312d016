import numpy as np
import pandas as pd
import pytest

from gearing.contracts import Contract, TierSchedule
from gearing.market import MarketData, synthetic_market
from gearing.market.history.layout import read_tiers

CONTRACT = Contract("OWN", schedules=(TierSchedule.flat(0.01),))


def frame(hours=72, **changes):
    close = 100.0 + np.arange(hours)
    table = pd.DataFrame(
        {
            "open_time": pd.date_range("2024-01-01", periods=hours, freq="h"),
            "open": close - 0.5,
            "high": close + 1.0,
            "low": close - 1.0,
            "close": close,
            "volume": 1.0,
        }
    )
    return table.assign(**changes)


def funding(hours=72):
    return pd.DataFrame({"time": pd.date_range("2024-01-01", periods=hours // 8, freq="8h"), "rate": 1e-4})


def build(last=None, mark="same", rates="all", **options):
    last = frame() if last is None else last
    mark = last if isinstance(mark, str) else mark
    rates = funding() if isinstance(rates, str) else rates
    return MarketData.from_frames(last, mark=mark, funding=rates, contract=CONTRACT, **options)


def test_tables_become_a_market_with_the_usual_step_as_bar():
    market = build()
    assert market.bar == np.timedelta64(1, "h")
    assert market.close[5, 0] == 105.0
    assert market.settlements["rate"].tolist() == [1e-4] * 9


def test_a_time_index_with_a_zone_is_read_as_utc():
    local = frame().set_index("open_time").tz_localize("UTC").tz_convert("Asia/Tokyo")
    assert build(last=local).open_time[0] == np.datetime64("2024-01-01T00:00")


def test_rows_in_any_order_are_the_same_market():
    orders = frame().iloc[::-1], frame().sample(frac=1.0, random_state=0)
    for last in orders:
        again = build(last=last, rates=funding().iloc[::-1])
        assert again.fingerprint == build().fingerprint


@pytest.mark.parametrize("per_second", [1, 1_000, 1_000_000, 1_000_000_000])
def test_integers_are_seconds_to_nanoseconds_by_their_size(per_second):
    def numbered(table, column):
        seconds = table[column].to_numpy().astype("datetime64[s]").astype(np.int64)
        return table.assign(**{column: seconds * per_second})

    again = build(last=numbered(frame(), "open_time"), rates=numbered(funding(), "time"))
    assert again.fingerprint == build().fingerprint


def test_settlements_with_milliseconds_of_jitter_belong_to_their_minute():
    late = funding().assign(time=funding()["time"] + pd.Timedelta("7ms"))
    assert build(rates=late).fingerprint == build().fingerprint


@pytest.mark.parametrize("given", [None, [1, 2], {"a": 1}])
def test_what_is_no_table_is_refused_by_its_type(given):
    with pytest.raises(TypeError, match=r"last of OWN is .*; give a pandas DataFrame"):
        MarketData.from_frames({"OWN": given}, contract=CONTRACT)


def test_a_known_symbol_brings_its_own_tiers():
    market = MarketData.from_frames(frame(), contract="BTCUSDT", missing_mark="last", missing_funding="zero")
    assert market.contracts[0].top_leverage == 150
    assert str(market.contracts[0].schedule_at(market.open_time[0]).as_of) == "2023-07-18"
    assert not any("earlier bars" in note for note in market.notes)  # which are of 2024


def test_a_mapping_of_tables_gives_several_contracts():
    tables = {"BTCUSDT": frame(), "ETHUSDT": frame(48)}
    market = MarketData.from_frames(
        tables, mark=tables, funding={k: funding() for k in tables}, start="2024-01-01", end="2024-01-04"
    )
    assert market.symbols == ("BTCUSDT", "ETHUSDT")
    assert market.tradable[:, 1].sum() == 48


def test_the_same_values_give_the_same_fingerprint_by_any_way():
    market = synthetic_market("market-b", seed=0, years=0.02)
    table = pd.DataFrame(market.last[:, 0], columns=["open", "high", "low", "close"])
    table = table.assign(open_time=market.open_time, volume=market.volume[:, 0])
    marks = pd.DataFrame(market.mark[:, 0], columns=["open", "high", "low", "close"]).assign(
        open_time=market.open_time
    )
    rates = pd.DataFrame({name: market.settlements[name] for name in ("time", "rate", "mark")})
    again = MarketData.from_frames(table, mark=marks, funding=rates, contract=market.contracts[0])
    assert again.fingerprint == market.replace(index=None, truth=None).fingerprint


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: build(mark=None), "OWN has no mark price"),
        (lambda: build(rates=None), "OWN has no funding rate from 2024-01-01 00:00"),
        (
            lambda: build(last=frame(close=np.nan)),
            "from_frames: last of OWN: close at 2024-01-01 00:00 is nan",
        ),
        (lambda: build(last=frame().drop(columns="low")), "no column low"),
        (lambda: build(last=pd.concat([frame(), frame(3)])), "2024-01-01 00:00 is repeated"),
        (
            lambda: build(rates=pd.concat([funding(), funding(8)])),
            "funding of OWN: 2024-01-01 00:00 is repeated",
        ),
        (lambda: build(last=frame().iloc[:1]), "pass bar='1h'"),
        (lambda: build(start="2024-01-01", last=frame().drop(index=[3, 4])), r"2 bar\(s\) of 1h missing"),
        (lambda: MarketData.from_frames(frame()), "one table needs contract="),
        (lambda: MarketData.from_frames({"XYZ": frame()}), "margin tiers of XYZ are not known. Pass"),
        (lambda: MarketData.from_frames({"btcusdt": frame()}), "Did you mean 'BTCUSDT'"),
        (lambda: MarketData.from_frames({}), "an empty mapping; give a table for each symbol"),
        (lambda: build(last=frame().iloc[:0]), "last of OWN: has no rows"),
        (lambda: build(mark=frame().iloc[::4]), "mark of OWN: the bars are 4h apart, and 1h are expected"),
        (lambda: build(rates=funding().assign(rate=np.nan)), "funding of OWN: rate at"),
        (lambda: build(last=frame().assign(volume=-1.0)), "zero or positive"),
    ],
)
def test_a_broken_table_is_refused_by_name_stamp_and_rule(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT"])
def test_tables_and_the_data_folder_have_the_same_tiers_on_every_day(symbol, real_history):
    tables = MarketData.from_frames(frame(), contract=symbol, missing_mark="last", missing_funding="zero")
    stored, _ = read_tiers(real_history, "binance-um", symbol)
    assert [(s.as_of, s.tiers) for s in tables.contracts[0].schedules] == [(s.as_of, s.tiers) for s in stored]


def test_contracts_whose_bars_are_longer_than_the_first_ones_are_refused():
    tables = {"BTCUSDT": frame(), "ETHUSDT": frame()[::2]}
    with pytest.raises(ValueError, match="last of ETHUSDT: the bars are 2h apart, and 1h are expected"):
        MarketData.from_frames(tables, mark=tables, missing_funding="zero")


@pytest.mark.parametrize("value", [50.0, -0.5, np.inf])
def test_an_implied_volatility_that_is_no_fraction_is_refused_by_contract_and_moment(value):
    published = pd.Series(value, index=frame()["open_time"])
    with pytest.raises(ValueError, match=r"implied volatility of OWN at 2024-01-01 00:00 is .*0.5 for 50 %"):
        build(implied_volatility=published)
