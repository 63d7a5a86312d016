"""The environment of books: action 0 is the rule to the last bit, whatever the interface."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from tests.policies.test_books import ragged

import gearing
from gearing.envs.book import sb3
from gearing.policies import make_rule

RULE = {"rule": "book_trend", "windows": ["2d", "5d"], "column": "realized_volatility_7d", "short": 1.0}
SETTINGS = {"start": "first", "rebalance": "band(0.1)"}


@pytest.fixture(scope="module")
def market():
    return ragged()


@pytest.fixture(scope="module")
def result(market):
    return gearing.backtest(make_rule(RULE), market, rebalance="band(0.1)")


def equities(step, count):
    return np.array([step() for _ in range(count)])


def test_action_zero_is_the_rule_in_the_scalar_environment(market, result):
    env = gymnasium.make("gearing/Book-v0", market=market, rule=RULE, **SETTINGS)
    env.reset(seed=0)
    assert env.action_space.shape == (1,)
    found = equities(lambda: env.step(np.zeros(1, np.float32))[4]["equity"], len(result.target))
    np.testing.assert_array_equal(found, result.equity[1:])


def test_action_zero_is_the_rule_in_the_vector_environment(market, result):
    env = gymnasium.make_vec("gearing/Book-v0", num_envs=3, market=market, rule=RULE, **SETTINGS)
    env.reset(seed=0)
    found = equities(lambda: env.step(np.zeros((3, 1), np.float32))[4]["equity"], len(result.target))
    np.testing.assert_array_equal(found, np.repeat(result.equity[1:, None], 3, axis=1))


def test_action_zero_is_the_rule_for_stable_baselines3(market, result):
    env = sb3(2, market=market, rule=RULE, **SETTINGS)
    env.reset()
    found = equities(lambda: [info["equity"] for info in env.step(np.zeros((2, 1)))[3]], len(result.target))
    np.testing.assert_array_equal(found, np.repeat(result.equity[1:, None], 2, axis=1))


def test_the_action_is_a_power_of_two_of_the_whole_book(market):
    env = gymnasium.make("gearing/Book-v0", market=market, rule=RULE, octaves=2.0, **SETTINGS).unwrapped
    env.reset(seed=0)
    base = make_rule(RULE).predict(env.simulator.view)[0]
    env.step(np.array([0.5], np.float32))
    np.testing.assert_allclose(env.simulator.decided, np.clip(2.0 * base, -20.0, 20.0))  # 2^(2 x 0.5)


def test_the_environment_passes_gymnasiums_checker():
    check_env(gymnasium.make("gearing/Book-v0").unwrapped, skip_render_check=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rule": "book_trand"}, "Did you mean 'book_trend'"),
        ({"octaves": 0.0}, "octaves is 0.0"),
        ({"action": "leverage"}, "an action of its own"),
    ],
)
def test_what_makes_no_environment_is_refused(market, given, message):
    with pytest.raises(ValueError, match=message):
        gymnasium.make("gearing/Book-v0", market=market, **given)


def test_an_action_of_another_shape_is_refused(market):
    env = gymnasium.make("gearing/Book-v0", market=market, rule=RULE).unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match="a number for the book as a whole"):
        env.step(np.zeros(3))
