"""Weights of forecasts learn from targets that have ended."""

import numpy as np
import pytest

from gearing.forecasters.online_weights import online_mean
from gearing.forecasters.scoring.scores import qlike

DAY = np.timedelta64(1, "D")
FIRST = np.datetime64("2024-01-01", "ms")


def times(n, horizon=1):
    known = FIRST + np.arange(n) * DAY
    return known, known + horizon * DAY


def test_one_step_by_hand():
    forecasts, realised = np.array([[1.0, 4.0], [1.0, 4.0]]), np.array([1.0, np.nan])
    found = online_mean(forecasts, realised, *times(2), rate=0.5)
    # equal weights: the mean is 2. Slope 1 - 1/2; ln 1 - ln 2 = -0.693, so weight 1 is exp(0.5 x 0.5 x 0.693) = 1.189
    # and weight 2 its inverse; 1.189 / (1.189 + 0.841) = 0.586 of ln 1 and 0.414 of ln 4
    assert found == pytest.approx([2.0, 4.0**0.41421], rel=1e-4)


def test_the_better_forecast_gets_the_weight():
    rng = np.random.default_rng(0)
    true = np.exp(rng.normal(size=800))
    realised = true * rng.chisquare(10, 800) / 10
    forecasts = np.stack([true, true * np.exp(rng.normal(0.0, 1.0, 800))], axis=1)
    found = online_mean(forecasts, realised, *times(800))
    loss, better, plain = (
        qlike(realised, one)[400:].mean() for one in (found, forecasts[:, 0], np.sqrt(forecasts.prod(axis=1)))
    )
    assert loss < better + 0.1 * (plain - better)


def test_no_weight_knows_a_target_that_has_not_ended():
    rng = np.random.default_rng(1)
    forecasts, realised = np.exp(rng.normal(size=(60, 2))), np.exp(rng.normal(size=60))
    known, ends = times(60, horizon=7)
    before = online_mean(forecasts, realised, known, ends)
    realised[30:] *= 100.0
    after = online_mean(forecasts, realised, known, ends)
    # the target of day 30 has ended on day 37
    np.testing.assert_array_equal(before[:37], after[:37])
    assert before[37] != after[37]


def test_a_forecast_that_is_not_there_leaves_its_weight_to_the_others():
    forecasts = np.array([[np.nan, 4.0], [1.0, 4.0], [np.nan, np.nan]])
    found = online_mean(forecasts, np.array([1.0, 1.0, 1.0]), *times(3))
    assert found[:2] == pytest.approx([4.0, 2.0])
    assert np.isnan(found[2])


def test_a_crash_moves_the_weights_as_far_as_a_variance_of_four_times_the_forecast():
    forecasts, known = np.array([[1.0, 4.0]] * 2), times(2)
    crash, four = (online_mean(forecasts, np.array([y, np.nan]), *known)[1] for y in (1e6, 8.0))
    assert crash == pytest.approx(four)
