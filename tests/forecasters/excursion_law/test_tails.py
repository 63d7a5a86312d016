import numpy as np
import pytest

from gearing.forecasters.excursion_law.tails import upper_quantiles


def test_inside_the_sample_a_quantile_is_that_of_the_sample():
    sample = np.arange(1001.0)
    # 25 % of 0 .. 1000 lie above 750, half above 500
    np.testing.assert_allclose(upper_quantiles(sample, np.array([0.25, 0.5])), [750.0, 500.0])


@pytest.mark.parametrize(("shape", "tolerance"), [(0.0, 0.05), (0.3, 0.12)])
def test_the_tail_is_that_of_the_distribution_the_sample_comes_from(shape, tolerance):
    u = np.random.default_rng(0).random(200_000)
    sample = -np.log(u) if shape == 0.0 else (u**-shape - 1.0) / shape
    p = np.array([1e-4, 1e-3, 1e-2])
    exact = -np.log(p) if shape == 0.0 else (p**-shape - 1.0) / shape
    np.testing.assert_allclose(upper_quantiles(sample, p), exact, rtol=tolerance)


def test_a_sample_of_one_value_has_that_quantile_everywhere():
    assert upper_quantiles(np.full(500, 2.0), np.array([0.001, 0.1, 0.5])).tolist() == [2.0, 2.0, 2.0]
