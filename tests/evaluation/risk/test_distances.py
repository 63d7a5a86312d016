import numpy as np
import pytest
from tests.features.markets import random_market
from tests.simulation.markets import market as tiny_market

import gearing
from gearing.evaluation import join_distances
from gearing.features.leakage import rewrite_future

NAMES = ("excursion_down_1d_5", "excursion_up_7d_25", "excursion_down_7d_5")


@pytest.fixture(scope="module")
def market():
    return random_market(24 * 420, n_contracts=2, seed=3)


def joined(market, **settings):
    return join_distances(gearing.FeatureSet(["log_return"]).compute(market), market, NAMES, **settings)


def test_distances_of_budgets_become_columns_that_rise_with_the_horizon(market):
    table = joined(market)
    assert set(NAMES) <= set(table.columns)
    day, week = (table.column(name)[table.first_complete :] for name in (NAMES[0], NAMES[2]))
    assert (week >= day).all()
    assert set(table.fitted_until) == set(NAMES)


def test_a_distance_knows_nothing_of_a_rewritten_future():
    market = tiny_market(
        100.0 * np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.005, (24 * 420, 2)), axis=0))
    )
    row = 24 * 300 + 5
    before, after = (joined(m).values[: row + 1] for m in (market, rewrite_future(market, row)))
    assert before.tobytes() == after.tobytes()


def test_a_contract_is_not_fitted_on_itself_where_there_are_others(market):
    alone = market.select(["C0"])
    other = random_market(24 * 420, n_contracts=1, seed=9)
    with_pool = joined(alone, pool=[market.select(["C1"])]).column(NAMES[0])[:, 0]
    np.testing.assert_array_equal(with_pool, joined(market).column(NAMES[0])[:, 0])
    assert not np.array_equal(with_pool, joined(alone).column(NAMES[0])[:, 0], equal_nan=True)
    assert other.symbols == ("C0",)  # the same symbol twice is the market's own contract
    np.testing.assert_array_equal(
        joined(alone, pool=[other]).column(NAMES[0]), joined(alone).column(NAMES[0])
    )


def test_other_names_are_ignored_and_impossible_promises_refused(market):
    table = gearing.FeatureSet(["log_return"]).compute(market)
    assert join_distances(table, market, ["touch_down_5", "log_return"]) is table
    with pytest.raises(ValueError, match="cannot be promised"):
        join_distances(table, market, ["excursion_up_30d_1"])
