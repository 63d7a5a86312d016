import numpy as np
import pytest
from tests.features.markets import HOUR, random_market

from gearing.features import FeatureSet


@pytest.fixture(scope="module")
def market():
    return random_market(2_400)


@pytest.fixture(scope="module")
def table(market):
    return FeatureSet(["log_return", "realized_volatility_24h"]).compute(market)


def test_the_default_set_computes_and_starts_at_its_longest_lookback(market):
    chosen = FeatureSet.default()
    table = chosen.compute(market)
    assert table.values.dtype == np.float32
    assert table.columns == chosen.columns
    assert table.first_complete == chosen.lookback(market.bar) - 1
    assert sum(table.saturated.values()) == 0
    assert FeatureSet(list(chosen.columns)) == chosen


def test_row_k_is_what_is_known_at_the_close_of_bar_k(market, table):
    close = market.close[:, 0]
    assert table.column("log_return")[10, 0] == pytest.approx(np.log(close[10] / close[9]), rel=1e-5)
    assert table.close_time[10] == market.open_time[10] + HOUR


def test_values_beyond_the_bounds_are_moved_onto_them_and_counted(table):
    values = np.zeros(2_400)
    values[5], values[7] = 9.0, -9.0
    joined = table.join("signal", values, lower=-1.0, upper=1.0)
    assert joined.saturated["signal"] == 4  # two values, two contracts
    assert joined.column("signal")[[5, 7], 1].tolist() == [1.0, -1.0]
    assert "signal" not in table.columns


def test_a_missing_value_after_the_warm_up_names_column_and_stamp(table):
    values = np.zeros(2_400)
    values[100] = np.nan
    with pytest.raises(ValueError, match=r"'signal' of C0 is missing at 2023-01-06T04"):
        _ = table.join("signal", values, lower=-1.0, upper=1.0).first_complete


def test_a_forecast_fitted_past_its_row_is_refused(table):
    stamps = table.close_time.copy()
    ok = table.join("forecast", np.ones(2_400), lower=0.0, upper=2.0, fitted_until=stamps)
    assert (ok.fitted_until["forecast"][:, 0] == stamps).all()
    stamps[50] += HOUR
    with pytest.raises(ValueError, match="out of sample"):
        table.join("forecast", np.ones(2_400), lower=0.0, upper=2.0, fitted_until=stamps)


def test_a_table_can_be_cut_by_column_and_by_time(table):
    part = table.select(["realized_volatility_24h"]).between("2023-01-10", "2023-01-11")
    assert part.values.shape == (24, 2, 1)
    assert part.open_time[0] == np.datetime64("2023-01-10T00:00")


def test_a_market_shorter_than_the_lookback_names_the_column():
    with pytest.raises(ValueError, match="volatility_percentile_90d"):
        FeatureSet.default().compute(random_market(100))


def test_unlisted_contracts_have_no_values_and_ended_ones_stay_finite():
    from dataclasses import replace

    whole = random_market(200)
    tradable = whole.tradable.copy()
    tradable[:50, 1], tradable[150:, 1] = False, False
    last, mark = whole.last.copy(), whole.mark.copy()
    last[~tradable], mark[~tradable] = np.nan, np.nan
    market = replace(whole, last=last, mark=mark, tradable=tradable, index=None)
    column = FeatureSet(["realized_volatility_24h"]).compute(market).column("realized_volatility_24h")
    assert np.isnan(column[:74, 1]).all()
    assert np.isfinite(column[74:, 1]).all()  # 24 returns from bar 51 on
    assert (column[150:, 1] == 0.0).all()


def test_the_specification_lists_every_column():
    spec = FeatureSet.default().spec_table()
    assert list(spec.index) == list(FeatureSet.default().columns)
    assert {"unit", "lower", "upper", "lookback", "source"} <= set(spec.columns)
