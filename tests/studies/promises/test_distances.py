"""What rules stated, of contracts of any age."""

import numpy as np
from tests.simulation.markets import contract, market

from gearing.studies.promises.distances import har_rows, log_sizes


def test_the_curve_of_touches_needs_its_own_window_after_that_of_har():
    closes = 100.0 * np.exp(np.cumsum(np.random.default_rng(0).normal(0.0, 0.004, 24 * 400)))
    days = market(closes, contracts=[contract("A")])
    # HAR looks back over 30 days and a bar; two windows of 180 days and two midnights follow
    for length, known in ((20, False), (200, False), (391, False), (394, True)):
        assert (har_rows(days.rows(0, 24 * length), "7d") is not None) is known


def test_a_size_is_the_log_distance_of_a_fall_and_of_a_rise():
    np.testing.assert_allclose(log_sizes(0.2).ravel(), [-np.log(0.8), np.log(1.2)])
