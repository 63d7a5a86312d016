"""Risk tables hold the same shares as single questions, and appetites are read off them."""

import numpy as np
import pandas as pd
import pytest

import gearing
from gearing.evaluation.risk.past_starts import Starts
from gearing.questions.leverage_risk import INDEX, risk_of_leverage, safest_by_appetite
from gearing.questions.question import Bootstrap


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=0.6)


@pytest.fixture(scope="module")
def risk(market):
    return risk_of_leverage(
        market,
        leverages=(2.0, 10.0, 50.0),
        horizons=("1d", "7d"),
        bootstrap=Bootstrap(replications=100),
        initial_equity=5_000.0,
    )


def test_a_row_is_the_result_of_the_single_run(market, risk):
    row = risk.loc[("drawdown", "isolated, all posted", "short", 10.0, "7d")]
    alone = Starts(market, event="drawdown", direction="short", initial_equity=5_000.0).probability(
        10.0, "7d", replications=100
    )
    assert (row.probability, row.low, row.high) == (alone.estimate, alone.low, alone.high)
    assert row.n_starts == alone.n_starts


@pytest.mark.parametrize("event", ["liquidation", "drawdown"])
@pytest.mark.parametrize("direction", ["long", "short"])
def test_one_contract_in_cross_margin_has_the_risk_of_the_same_notional_isolated_with_all_posted(
    market, event, direction
):
    kind = {"event": event, "direction": direction, "initial_equity": 5_000.0}
    cross = Starts(market, margin_mode="cross", margin_share=0.1, **kind).probability(50.0, "7d")
    # What is posted pays the entry costs, 0.07 % of the notional: it buys L / (1 + 0.0007 L) times itself.
    leverage = 5.0 * (1.0 + 5.0 * 0.0007) / (1.0 + 50.0 * 0.0007)
    isolated = Starts(market, **kind).probability(leverage, "7d")
    assert cross.estimate == pytest.approx(isolated.estimate, abs=0.01)
    assert isolated.estimate > 0.0


def test_cross_rows_stand_at_the_setting_that_holds_the_same_notional(risk):
    cross, whole = (
        risk.xs(name, level="arrangement") for name in ("cross, 0.1 used", "isolated, all posted")
    )
    assert set(cross.index.get_level_values("leverage")) == {20.0, 100.0, 500.0}
    np.testing.assert_array_equal(cross.probability, whole.probability)
    np.testing.assert_allclose(cross.effective_leverage, 0.1 * cross.index.get_level_values("leverage"))


def test_leverage_that_a_contract_does_not_allow_is_left_out(market):
    rows = risk_of_leverage(
        market, leverages=(5.0, 500.0), horizons=("1d",), events=("liquidation",), directions=("long",),
        bootstrap=Bootstrap(replications=100),
    )  # fmt: skip
    assert set(rows.effective_leverage) == {5.0}


def test_the_safest_leverage_ends_before_the_first_that_breaks_the_budget():
    keys = [("X", "liquidation", "isolated", "long", x, "7d") for x in (1.0, 2.0, 5.0, 10.0)]
    index = pd.MultiIndex.from_tuples(keys, names=INDEX)
    # 5x is over the budget, so 10x, which looks safe by chance, does not count.
    risk = pd.DataFrame({"probability": [0.0, 0.04, 0.08, 0.03], "high": [0.02, 0.06, 0.2, 0.1]}, index=index)
    safest = safest_by_appetite(risk, budgets=(0.05, 0.001)).iloc[0]
    assert safest["5%"] == 2.0
    assert safest["5%, upper bound"] == 1.0
    assert safest["0%"] == 1.0
