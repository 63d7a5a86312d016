"""Touch probabilities become columns."""

import pytest

import gearing
from gearing.evaluation.columns import join_excursions, touch_column
from gearing.forecasters import Schedule

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


def test_a_side_is_long_or_short(market):
    with pytest.raises(ValueError, match="1 \\(long\\)"):
        join_excursions(gearing.FeatureSet(["log_return"]).compute(market), market, side=0)


def test_a_touch_column_is_named_by_side_and_percent():
    assert touch_column(0.075, -1) == "touch_up_7_5"
    assert touch_column(0.1, 1) == "touch_down_10"
