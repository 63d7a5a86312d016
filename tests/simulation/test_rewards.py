"""Rewards against numbers worked out by hand from a step's record."""

import numpy as np
import pytest

from gearing.exchange.records import records, step_dtype
from gearing.simulation.rewards import CVaRAware, DifferentialSharpe, MaxDrawdownAware, make_reward


def steps(*ends: float, liquidations=0):
    """Steps that began with an equity of 100 and ended with these."""
    made = records(len(ends), step_dtype)
    made["equity_before"], made["equity"] = 100.0, ends
    made["log_growth"], made["liquidations"] = np.log(np.array(ends) / 100.0), liquidations
    return made.view(np.recarray)


def paid(name, made, drawdown=0.0):
    reward = make_reward(name)
    reward.reset(np.ones(len(made), bool))
    return reward(made, np.full(len(made), drawdown))


def test_each_reward_is_what_its_formula_says():
    made = steps(110.0, 90.0)
    growth = np.log([1.1, 0.9])
    np.testing.assert_allclose(paid("log_growth", made), growth)
    np.testing.assert_allclose(paid("mean_variance", made), [0.1 - 0.005, -0.1 - 0.005])  # r - r^2 / 2
    np.testing.assert_allclose(paid("drawdown_aware", made, drawdown=0.2), growth - 0.01 * 0.2)
    np.testing.assert_allclose(paid("liquidation_aware", steps(90.0, liquidations=2)), growth[1:] - 0.2)


def test_a_cvar_aware_reward_charges_only_what_a_loss_is_beyond_its_threshold():
    reward = CVaRAware(threshold=0.05, penalty=2.0)
    found = reward(steps(110.0, 97.0, 90.0), np.zeros(3))
    beyond = -np.log(0.9) - 0.05
    np.testing.assert_allclose(found, [np.log(1.1), np.log(0.97), np.log(0.9) - 2.0 * beyond])


def test_a_max_drawdown_aware_reward_adds_up_to_growth_less_the_largest_drawdown():
    reward = MaxDrawdownAware(penalty=2.0)
    reward.reset(np.ones(2, bool))
    drawdowns = [(0.1, 0.0), (0.05, 0.3), (0.2, 0.1)]
    found = [reward(steps(100.0, 100.0), np.array(one)) for one in drawdowns]
    # increases of the largest: 0.1, 0, 0.1 and 0, 0.3, 0
    np.testing.assert_allclose(found, [[-0.2, 0.0], [0.0, -0.6], [-0.2, 0.0]], atol=1e-12)
    reward.reset(np.array([True, False]))
    np.testing.assert_allclose(reward(steps(100.0, 100.0), np.array([0.1, 0.1])), [-0.2, 0.0])


def test_the_differential_sharpe_ratio_is_the_change_of_the_moving_one_to_first_order():
    """After Moody and Saffell: D = dS / d rate at rate 0, S = mean / sd of exponential moments."""
    reward, rng = DifferentialSharpe(), np.random.default_rng(0)
    reward.reset(np.ones(1, bool))
    moments = np.zeros(2)
    for reward.rate in (*[0.05] * 50, *[1e-6] * 5):
        move = 0.001 + 0.02 * rng.normal()
        found = reward(steps(float(100.0 * (1.0 + move))), np.zeros(1))
        after = moments + reward.rate * (np.array([move, move**2]) - moments)
        if reward.rate == 1e-6:
            change = (moving_sharpe(*after) - moving_sharpe(*moments)) / reward.rate
            assert change == pytest.approx(found[0], rel=1e-3, abs=1e-6)
        moments = after


def moving_sharpe(mean, square):
    return mean / np.sqrt(square - mean**2)


def test_an_account_that_begins_anew_is_forgotten():
    reward = DifferentialSharpe()
    reward.reset(np.ones(2, bool))
    for ends in ((101.0, 101.0), (102.0, 102.0)):
        reward(steps(*ends), np.zeros(2))
    reward.reset(np.array([True, False]))
    anew, onwards = reward(steps(101.0, 101.0), np.zeros(2))
    assert anew == 0.0  # a first step has no moments to change
    assert onwards != 0.0
