"""Scales for a drawdown budget, against paths worked out by hand and the Brownian motion's own drawdown."""

import numpy as np
import pytest

from gearing.evaluation.risk.drawdown_budget import (
    chance_of_drawdown,
    equal_risk_growth,
    equal_risk_scale,
    realised_drawdown,
    scale_to_budget,
    scaled_years,
    window_drawdowns,
)


def test_a_scaled_path_with_a_floor_by_hand():
    # Two halves of two days; scale 2, floor 0.5. Day 1: -0.1 x 2 = 0.8, drawdown 0.2 from the peak 1. Day 2: exposure
    # 2 x (0.5 - 0.2) / 0.5 = 1.2; 0.8 x 1.12 = 0.896. Day 3: the peak of two days is 0.896, exposure 2; 0.896 x 0.8.
    # Day 4: 0.2 below it, exposure 1.2; x 0.88
    returns = np.array([[-0.1, 0.1, -0.1, -0.1]])
    growth, worst = scaled_years(returns, 2.0, 0.5, window=2)
    assert growth[0] == pytest.approx(np.log(0.8 * 0.88) * 365.0 / 2.0)
    assert worst[0] == pytest.approx(1.0 - 0.8 * 0.88)
    growth, worst = scaled_years(returns, 2.0, None, window=2)
    assert growth[0] == pytest.approx(np.log(0.8 * 0.8) * 365.0 / 2.0)
    assert worst[0] == pytest.approx(1.0 - 0.8 * 0.8)


@pytest.mark.parametrize("window", [2, 5, 30])
def test_the_peak_of_a_window_is_that_of_a_plain_search(window):
    returns = np.random.default_rng(7).normal(0.0, 0.05, (6, 2 * window))
    equity = np.ones((6, 2 * window + 1))
    for k in range(2 * window):
        peak = equity[:, max(0, k - window + 1) : k + 1].max(axis=1)
        left = np.maximum((0.3 - (1.0 - equity[:, k] / peak)) / 0.3, 0.0)
        equity[:, k + 1] = equity[:, k] * (1.0 + 1.5 * left * returns[:, k])
    growth, _ = scaled_years(returns, 1.5, 0.3, window)
    np.testing.assert_allclose(growth, np.log(equity[:, -1] / equity[:, window]) * 365.0 / window)


def test_the_scale_meets_its_budget_and_a_tighter_budget_is_a_smaller_scale():
    returns = np.random.default_rng(1).normal(0.001, 0.02, 900)
    found = [scale_to_budget(returns, budget) for budget in (0.10, 0.25)]
    assert [one.drawdown for one in found] == pytest.approx([0.10, 0.25], abs=1e-6)
    assert found[0].scale < found[1].scale
    floored = scale_to_budget(returns, 0.25, floor=0.5)
    assert floored.drawdown == pytest.approx(0.25, abs=1e-6)
    assert floored.scale > found[1].scale  # exposure falls in drawdowns, so more is possible at the peak


def test_the_scale_of_a_driftless_walk_is_that_of_brownian_motion():
    # Without drift the expected largest drawdown of Brownian motion is sqrt(pi / 2) x volatility x sqrt(T) (Magdon-
    # Ismail et al., 2004), in logs; sampled daily it is smaller by about 0.5826 daily standard deviations at each end
    # (Broadie, Glasserman and Kou, 1997). Walks simulated here agree with that, and turn logs into fractions.
    rng = np.random.default_rng(0)
    daily = 0.01
    walks = np.cumsum(rng.normal(0.0, daily, (4000, 365)), axis=1)
    path = np.concatenate([np.zeros((4000, 1)), walks], axis=1)
    worst = (np.maximum.accumulate(path, axis=1) - path).max(axis=1)
    theory = np.sqrt(np.pi / 2.0 * 365.0) * daily - 2.0 * 0.5826 * daily
    assert worst.mean() == pytest.approx(theory, rel=0.03)
    budget = float((1.0 - np.exp(-worst)).mean())
    steps = rng.normal(0.0, daily, 2000)
    past = np.expm1(np.concatenate([steps, -steps]))  # without drift in this sample, too
    found = scale_to_budget(past, budget, mean_block=1.0, replications=2000)
    assert found.scale == pytest.approx(1.0, rel=0.05)


def test_no_future_return_changes_a_scale_and_the_same_call_repeats():
    returns = np.random.default_rng(2).normal(0.001, 0.02, 500)
    first = scale_to_budget(returns[:400], 0.2)
    changed = returns.copy()
    changed[400:] = 0.5
    assert scale_to_budget(changed[:400], 0.2) == first


def test_a_past_shorter_than_a_year_is_resampled_to_one():
    returns = np.full(70, -0.001)
    # 365 days of -0.1 % x scale: 1 - (1 - scale / 1000)^365 = 0.2
    found = scale_to_budget(returns, 0.2)
    assert found.scale == pytest.approx(1000.0 * (1.0 - 0.8 ** (1.0 / 365.0)), rel=1e-6)
    assert found.growth == pytest.approx(np.log(0.8), rel=1e-6)


def test_a_policy_that_never_loses_gets_the_largest_scale():
    assert scale_to_budget(np.full(100, 0.001), 0.2, most=3.0).scale == 3.0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"returns": np.zeros(59)}, "at least 60"),
        ({"returns": np.full(100, np.nan)}, "finite"),
        ({"budget": 0.0}, "budget is 0.0"),
        ({"floor": 1.5}, "floor is 1.5"),
    ],
)
def test_what_no_budget_can_be_fitted_to_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        scale_to_budget(**{"returns": np.zeros(100), "budget": 0.2, **given})


def test_window_drawdowns_by_hand():
    equity = [1.0, 2.0, 1.0, 1.5, 3.0]
    # windows of 2 days: (1, 2, 1): 0.5; (2, 1, 1.5): 0.5; (1, 1.5, 3): 0
    assert window_drawdowns(equity, 2).tolist() == [0.5, 0.5, 0.0]
    assert window_drawdowns(equity, 365).tolist() == [0.5]


@pytest.mark.parametrize("window", [1, 2, 3, 30, 365])
def test_window_drawdowns_are_those_of_a_plain_search_to_the_last_bit(window):
    equity = np.cumprod(1.0 + np.random.default_rng(5).normal(0.001, 0.03, 500))
    plain = [
        max(1.0 - equity[j] / equity[i : j + 1].max() for j in range(i, i + window + 1))
        for i in range(0, 500 - window, 7)
    ]
    assert window_drawdowns(equity, window)[::7].tolist() == plain


def test_a_window_after_all_was_lost_has_lost_all():
    with np.errstate(all="raise"):
        assert window_drawdowns([1.0, 0.0, 0.0, 0.0], 2).tolist() == [1.0, 1.0]


def test_growth_at_equal_risk_is_that_of_scaled_returns_or_of_a_ruin():
    returns = np.random.default_rng(3).normal(0.001, 0.02, 800)
    scale = equal_risk_scale(returns, 0.25)
    np.testing.assert_array_equal(equal_risk_growth(returns, 0.25), np.log1p(scale * returns))
    rare = returns / 1000.0
    rare[9] = -0.3  # in 10 of 435 windows, so that the budget needs more than 1 / 0.3
    growth = equal_risk_growth(rare, 0.25)
    assert growth[9] == -np.inf
    assert np.isfinite(np.delete(growth, 9)).all()


def test_the_equal_risk_scale_reaches_the_budget():
    returns = np.random.default_rng(3).normal(0.001, 0.02, 800)
    scale = equal_risk_scale(returns, 0.25)
    assert realised_drawdown(scale * returns) == pytest.approx(0.25, abs=1e-6)


@pytest.mark.slow
def test_a_promise_is_exact_for_returns_without_memory_with_a_floor_of_a_year_and_timid_with_one_of_all_time():
    rng, daily = np.random.default_rng(0), 0.2 / np.sqrt(365.0)

    def drawn(*shape):
        return 0.7 * 0.2 / 365.0 + daily * rng.standard_normal(shape)

    scale = scale_to_budget(drawn(40_000), 0.25, floor=0.5, mean_block=1.0, replications=1000).scale
    test = drawn(300, 1277)  # 3.5 years of accounts that begin at their peak

    def realised(window):
        equity = np.ones((300, 1278))
        for day in range(1277):
            peak = equity[:, max(0, day + 1 - window) : day + 1].max(axis=1)
            left = np.maximum(1.0 - (1.0 - equity[:, day] / peak) / 0.5, 0.0)
            equity[:, day + 1] = equity[:, day] * (1.0 + scale * left * test[:, day])
        return np.mean([window_drawdowns(path).mean() for path in equity]) / 0.25

    assert realised(365) == pytest.approx(1.0, abs=0.03)
    assert realised(1278) < 0.96


def test_nothing_is_left_to_chance_where_all_days_are_alike():
    low, high = chance_of_drawdown(np.full(100, -0.01), 2.0, 150)
    assert low == high == pytest.approx(1.0 - 0.98**150)
    # with a floor of 0.5: 1, 0.98, 0.98 x (1 - 0.02 x 0.48 / 0.5) = 0.961184
    low, high = chance_of_drawdown(np.full(100, -0.01), 2.0, 2, floor=0.5)
    assert low == high == pytest.approx(1.0 - 0.961184)


def test_chance_is_as_wide_for_a_floor_as_what_the_floor_leaves():
    rng = np.random.default_rng(0)
    past = rng.normal(0.0003, 0.01, 700)
    scale = scale_to_budget(past, 0.25, floor=0.5, replications=200).scale
    low, high = chance_of_drawdown(past, scale, 730, floor=0.5, replications=50)
    assert 0.1 < low < 0.25 < high < 0.5
    assert (low, high) == chance_of_drawdown(past, scale, 730, floor=0.5, replications=50)
