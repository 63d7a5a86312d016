"""The families of rules: every formula on numbers worked out by hand."""

import json

import numpy as np
import pytest
import yaml
from tests.policies.test_rules import answer

from gearing.exchange.records import margin_tier_dtype, records
from gearing.exchange.rules import liquidation_price
from gearing.policies import describe_rule, make_rule, rule_names
from gearing.policies.rules import (
    Condition,
    DrawdownControlled,
    DynamicATR,
    DynamicBollinger,
    ExcursionBudget,
    InverseATR,
    InverseVariance,
    Kelly,
    PortfolioVolatilityTarget,
    RiskParity,
    Scaled,
    funding_cost,
    trend_confirmation,
)
from gearing.policies.rules.excursion_budget import leverage_of_size


def test_inverse_variance_quarters_where_volatility_doubles():
    rule = InverseVariance(base=4.0, usual=0.5, max_leverage=10.0)
    leverage = answer(rule, forecast_volatility=(0.5, 1.0, 0.1))
    np.testing.assert_allclose(leverage, [4.0, 1.0, 10.0], rtol=1e-6)


def test_inverse_atr_loses_its_risk_over_its_multiple():
    # 0.2 / (5 x 0.01) = 4
    assert answer(InverseATR(0.2, 5.0), atr_24h=(0.01,))[0] == pytest.approx(4.0, rel=1e-6)


def test_dynamic_atr_halves_where_the_range_doubles():
    leverage = answer(DynamicATR(4.0, 1.5, 8.0), atr_24h=(0.01, 0.02, 0.1), atr_14d=(0.01, 0.01, 0.01))
    np.testing.assert_allclose(leverage, [4.0, 2.0, 1.5], rtol=1e-6)


def test_dynamic_bollinger_falls_with_the_width_and_outside_the_bands():
    rule = DynamicBollinger(low=2.0, high=8.0, narrow=0.1, wide=0.3)
    leverage = answer(
        rule, bollinger_width_20d=(0.05, 0.2, 0.5, 0.05), bollinger_position_20d=(0.0, 0.0, 0.0, 1.2)
    )
    np.testing.assert_allclose(leverage, [8.0, 5.0, 2.0, 2.0], rtol=1e-6)


def test_conditions_multiply():
    rule = Scaled(base=6.0, conditions=(trend_confirmation(full=0.03, against=0.4), funding_cost()))
    # confirmed and cheap: 6; contradicted: 6 x 0.4; confirmed but dear: 6 x 0.25; no trend: 6 x 0.7
    columns = {"trend_7d": (0.05, -0.05, 0.05, 0.0), "funding_carry_7d": (0.1, 0.1, 0.8, 0.0)}
    leverage = answer(rule, effective_leverage=(0, 0, 0, 0), **columns)
    np.testing.assert_allclose(leverage, [6.0, 2.4, 1.5, 4.2], rtol=1e-6)


def test_a_signed_condition_takes_the_side_of_the_signal():
    rule = Scaled(base=1.0, conditions=(trend_confirmation(),), side_column="momentum_side_30d")
    columns = {"trend_7d": (-0.05, -0.05), "momentum_side_30d": (-1.0, 1.0)}
    np.testing.assert_allclose(answer(rule, effective_leverage=(0, 0), **columns), [1.0, 0.4])


@pytest.mark.parametrize(
    ("at", "factor", "message"),
    [
        ((0.0,), (1.0,), "at least two"),
        ((1.0, 0.0), (1.0, 1.0), "ascending"),
        ((0.0, 1.0), (1.0, -1.0), "negative"),
    ],
)
def test_a_condition_that_says_nothing_is_refused(at, factor, message):
    with pytest.raises(ValueError, match=message):
        Condition("trend_7d", at, factor)


def kelly_columns(ninety_days, volatility, funding=0.0):
    return {
        "momentum_90d": (ninety_days,), "realized_volatility_30d": (volatility,), "funding_carry_7d": (funding,)
    }  # fmt: skip


def test_kelly_is_excess_drift_over_variance_once_the_drift_is_trusted():
    rule = Kelly(fraction=0.5, prior_spread=1e6, max_leverage=50.0)
    # 0.09 in 90 of 365 days: 0.365 a year + half of 0.25; less 0.115 of funding; half of it over 0.25
    leverage = answer(rule, **kelly_columns(0.09, 0.5, 0.115))
    assert leverage[0] == pytest.approx(0.5 * (0.365 + 0.125 - 0.115) / 0.25, rel=1e-4)


def test_kelly_falls_back_to_its_prior_where_the_window_says_nothing():
    rule = Kelly(fraction=1.0, prior=0.2, prior_spread=1e-6)
    assert answer(rule, **kelly_columns(0.5, 0.5))[0] == pytest.approx(0.8, rel=1e-5)  # 0.2 / 0.25


def test_kelly_has_no_position_against_its_side_and_a_signed_one_if_requested():
    falling = kelly_columns(-0.5, 0.5)
    assert answer(Kelly(), **falling)[0] == 0.0
    assert answer(Kelly(side=-1), **falling)[0] == -answer(Kelly(side=0), **falling)[0] > 0.0


def test_the_drawdown_floor_leaves_the_least_leverage_at_it():
    rule = DrawdownControlled(multiplier=4.0, max_drawdown=0.5, least=0.1, max_leverage=10.0)
    # at the peak 4 x 0.5; a quarter below it 4 x (0.75 - 0.5) / 0.75; at the floor and below it the least
    leverage = answer(rule, effective_leverage=(0, 0, 0, 0), drawdown=(0.0, 0.25, 0.5, 0.9))
    np.testing.assert_allclose(leverage, [2.0, 4 / 3, 0.1, 0.1], rtol=1e-6)


@pytest.mark.parametrize("side", [1, -1])
def test_the_excursion_budget_puts_the_liquidation_at_the_distance_of_its_column(side):
    rule = ExcursionBudget(0.05, "7d", side=side, maintenance=0.005, max_leverage=200.0)
    (column,) = rule.required_columns
    assert column == ("excursion_down_7d_5" if side > 0 else "excursion_up_7d_5")
    leverage = answer(rule, **{column: (0.2,)})[0]
    # equity 1/L - size = maintenance x (1 - side x size)
    size = (1 / leverage - 0.005) / (1 - side * 0.005)
    assert abs(np.log1p(-side * size)) == pytest.approx(0.2, rel=1e-5)


def test_a_drawdown_budget_is_the_drawdown_over_the_move():
    rule = ExcursionBudget(0.05, event="drawdown", drawdown=0.2, max_leverage=200.0)
    assert answer(rule, excursion_down_1d_5=(-np.log(0.9),))[0] == pytest.approx(0.2 / 0.1, rel=1e-5)


def test_a_day_is_24_hours_in_the_name_of_a_column():
    assert ExcursionBudget(0.005, "24h", side=-1).required_columns == ("excursion_up_1d_0_5",)


def test_the_liquidation_leverage_is_that_of_the_exchange():
    leverage = leverage_of_size(np.array(0.08), 1, "liquidation", 0.5, 0.005)
    tiers = records(1, margin_tier_dtype)
    tiers[0] = (0.0, 1e9, 0.005, 0.0, 125.0)
    price = liquidation_price(1.0, 100.0, 100.0 / leverage, tiers, False)
    assert price == pytest.approx(92.0)


def portfolio_answer(rule, sigma, correlation):
    columns = {
        rule.column: np.array([sigma], np.float32),
        "mean_correlation_30d": np.full((1, len(sigma)), correlation, np.float32),
    }
    return rule.predict(columns)[0][0]


@pytest.mark.parametrize("rule", [RiskParity(0.6), PortfolioVolatilityTarget(0.6)])
def test_a_portfolio_rule_hits_its_volatility(rule):
    sigma, rho = np.array([0.5, 0.7, 1.0]), 0.6
    exposure = portfolio_answer(rule, sigma, rho) / 3
    covariance = np.outer(sigma, sigma) * (rho + (1 - rho) * np.eye(3))
    assert exposure @ covariance @ exposure == pytest.approx(0.6**2, rel=1e-5)


def test_risk_parity_gives_equal_risk_contributions():
    sigma, rho = np.array([0.5, 0.7, 1.0]), 0.6
    exposure = portfolio_answer(RiskParity(0.6), sigma, rho) / 3
    contribution = exposure * (np.outer(sigma, sigma) * (rho + (1 - rho) * np.eye(3)) @ exposure)
    np.testing.assert_allclose(contribution, contribution[0], rtol=1e-5)


def test_diversification_allows_more_leverage():
    rule = PortfolioVolatilityTarget(0.6)
    alone, together = (portfolio_answer(rule, np.array([0.6, 0.6]), rho)[0] for rho in (1.0, 0.2))
    assert alone == pytest.approx(1.0, rel=1e-5)
    assert together == pytest.approx(1 / np.sqrt(0.6), rel=1e-5)  # variance of two: (1 + rho) / 2


@pytest.mark.parametrize("name", rule_names())
def test_every_rule_comes_back_from_its_description(name):
    made = make_rule(name)
    assert make_rule(describe_rule(made)) == made
    assert make_rule(_as_yaml(describe_rule(made))) == made


def _as_yaml(description):
    return yaml.safe_load(json.dumps(description))


@pytest.mark.parametrize("name", rule_names())
def test_every_rule_documents_formula_use_and_weakness(name):
    text = type(make_rule(name)).__doc__
    assert "When:" in text
    assert "Weakness:" in text
    assert "Parameters" in text


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"rule": "excursion_budget", "probability": 0.0}, "from 0.001 to 0.5"),
        ({"rule": "excursion_budget", "event": "bankruptcy"}, "liquidation, drawdown"),
        ({"rule": "excursion_budget", "horizon": "36h"}, "whole days from 1d to 30d"),
        ({"rule": "excursion_budget", "horizon": "30d", "side": -1}, "cannot be promised"),
        ({"rule": "volatility_target", "target": 0.0}, "positive"),
        ({"rule": "dynamic_atr", "low": 9.0}, "must not descend"),
        ({"rule": "kelly", "side": 2}, "side is 2"),
        ({"rule": "drawdown_controlled", "max_drawdown": 1.0}, "between 0 and 1"),
        ({"rule": "risk_parity", "correlation": 2.0}, r"\[-1, 1\]"),
        ({"rule": "excursion_budget", "side": 0}, "1 or -1"),
        ({"rule": "scaled", "side": 0}, "1 or -1"),
    ],
)
def test_impossible_parameters_are_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        make_rule(spec)
