from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.utils.estimator_checks import estimator_checks_generator
from tests.features.markets import random_market

from gearing.features.leakage import rewrite_future
from gearing.forecasters import Schedule, forecast_rows, forecaster, walk_forward
from gearing.forecasters.excursion import (
    TouchProbability,
    distance_of_budget,
    liquidation_probability,
    liquidation_size,
    log_distance,
    of_size,
    reflection_probability,
    touches,
    walk_forward_touches,
)
from gearing.forecasters.scoring.event_scores import (
    brier,
    difference_interval,
    log_score,
    reliability,
    worst_by_chance,
)


def checks():
    pairs = estimator_checks_generator(TouchProbability())
    return [pytest.param(*pair, id=getattr(pair[1], "func", pair[1]).__name__) for pair in pairs]


@pytest.mark.parametrize(("estimator", "check"), checks())
def test_the_classifier_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_a_touch_is_an_extreme_of_the_mark_after_the_close():
    market = random_market(300, n_contracts=1)
    low = market.mark_low[:, 0]
    size = 1.0 - low[51:75].min() / market.mark_close[50, 0]
    assert touches(market, size - 1e-9, "down")[50, 0] == 1.0
    assert touches(market, size + 1e-9, "down")[50, 0] == 0.0
    assert np.isnan(touches(market, 0.01, "up")[-24:]).all()


def test_the_reflection_principle_agrees_with_simulated_walks():
    rng = np.random.default_rng(0)
    steps = rng.normal(0.0, 0.04 / np.sqrt(2_000), (4_000, 2_000))
    touched = (steps.cumsum(axis=1).min(axis=1) <= -0.05).mean()
    expected = reflection_probability(np.array([0.04**2]), 0.05)[0]
    assert expected == pytest.approx(2 * norm.sf(1.25))
    assert touched == pytest.approx(expected, abs=0.02)  # a walk in steps touches a little less often


def test_the_log_distance_of_a_fall_is_longer_than_that_of_a_rise():
    assert log_distance(0.1, "down") == pytest.approx(-np.log(0.9))
    assert log_distance(0.1, "up") == pytest.approx(np.log(1.1))


def test_liquidation_size_leaves_exactly_the_maintenance_margin():
    for side, sign in (("long", -1.0), ("short", 1.0)):
        move = liquidation_size(10.0, 0.005, side)
        equity = 0.1 + (move * sign if side == "long" else -move)  # per unit of notional at entry
        assert equity == pytest.approx(0.005 * (1.0 + sign * move))
    with pytest.raises(ValueError, match="too high"):
        liquidation_size(125.0, 0.01, "long")


@pytest.fixture(scope="module")
def variance_forecast():
    market = random_market(24 * 500, n_contracts=1, seed=6)
    rows = forecast_rows(market, forecaster("har").columns, every="6h")
    return market, walk_forward(forecaster("har").estimator(), rows, Schedule(first_train="60d"))


@pytest.mark.parametrize("error", [1.0, 3.0])
def test_touch_probabilities_put_a_wrong_variance_right(variance_forecast, error):
    market, forecast = variance_forecast
    wrong = replace(forecast, value=error * forecast.value)
    schedule = Schedule(first_train="90d")
    made = of_size(walk_forward_touches(market, wrong, "down", schedule=schedule), 0.03, "down")
    known = np.isfinite(made.rows.y)
    y, p = made.rows.y[known], made.value[known]
    plain = reflection_probability(np.exp(made.rows.X[known, 0]), log_distance(0.03, "down"))
    assert reliability(y, p, bins=4).worst < 0.08
    if (
        error == 1.0
    ):  # the walk is Gaussian: the principle is right, and learning it again costs next to nothing
        assert brier(y, p).mean() < 1.01 * brier(y, plain).mean()
    else:
        assert brier(y, p).mean() < 0.95 * brier(y, plain).mean()
        assert log_score(y, p).mean() < 0.95 * log_score(y, plain).mean()


def test_probabilities_fall_with_distance_and_rise_with_variance(variance_forecast):
    market, forecast = variance_forecast
    model = walk_forward_touches(market, forecast, "up", schedule=Schedule(first_train="90d")).last_model
    sizes = np.log(log_distance(np.array([0.01, 0.02, 0.04, 0.08]), "up"))
    p = model.predict_proba(np.column_stack([np.full(4, -7.0), sizes]))[:, 1]
    assert (np.diff(p) < 0).all()
    assert model.predict_proba([[-6.0, sizes[2]]])[0, 1] > p[2]


def test_touch_probabilities_know_nothing_of_a_rewritten_future(variance_forecast):
    market, _ = variance_forecast
    row = 24 * 400

    def probabilities(market):
        rows = forecast_rows(market, forecaster("har").columns, every="6h")
        forecast = walk_forward(forecaster("har").estimator(), rows, Schedule(first_train="60d"))
        made = walk_forward_touches(market, forecast, "down", schedule=Schedule(first_train="90d"))
        return made.value[made.rows.bar_index <= row]

    assert probabilities(market).tobytes() == probabilities(rewrite_future(market, row)).tobytes()


def test_reliability_compares_frequency_with_probability():
    p = np.repeat([0.2, 0.8], 100)
    y = np.concatenate([np.arange(100) < 20, np.arange(100) < 70]).astype(float)
    found = reliability(y, p, bins=2)
    np.testing.assert_allclose(found.observed, [0.2, 0.7])
    assert found.worst == pytest.approx(0.1)


def test_an_interval_of_a_difference_covers_zero_for_equals_and_not_for_the_better():
    rng = np.random.default_rng(0)
    loss = rng.gamma(2.0, 1.0, 2_000)
    low, high = difference_interval(loss + rng.normal(0, 0.5, 2_000), loss, block=10)
    assert low < 0 < high
    assert difference_interval(loss - 0.2, loss + rng.normal(0, 0.5, 2_000), block=10)[1] < 0


def test_chance_alone_moves_the_worst_decile_by_more_than_two_points():
    p = np.random.default_rng(0).uniform(0.1, 0.6, 1_500)
    assert 0.05 < worst_by_chance(p) < 0.15  # a bin of 150 has a standard error of 4 points
    assert worst_by_chance(p, overlap=6) > worst_by_chance(p)


def test_liquidation_grows_likelier_with_leverage(variance_forecast):
    market, forecast = variance_forecast
    model = walk_forward_touches(market, forecast, "down", schedule=Schedule(first_train="90d")).last_model
    variance = np.array([0.0004, 0.0016])
    p = np.array(
        [liquidation_probability(model, variance, leverage, 0.005, "long") for leverage in (5, 10, 20, 40)]
    )
    assert (np.diff(p, axis=0) > 0).all()
    assert (p[:, 1] > p[:, 0]).all()
    # ten times leverage leaves a fall of 0.095 / 0.995: the same as asking for that touch
    touch = np.log(log_distance(0.095 / 0.995, "down"))
    assert p[1, 0] == pytest.approx(model.predict_proba([[np.log(0.0004), touch]])[0, 1])


def test_the_distance_of_a_budget_is_exact_for_gaussian_probabilities_inside_the_sizes_and_beyond():
    distance = np.array([0.01, 0.03, 0.06])
    p = 2 * norm.sf(distance / 0.04)
    for budget in (0.5, 0.1, 0.01):
        found = distance_of_budget(p[None], distance, budget)[0]
        assert 2 * norm.sf(found / 0.04) == pytest.approx(budget, rel=1e-6)


def test_probabilities_that_do_not_fall_with_distance_still_give_a_finite_distance():
    found = distance_of_budget(np.array([[0.2, 0.2, 0.25]]), np.array([0.01, 0.02, 0.03]), 0.01)
    assert np.isfinite(found).all()
    assert (found >= 0.01).all()
