"""A trader's two accounts differ in timing only, and majorities are counted with their weeks."""

import numpy as np
import pandas as pd
import pytest

import gearing
from gearing.policies import make_rule
from gearing.questions.advice_to_traders import better_for_most, scaled_to_mean, trader_outcomes
from gearing.questions.rule_grid.play import table_of


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=0.8)


def test_a_fixed_rule_ties_with_fixed_leverage_for_every_trader(market):
    rules = {"fixed_4x": make_rule("fixed_4x")}
    found = trader_outcomes(market, table_of(market, rules, []), rules, appetites=(2.0,), horizon="90d")
    np.testing.assert_allclose(found.dynamic, found.fixed, rtol=1e-12)
    assert better_for_most(found).loc["fixed_4x", "tied"] == 1.0


def test_a_traders_account_is_a_backtest_from_that_day(market):
    rules = {"inverse_atr": make_rule("inverse_atr")}
    table = table_of(market, rules, [])
    found = trader_outcomes(
        market, table, rules, appetites=(2.0,), directions=("short",), horizon="90d", margin_share=0.5
    )
    trader = found[found.start == 3].iloc[0]
    first = gearing.backtest(make_rule("fixed_2x"), market, table, direction="short", margin_share=0.5)
    day = first.time[3 * 7]
    alone = gearing.backtest(
        make_rule("fixed_2x"), market.between(None, day + np.timedelta64(90, "D")), ["log_return"],
        direction="short", margin_share=0.5, start=str(day),
    )  # fmt: skip
    assert trader.fixed == pytest.approx(alone.equity[-1] / alone.equity[0], rel=1e-9)


def test_the_mean_of_a_scaled_stretch_is_the_appetite_and_no_leverage_exceeds_the_cap():
    sizes = np.array([1.0, 1.0, 1.0, 40.0, 1.0, 2.0])[:, None]
    played = scaled_to_mean(sizes, np.array([0, 1]), 5, 5.0, 10.0)
    np.testing.assert_allclose(played.mean(axis=(1, 2)), 5.0, rtol=1e-3)
    assert played.max() <= 10.0


def outcomes(dynamic, fixed, ruined=False):
    n = len(dynamic)
    return pd.DataFrame(
        {"rule": "r", "start": np.arange(n), "dynamic": dynamic, "fixed": fixed, "dynamic_ruined": ruined,
         "fixed_ruined": ruined}
    )  # fmt: skip


def test_a_clear_majority_is_named_and_ties_do_not_count():
    won = better_for_most(outcomes([2.0] * 400 + [1.0] * 20, [1.0] * 420)).loc["r"]
    assert won.better == 1.0
    assert won.tied == pytest.approx(20 / 420)
    assert won.verdict == "most are better off"
    lost = better_for_most(outcomes([0.5] * 400, [1.0] * 400)).loc["r"]
    assert lost.verdict == "most are worse off"


def test_two_ruined_accounts_are_a_tie_whatever_is_left_of_them():
    found = better_for_most(outcomes([0.04] * 50, [0.01] * 50, ruined=True)).loc["r"]
    assert found.tied == 1.0
    assert found.verdict == "nearly all end alike"


def test_halves_that_come_in_long_stretches_show_nothing():
    stretch = [2.0] * 120 + [0.5] * 120
    assert better_for_most(outcomes(stretch, [1.0] * 240)).loc["r", "verdict"] == "not shown"
