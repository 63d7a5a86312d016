"""Other worlds change what they say, and matched leverage, shifts and regimes add up."""

import numpy as np
import pytest

import gearing
from gearing.evaluation.accounts import play_sizes, simulator_like
from gearing.evaluation.comparisons.placebo import circular_shifts
from gearing.evaluation.comparisons.scenarios import (
    capacity,
    counterfactuals,
    late,
    stress_grid,
    with_funding,
    with_maintenance,
    with_one_tier,
)
from gearing.evaluation.reports.report import growth_by_regime
from gearing.policies.rules import FixedLeverage, VolatilityWeighted

SETTINGS = {"margin_share": 0.2, "max_leverage": 20.0}


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=1)


@pytest.fixture(scope="module")
def result(market):
    return gearing.backtest(VolatilityWeighted(3.0, 12.0), market, **SETTINGS)


def test_accounts_side_by_side_are_the_backtest(market, result):
    accounts = play_sizes(simulator_like(result, market, None, 3), result.target[None])
    for path in accounts.equity:
        np.testing.assert_array_equal(path, result.equity)
    assert accounts.growth[0] == result.performance.log_growth
    assert accounts.leverage[0] == pytest.approx(np.abs(result.leverage).mean())
    assert accounts.liquidations[0] == result.steps.liquidations.sum()


def test_shifting_a_constant_leverage_changes_nothing(market):
    fixed = gearing.backtest(FixedLeverage(4.0), market, **SETTINGS)
    placebo = circular_shifts(fixed, market, shifts=20)
    np.testing.assert_allclose(placebo.shifted, placebo.growth)
    assert placebo.p_value == 1.0


def test_the_unshifted_series_is_the_policy_itself(market, result):
    placebo = circular_shifts(result, market, shifts=50, seed=1)
    assert placebo.growth == pytest.approx(result.performance.log_growth, abs=1e-12)
    assert placebo.shifted.std() > 0.0
    assert placebo.interval[0] < placebo.interval[1]


def test_a_shift_leaves_the_side_where_it_was(market):
    settings = {**SETTINGS, "direction": "signal:momentum_long_7d"}
    result = gearing.backtest(VolatilityWeighted(3.0, 12.0), market, **settings)
    placebo = circular_shifts(result, market, shifts=20)
    assert placebo.growth == pytest.approx(result.performance.log_growth, abs=1e-9)


def test_an_oracle_of_the_next_day_beats_its_shifts(market):
    # the next day's return, known: what a placebo test must find
    day = np.roll(market.close[::24, 0], -1) / market.close[::24, 0] - 1.0
    ahead = np.repeat(np.where(day > 0.0, 0.9, 0.05), 24)[: market.n_bars]
    table = gearing.FeatureSet(["log_return"]).compute(market)
    # row 23 of a day is known at its close, when the next day begins
    table = table.join("ahead", np.roll(ahead, -1), lower=0.0, upper=1.0)

    class Oracle:
        required_columns = ("ahead",)
        action_scheme = "target"

        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return 3.0 * observation["ahead"].astype(float), state

    played = gearing.backtest(Oracle(), market, table, margin_share=0.5)
    assert circular_shifts(played, market, shifts=100).p_value == pytest.approx(1 / 101)


def test_the_stress_grid_names_what_it_changes(market):
    rows = stress_grid(VolatilityWeighted(), market, **SETTINGS)
    assert len(rows) == 1 + 12 + 3 + 1 + 1 + 1
    fee = rows.log_growth.filter(like="slippage 2 bp")
    assert fee.is_monotonic_decreasing  # the dearer the worse
    assert rows.loc["fee 5 bp, slippage 2 bp", "change"] == pytest.approx(0.0, abs=1e-12)  # as it is
    assert rows.loc["maintenance x 2", "liquidations"] >= rows.loc["as is", "liquidations"]
    assert rows.loc["funding x 0", "funding"] == 0.0


def test_laxer_rules_cost_no_growth(market):
    rows = counterfactuals(FixedLeverage(15.0), market, **SETTINGS)
    assert rows.loc["no slippage", "change"] > 0.0
    assert rows.loc["no fees", "change"] > 0.0
    assert rows.loc["liquidated at closes only", "liquidations"] <= rows.loc["as is", "liquidations"]
    assert rows.loc["all of these", "log_growth"] > rows.loc["as is", "log_growth"]


def test_a_larger_account_pays_more_to_trade(market):
    rows = capacity(VolatilityWeighted(), market, equities=(1e4, 1e8), **SETTINGS)
    assert rows.log_growth.iloc[1] < rows.log_growth.iloc[0]
    assert list(rows.index) == ["10,000", "100,000,000"]


def test_worlds_change_only_what_they_name(market):
    assert (with_funding(market, 2.0).settlements["rate"] == 2.0 * market.settlements["rate"]).all()
    tier = market.contracts[0].schedules[0].tiers[0]
    assert with_maintenance(market, 2.0).contracts[0].schedules[0].tiers[0].rate == pytest.approx(
        2.0 * tier.rate
    )
    assert len(with_one_tier(market).contracts[0].schedules[0].tiers) == 1
    table = gearing.FeatureSet(["log_return"]).compute(market)
    np.testing.assert_array_equal(late(table).values[2:], table.values[1:-1])


def test_regimes_partition_time_and_growth(market, result):
    rows = growth_by_regime(result, market)
    assert rows.time.sum() == pytest.approx(1.0)
    assert rows.contribution.sum() == pytest.approx(result.performance.log_growth, rel=1e-9)
    assert (rows.time * rows.growth).sum() == pytest.approx(result.performance.log_growth, rel=1e-9)
    assert rows.liquidations.sum() == result.steps.liquidations.sum()
