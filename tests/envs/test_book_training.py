"""PPO of stable-baselines3 learns on books what is known to be better than the rule."""

import numpy as np
import pytest

import gearing
from gearing.envs.book import sb3

pytestmark = pytest.mark.slow

EVEN = "book_inverse_volatility"
# Of the book with a Sharpe ratio of 0.8 the best has a volatility of 0.8 a year; eight contracts with a correlation of
# 0.6 make sqrt(0.6 + 0.4 / 8) = 0.81 of the target. At three times the best volatility it grows by
# 0.64 (2 x 3 - 9) / 2.
LARGE = {"rule": EVEN, "target": 3.0}
SMALL = {"rule": EVEN, "target": 0.7}


def growth(model, env, steps):
    """Mean log growth a year of the accounts under the model's most likely actions, and the mean action."""
    observation, total, actions = env.reset(), 0.0, []
    for _ in range(steps):
        action, _ = model.predict(observation, deterministic=True)
        observation, reward, _, _ = env.step(action)
        total += reward.mean()
        actions.append(action.mean(axis=0))
    return total * 365.0 / steps, np.mean(actions, axis=0)


class Zero:
    """Action 0: the rule."""

    def __init__(self, space):
        self.shape = space.shape

    def predict(self, observation, deterministic):
        return np.zeros((len(observation), *self.shape)), None


@pytest.mark.parametrize(
    "level", [{"level": 1, "rule": LARGE}, {"level": 2, "books": {"large": LARGE, "small": SMALL}}]
)
def test_ppo_learns_to_leave_a_book_that_is_too_large(level):
    from stable_baselines3 import PPO

    market = gearing.synthetic_market("book-merton", seed=0, years=40)

    def make(seed):
        return sb3(32, market=market, episode_length="90d", slippage=0.0, seed=seed, **level)

    model = PPO(
        "MlpPolicy", make(0), n_steps=64, batch_size=512, n_epochs=5, gamma=0.0, learning_rate=2e-3, seed=0,
        device="cpu",
    )  # fmt: skip
    model.learn(40_000)
    learned, actions = growth(model, make(1000), 360)
    rule, _ = growth(Zero(model.action_space), make(1000), 360)
    assert learned > rule + 0.2
    if level["level"] == 1:
        assert actions[0] < -0.3  # less than the rule
    else:
        assert actions[0] < actions[1] - 0.1  # away from the large book
