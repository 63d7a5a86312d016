import numpy as np
import pytest

from gearing.forecasters import Forecast, Rows
from gearing.forecasters.scoring.intervals import conformal_intervals, coverage, pinball
from gearing.forecasters.scoring.model_set import model_confidence_set

DAY = np.timedelta64(86_400_000, "ms")


def forecast(n=1_500, seed=0, spread=0.8, drift=0.0):
    """Daily forecasts whose log errors are normal; ``drift`` lets the spread grow over time."""
    rng = np.random.default_rng(seed)
    known_at = np.datetime64("2020-01-01", "ms") + np.arange(n) * DAY
    value = np.exp(rng.normal(-7.0, 1.0, n))
    y = value * np.exp(spread * (1.0 + drift * np.arange(n) / n) * rng.normal(size=n))
    index = np.arange(n)
    rows = Rows(np.zeros((n, 1)), y, known_at, known_at + DAY, index, np.zeros(n, int), ("x",), "24h")
    return Forecast(rows, value, known_at)


@pytest.mark.parametrize("level", [0.8, 0.9])
@pytest.mark.parametrize("drift", [0.0, 1.5])
def test_intervals_cover_as_often_as_they_say_overall_and_in_each_tercile(level, drift):
    made = forecast(drift=drift)
    found = coverage(made.rows.y, conformal_intervals(made, level))
    assert found.inside == pytest.approx(level, abs=0.02)
    assert found.inside + found.below + found.above == pytest.approx(1.0)
    assert all(abs(share - level) < 0.04 for share in found.by_tercile)


def test_an_interval_knows_no_error_whose_target_had_not_ended():
    made = forecast()
    other = forecast()
    other.rows.y[1_000:] *= 50.0  # known from row 1001 on
    one, two = conformal_intervals(made), conformal_intervals(other)
    np.testing.assert_array_equal(one.lower[:1_001], two.lower[:1_001])
    np.testing.assert_array_equal(one.upper[:1_001], two.upper[:1_001])
    assert not np.array_equal(one.upper[1_001:], two.upper[1_001:], equal_nan=True)


def test_no_interval_is_given_from_few_errors():
    assert np.isnan(conformal_intervals(forecast(n=150)).lower).all()


def test_quantile_forecasts_that_are_too_narrow_are_widened():
    made = forecast()
    narrow = conformal_intervals(made, lower_base=0.9 * made.value, upper_base=1.1 * made.value)
    assert coverage(made.rows.y, narrow).inside == pytest.approx(0.9, abs=0.02)


def test_pinball_loss_is_least_at_the_quantile():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=20_000)
    losses = [pinball(truth, np.full(20_000, q), 0.9).mean() for q in (1.0, 1.2816, 1.6)]
    assert losses[1] == min(losses)


def test_quantile_regression_finds_the_quantiles_of_a_lognormal():
    from gearing.forecasters.models.quantile import QuantileVariance

    rng = np.random.default_rng(1)
    X = rng.normal(size=(2_000, 2))
    y = np.exp(X[:, 0] + 0.5 * rng.normal(size=2_000))
    low, high = (model.fit(X, y).predict(X) for model in map(QuantileVariance, (0.05, 0.95)))
    assert (y < low).mean() == pytest.approx(0.05, abs=0.01)
    assert (y > high).mean() == pytest.approx(0.05, abs=0.01)


def test_the_confidence_set_keeps_equals_and_drops_the_worse():
    rng = np.random.default_rng(2)
    base = rng.gamma(2.0, 1.0, 600)
    losses = {"a": base + rng.normal(0, 0.3, 600), "b": base + rng.normal(0, 0.3, 600), "bad": base + 0.2}
    p = model_confidence_set(losses, replications=500)
    assert min(p["a"], p["b"]) >= 0.10
    assert p["bad"] < 0.10
