"""A policy is given the columns it declares: features, forecasts of volatility and of touches, and nothing more."""

import numpy as np
import pytest

import gearing
from gearing.evaluation import columns
from gearing.forecasters import Schedule, forecast_volatility_column
from gearing.policies.rules import ExcursionBudget, FixedLeverage, VolatilityTarget


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=2.2)


def test_a_backtest_makes_the_forecast_that_a_rule_reads(market):
    found = gearing.backtest(VolatilityTarget(), market)
    table = gearing.FeatureSet(["log_return"]).compute(market)
    table = forecast_volatility_column(market, "har_dow", "24h").join(table)
    np.testing.assert_array_equal(found.equity, gearing.backtest(VolatilityTarget(), market, table).equity)


def test_how_it_is_forecast_can_be_given(market):
    early = {"forecaster": "har", "horizon": "24h", "schedule": Schedule("120d")}
    found = gearing.backtest(VolatilityTarget(), market, forecast=early)
    assert found.time[0] < gearing.backtest(VolatilityTarget(), market).time[0]
    with pytest.raises(ValueError, match="forecast_volatility"):
        gearing.backtest(VolatilityTarget(), market, forecast=None)


def test_a_backtest_makes_the_touch_probabilities_that_a_rule_reads(market):
    found = gearing.backtest(ExcursionBudget(), market)
    assert (found.target > 0.0).any()


def test_a_policy_that_reads_no_forecast_costs_none(market, monkeypatch):
    def never(*given, **named):
        raise AssertionError("a forecast was made that nobody reads")

    monkeypatch.setattr("gearing.forecasters.forecast_volatility_column", never)
    monkeypatch.setattr("gearing.evaluation.columns.join_excursions", never)
    made = columns.policy_table(FixedLeverage(2.0), market, None, gearing.SimulationConfig())
    assert made.columns == ("log_return",)
