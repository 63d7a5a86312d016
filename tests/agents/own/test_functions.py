"""Functions of columns as policies."""

import numpy as np
import pytest

import gearing
from gearing.agents import from_callable


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=3, years=0.3, contracts=("A", "B"))


def with_the_week(columns):
    return np.where(columns["trend_7d"] > 0.0, 2.0, 0.5)


def test_a_function_trades_as_a_rule_of_its_own_does(market):
    class Rule:
        required_columns = ("trend_7d",)
        action_scheme = "target"

        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return with_the_week(observation), state

    own = from_callable(with_the_week, ["trend_7d"])
    settings = {"direction": "long", "margin_share": 0.3}
    found, expected = (gearing.backtest(policy, market, **settings) for policy in (own, Rule()))
    np.testing.assert_array_equal(found.equity, expected.equity)
    assert gearing.check_policy(own, market, direction="long").passed.all()


def test_a_function_sees_the_declared_columns_only_and_copies_of_them(market):
    seen = []

    def look(columns):
        seen.append(dict(columns))
        columns["trend_7d"][:] = 0.0  # a copy: the observation stays as it is
        return np.ones_like(columns["trend_7d"])

    gearing.backtest(
        from_callable(look, ["trend_7d", "drawdown"]), market, direction="long", margin_share=0.3
    )
    assert {tuple(one) for one in seen} == {("trend_7d", "drawdown")}
    assert seen[0]["drawdown"].shape == (1, 1)
    undeclared = from_callable(lambda x: x["log_return"], ["trend_7d"])
    with pytest.raises(
        ValueError, match=r"reads the column 'log_return'.*columns=\[\.\.\., \"log_return\"\]"
    ):
        gearing.backtest(undeclared, market, direction="long", margin_share=0.3)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: 2.0, r"returned shape \(\) for columns of shape \(1, 2\)"),
        (lambda x: x["trend_7d"][:, :1], r"returned shape \(1, 1\)"),
        (lambda x: x["trend_7d"] * np.nan, "returned nan; target leverage must be finite"),
        (lambda x: x["trend_7d"] * 0.0 + np.inf, "returned inf"),
        (lambda x: "two", "must return an array of numbers"),
        (lambda x: None, r"returned shape \(\)"),
    ],
)
def test_a_wrong_result_is_refused_by_the_functions_name(function, message, market):
    with pytest.raises((TypeError, ValueError), match=message):
        gearing.backtest(from_callable(function, ["trend_7d"]), market, direction="long", margin_share=0.3)


def test_nan_holds_where_it_is_meant(market):
    def once(columns):
        held = columns["effective_leverage"] != 0.0
        return np.where(held, np.nan, 1.0)

    policy = from_callable(once, ["effective_leverage"], may_hold=True)
    result = gearing.backtest(policy, market, direction="long", margin_share=0.3)
    assert np.isnan(result.target[1:]).any()


def test_what_is_no_function_or_no_list_of_columns_is_refused():
    with pytest.raises(TypeError, match="give a function"):
        from_callable(dict, ["trend_7d"])
    for columns in ([], "trend_7d", [1], None):
        with pytest.raises(TypeError, match="give the names of the observation's columns"):
            from_callable(with_the_week, columns)
