"""Directions are what they say, and correlation is numpy's."""

import numpy as np
from tests.features.markets import random_market

from gearing.features import FeatureSet, get_feature


def test_the_side_of_momentum_is_the_sign_of_the_return():
    market = random_market(400)
    table = FeatureSet(["momentum_7d", "momentum_side_7d", "momentum_long_7d"]).compute(market)
    known = slice(table.first_complete, None)
    rise = table.column("momentum_7d")[known]
    np.testing.assert_array_equal(table.column("momentum_side_7d")[known], np.sign(rise))
    np.testing.assert_array_equal(table.column("momentum_long_7d")[known], (rise > 0).astype(np.float32))


def test_carry_is_short_while_longs_pay_much_and_long_while_they_are_paid():
    market = random_market(400)
    table = FeatureSet(["funding_carry_7d", "carry_side_7d", "carry_strength_7d"]).compute(market)
    known = slice(table.first_complete, None)
    carry, side = table.column("funding_carry_7d")[known], table.column("carry_side_7d")[known]
    assert (side[carry > 0.201] == -1.0).all()
    assert (side[(carry > 0.001) & (carry < 0.199)] == 0.0).all()
    assert (side[carry < -0.001] == 1.0).all()
    np.testing.assert_allclose(
        table.column("carry_strength_7d")[known], -np.clip(carry / 0.6, -1, 1), atol=1e-6
    )


def test_mean_correlation_is_that_of_the_window():
    market = random_market(400, n_contracts=3)
    returns = np.diff(np.log(market.close), axis=0)[-168:]
    second = returns.T @ returns
    scale = np.sqrt(np.diag(second))
    matrix = second / np.outer(scale, scale)
    expected = (matrix.sum(axis=0) - 1.0) / 2
    np.testing.assert_allclose(get_feature("mean_correlation_7d")(market)[-1], expected, rtol=1e-9)
    alone = random_market(400, n_contracts=1)
    assert (get_feature("mean_correlation_7d")(alone)[-100:] == 1.0).all()
