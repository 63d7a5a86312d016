import numpy as np
import pytest

from gearing.features import FeatureSet, feature
from gearing.features.feature import forget_feature, registered_features
from gearing.features.streaming.memory import once
from gearing.features.streaming.stepping import FeatureStream, one_bar
from gearing.market.synthetic.generators import synthetic_market

BARS = 150


def bar_of(market, k):
    row = market.rows(k, k + 1)
    return one_bar(market, open_time=row.open_time, settlements=row.settlements, **row.arrays())


def assert_the_stream_equals_the_table(market, columns):
    table, begun = FeatureSet(columns).compute(market), market.n_bars - BARS
    stream = FeatureStream([FeatureSet(columns)], market.rows(0, begun))
    np.testing.assert_array_equal(stream.rows[0], table.values[begun - 1])
    for k in range(begun, market.n_bars):
        found = stream.push(bar_of(market, k))[0]
        assert found.tobytes() == table.values[k].tobytes(), [
            name
            for name, one, other in zip(columns, found[0], table.values[k, 0], strict=True)
            if one != other
        ]


def columns_of(market):
    return [
        f.name
        for f in registered_features()
        if f.available(market) and f.lookback_bars(market.bar) < market.n_bars - BARS
    ]


def test_every_feature_bar_by_bar_equals_its_column_to_the_last_bit():
    market = synthetic_market("market-b", seed=11, years=1.2)
    assert len(columns_of(market)) > 100
    assert_the_stream_equals_the_table(market, columns_of(market))


def test_several_contracts_and_half_hours_equal_their_columns_too():
    market = synthetic_market("market-b", seed=3, years=0.2)
    pair = market.replace(
        contracts=(market.contracts[0], market.contracts[0]),
        last=np.concatenate([market.last, market.last[::-1]], axis=1),
        mark=np.concatenate([market.mark, market.mark[::-1]], axis=1),
        volume=np.concatenate([market.volume, market.volume[::-1]], axis=1),
        tradable=np.concatenate([market.tradable, market.tradable], axis=1),
        index=None,
        bar=np.timedelta64(30, "m"),
        open_time=market.open_time[0] + np.arange(market.n_bars) * np.timedelta64(30, "m"),
        settlements=market.settlements[:0],
    )
    assert_the_stream_equals_the_table(pair, columns_of(pair))


def test_a_feature_of_another_package_is_computed_on_its_whole_look_back():
    @feature(unit="x", lower=-10.0, upper=10.0, lookback="3bar", source="test", name="own_difference")
    def own_difference(market):
        found = np.zeros((market.n_bars, 1))
        found[3:] = (market.close[3:] - market.close[:-3]) / market.close[3:]  # which one row cannot give
        return found

    try:
        market = synthetic_market("market-b", seed=3, years=0.1)
        assert_the_stream_equals_the_table(market, ["own_difference", "log_return"])
    finally:
        forget_feature("own_difference")


def test_another_number_of_windows_at_a_bar_is_refused_and_not_computed_wrongly(monkeypatch):
    market = synthetic_market("market-b", seed=3, years=0.1)
    stream = FeatureStream([FeatureSet(["log_return", "trend_24h"])], market.rows(0, 500))
    monkeypatch.setattr(stream, "own", stream.own[:1])
    with pytest.raises(RuntimeError, match="windows were computed"):
        stream.push(bar_of(market, 500))


def test_what_features_share_is_computed_once_within_a_memory_and_always_outside():
    calls = []

    @once
    def shared(market):
        calls.append(market)
        return market

    assert shared(1) + shared(1) == 2
    assert len(calls) == 2
