"""What rewards are freed of: the growth of a leverage that the market alone decides, where accounts would settle."""

import numpy as np
import pytest
from tests.agents.toy import MOVE, announced_market, toy_config

from gearing.agents.sb3.learning_env import LearningVecEnv, policy_leverage

MARKET, TABLE = announced_market()
CONFIG = toy_config(start="first", ruin_fraction=0.0)
BOUND = CONFIG.margin_share * CONFIG.max_leverage


def env_of(act):
    settings = {name: getattr(CONFIG, name) for name in CONFIG.__dataclass_fields__}
    env = LearningVecEnv(3, 1.0, market=[MARKET], features=[TABLE], **settings)
    env.baseline = policy_leverage(env.simulator, act)
    env.reset()
    return env


def half_way_to(goal):
    """Actions that move half of the way from the leverage held to a goal, both of equity."""
    place = -6  # effective leverage: the first of the account's six columns

    def act(observations):
        wanted = 0.5 * (observations[:, [place]] + goal)
        return 2.0 * wanted / BOUND - 1.0

    return act


def test_the_baseline_does_not_know_what_the_accounts_did():
    env = env_of(half_way_to(1.0))
    env.step(np.array([[-1.0], [0.0], [1.0]]))
    assert np.ptp(env.simulator.accounts.equity) > 0.0
    growth = env.baseline_growth()
    np.testing.assert_allclose(growth, growth[0], rtol=0, atol=0)


def test_the_baseline_holds_what_a_policy_that_moves_step_by_step_would_settle_at():
    env = env_of(half_way_to(1.2))
    for _ in range(5):
        move = MOVE * TABLE.column("tomorrow")[env.simulator.accounts.row[0] - 1, 0]
        settled = 1.2 * (1.0 - 0.5**4)
        assert env.baseline_growth() == pytest.approx(np.log1p(settled * move), rel=1e-4)
        env.step(np.zeros((3, 1)))


def test_rewards_of_accounts_that_hold_the_baseline_are_left_with_no_noise():
    env = env_of(lambda observations: np.zeros((len(observations), 1)))
    env.step(np.zeros((3, 1)))
    rewards = np.array([env.step(np.zeros((3, 1)))[1] for _ in range(20)])
    with_price = env.simulator.steps.log_growth
    assert np.abs(rewards).max() < 0.03 * np.abs(with_price).max()
