"""Touch probabilities become columns, and the excursion budget keeps what it promises better than a Gaussian one."""

import numpy as np
import pytest

import gearing
from gearing.evaluation.columns import join_excursions
from gearing.evaluation.risk.budget_check import check_budget
from gearing.forecasters import Schedule
from gearing.policies.rules import ExcursionBudget
from gearing.policies.rules.risk_budget import touch_column

SIZES = (0.02, 0.05, 0.10)


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=2)


@pytest.fixture(scope="module")
def table(market):
    made = gearing.FeatureSet(["log_return"]).compute(market)
    first = Schedule(first_train="120d")
    return join_excursions(made, market, sizes=SIZES, variance_schedule=first, touch_schedule=first)


@pytest.mark.slow
def test_a_larger_move_is_less_likely(table):
    rows = slice(table.first_complete, None)
    small, middle, large = (table.column(touch_column(size, 1))[rows] for size in SIZES)
    assert (small >= middle).mean() > 0.99
    assert (middle >= large).mean() > 0.99
    assert set(table.fitted_until) == {touch_column(size, 1) for size in SIZES}


@pytest.mark.slow
def test_the_excursion_budget_is_near_its_promise(market, table):
    checked = check_budget(ExcursionBudget(0.05, sizes=SIZES, max_leverage=50.0), market, table)
    assert checked.realised.low <= 0.08
    assert 0.005 < checked.realised.estimate < 0.10
    assert np.isfinite(checked.leverage)


def test_a_side_is_long_or_short(market):
    with pytest.raises(ValueError, match="1 \\(long\\)"):
        join_excursions(gearing.FeatureSet(["log_return"]).compute(market), market, side=0)
