"""What a promise is made from is refused where it enters."""

import numpy as np
import pytest
from tests.simulation.markets import market

from gearing.evaluation.risk.inputs import (
    check_account,
    check_question,
    moment_of,
    one_market,
    pool_of_markets,
    symbol_of,
)

MARKET = market(np.full((48, 2), 100.0))


@pytest.mark.parametrize(
    ("event", "probability", "direction", "message"),
    [
        ("liquidated", 0.05, "long", "must be one of liquidation, drawdown"),
        ("liquidation", 0.05, "both", "must be long or short"),
        ("liquidation", 0.7, "long", "states those from 0.001 to 0.5"),
    ],
)
def test_a_question_that_no_law_answers_is_refused(event, probability, direction, message):
    with pytest.raises(ValueError, match=message):
        check_question(event, probability, direction)


@pytest.mark.parametrize("probability", ["5%", None, [0.05], True])
def test_a_budget_is_a_number(probability):
    with pytest.raises(TypeError, match=r"give a fraction, such as 0\.05 for 5 %"):
        check_question("liquidation", probability, "long")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0.0, 1e4, 0), "drawdown is 0.0"),
        ((np.nan, 1e4, 0), "drawdown is nan"),
        ((0.5, 0.0, 0), "initial_equity is 0.0; it must be positive and finite"),
        ((0.5, np.inf, 0), "initial_equity is inf"),
        ((0.5, 1e4, -1), "seed is -1; it must be a whole number"),
        ((0.5, 1e4, 1.5), "seed is 1.5"),
    ],
)
def test_an_account_has_an_equity_and_a_share_of_it(values, message):
    with pytest.raises(ValueError, match=message):
        check_account(*values)
    with pytest.raises(TypeError, match="initial_equity is '1000'; it must be a number"):
        check_account(0.5, "1000", 0)


def test_a_market_and_its_pool_are_markets():
    with pytest.raises(TypeError, match="market is a list of 1 markets"):
        one_market([MARKET])
    for pool in (None, MARKET, "ETHUSDT", [None]):
        with pytest.raises(TypeError, match="give a list of markets"):
            pool_of_markets(pool)
    assert pool_of_markets((MARKET,)) == [MARKET]


def test_a_contract_of_several_is_named():
    with pytest.raises(ValueError, match="the market has X0, X1; name one"):
        symbol_of(MARKET, None)
    with pytest.raises(ValueError, match="no contract ''"):
        symbol_of(MARKET, "")
    assert symbol_of(MARKET, "X1") == "X1"


def test_a_promise_is_made_on_a_day_that_the_bars_reach():
    assert moment_of("2024-01-02T15:00", MARKET) == np.datetime64("2024-01-02")
    assert moment_of("2024-01-03T12:00", MARKET) == np.datetime64(
        "2024-01-03"
    )  # the bars end at its midnight
    with pytest.raises(ValueError, match="at is 2024-01-05"):
        moment_of("2024-01-05", MARKET)
