"""What rewards are freed of: the growth of a leverage that the market alone decides, where accounts would settle."""

import numpy as np
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
    for _ in range(3):
        _, rewards, *_ = env.step(np.array([[-1.0], [0.0], [1.0]]))
        baseline = env.simulator.steps.log_growth - rewards
        assert np.ptp(env.simulator.accounts.equity) > 0.0
        np.testing.assert_allclose(baseline, baseline[0], rtol=0, atol=1e-7)  # rewards are float32


def test_the_baseline_is_the_growth_of_an_account_that_follows_the_policy_from_flat():
    env = env_of(half_way_to(1.2))
    leverage = 0.0
    for _ in range(5):
        move = MOVE * TABLE.column("tomorrow")[env.simulator.accounts.row[0] - 1, 0]
        leverage = 0.5 * (leverage + 1.2)
        _, rewards, *_ = env.step(np.zeros((3, 1)))
        baseline = env.simulator.steps.log_growth - rewards
        np.testing.assert_allclose(baseline, np.log1p(leverage * move), rtol=1e-4)
        leverage *= (1.0 + move) / (1.0 + leverage * move)  # the price moves the leverage, too


def test_a_baseline_that_holds_keeps_its_leverage():
    env = env_of(half_way_to(1.2))
    env.step(np.zeros((3, 1)))
    held = env.reference.copy()
    move = MOVE * TABLE.column("tomorrow")[env.simulator.accounts.row[0] - 1, 0]
    env.baseline = lambda observations: np.full((len(observations), 1), np.nan)
    np.testing.assert_allclose(env.baseline_growth(), np.log1p(held[:, 0] * move), rtol=1e-4)


def test_a_new_episode_begins_with_a_flat_reference_account():
    env = env_of(half_way_to(1.2))
    first = env.step(np.zeros((3, 1)))[1]
    env.step(np.zeros((3, 1)))
    env.reset()
    np.testing.assert_array_equal(env.step(np.zeros((3, 1)))[1], first)


def test_what_actions_earn_more_than_others_is_the_difference_of_their_growth_without_costs():
    env = env_of(half_way_to(1.2))
    move = MOVE * TABLE.column("tomorrow")[env.simulator.accounts.row[0] - 1, 0]
    # Half of the equity is the margin of up to 3x: actions of 1, 0 and -1 are 1.5x, 0.75x and nothing of equity.
    gain = env.gain(np.array([[1.0], [0.0], [-1.0]]), np.array([[0.0], [0.0], [1.0]]))
    expected = [np.log((1 + 1.5 * move) / (1 + 0.75 * move)), 0.0, np.log(1 / (1 + 1.5 * move))]
    np.testing.assert_allclose(gain, expected, rtol=1e-5)  # prices have two decimals
    env.baseline = None
    assert env.gain(np.ones((3, 1)), np.zeros((3, 1))) == 0.0


def test_rewards_of_accounts_that_hold_the_baseline_are_left_with_no_noise():
    env = env_of(lambda observations: np.zeros((len(observations), 1)))
    env.step(np.zeros((3, 1)))
    rewards = np.array([env.step(np.zeros((3, 1)))[1] for _ in range(20)])
    with_price = env.simulator.steps.log_growth
    assert np.abs(rewards).max() < 0.03 * np.abs(with_price).max()
