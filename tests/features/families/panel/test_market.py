"""Columns of the contracts around a contract."""

import numpy as np
import pytest
from tests.features.markets import random_market

from gearing.features import get_feature
from gearing.features.families.panel.market import (
    MARKET,
    log_spread,
    market_columns,
    needed_quantities,
    of_leader,
    others_mean,
    others_or_zero,
    over_others,
    quantity,
)

NAN = np.nan


def test_the_others_mean_leaves_the_contract_and_missing_values_out():
    own = np.array([[1.0, 2.0, 6.0], [1.0, NAN, 6.0], [NAN, NAN, 6.0]])
    np.testing.assert_array_equal(
        others_mean(own, own), [[4.0, 3.5, 1.5], [6.0, 3.5, 1.0], [6.0, 6.0, 6.0]]
    )  # the last contract of the last row is alone: its own value


def test_a_contract_alone_is_its_own_market():
    alone = np.array([[2.0], [3.0]])
    np.testing.assert_array_equal(others_mean(alone, alone), alone)
    np.testing.assert_array_equal(of_leader(alone, alone), alone)
    assert not over_others(alone, alone).any()
    assert not log_spread(alone, alone).any()
    assert not others_or_zero(np.full((2, 1), NAN), alone).any()


def test_the_leader_is_the_contract_of_which_most_is_traded():
    own = np.array([[1.0, 2.0, 3.0], [1.0, NAN, 3.0]])
    value = np.array([[10.0, 30.0, NAN], [10.0, 30.0, 20.0]])
    np.testing.assert_array_equal(of_leader(own, value), [[2.0, 2.0, 2.0], [1.0, NAN, 3.0]])


def test_the_spread_is_that_of_all_contracts():
    own = np.array([[0.0, 3.0, 6.0]])  # variance (9 + 0 + 9) / 3 = 6
    np.testing.assert_allclose(log_spread(own, own), np.full((1, 3), 0.5 * np.log(6.0)))


@pytest.mark.parametrize("name", MARKET)
def test_a_feature_and_the_column_of_a_panel_are_one_rule(name):
    market = random_market(24 * 40, n_contracts=4, seed=6)
    quantities = {needed: quantity(market, needed) for needed in needed_quantities()}
    np.testing.assert_array_equal(
        get_feature(name)(market)[24 * 35 :], market_columns(quantities)[name][24 * 35 :]
    )
