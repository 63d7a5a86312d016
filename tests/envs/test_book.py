"""The environment of books: action 0 is the rule to the last bit, whatever the interface."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from tests.policies.test_books import ragged

import gearing
from gearing.envs.book import sb3
from gearing.policies import make_rule
from gearing.policies.rules import Average

RULE = {"rule": "book_trend", "windows": ["2d", "5d"], "column": "realized_volatility_7d", "short": 1.0}
EVEN = {"rule": "book_inverse_volatility", "column": "realized_volatility_7d"}
BOOKS = {"trend": RULE, "even": EVEN, "equal": {"rule": "book_equal", "column": "realized_volatility_7d"}}
LEVELS = {1: {"rule": RULE}, 2: {"books": BOOKS}, 3: {"rule": RULE}}
SETTINGS = {"start": "first", "rebalance": "band(0.1)", "blocks": False}


@pytest.fixture(scope="module")
def market():
    return ragged()


@pytest.fixture(scope="module")
def results(market):
    """What action 0 reproduces at each level: the rule, or the average of the books."""
    rule, average = make_rule(RULE), Average(tuple(BOOKS.values()))
    return {
        level: gearing.backtest(policy, market, rebalance="band(0.1)")
        for level, policy in ((1, rule), (2, average), (3, rule))
    }


def equities(step, count):
    return np.array([step() for _ in range(count)])


@pytest.mark.parametrize("level", [1, 2, 3])
def test_action_zero_is_the_rule_in_the_scalar_environment(market, results, level):
    env = gymnasium.make("gearing/Book-v0", market=market, level=level, **LEVELS[level], **SETTINGS)
    env.reset(seed=0)
    actions = {1: 1, 2: len(BOOKS), 3: market.n_contracts}[level]
    assert env.action_space.shape == (actions,)
    expected = results[level].equity[1:]
    found = equities(lambda: env.step(np.zeros(actions, np.float32))[4]["equity"], len(expected))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_action_zero_is_the_rule_in_the_vector_environment(market, results, level):
    env = gymnasium.make_vec(
        "gearing/Book-v0", num_envs=3, market=market, level=level, **LEVELS[level], **SETTINGS
    )
    env.reset(seed=0)
    expected = results[level].equity[1:]
    found = equities(
        lambda: env.step(np.zeros(env.action_space.shape, np.float32))[4]["equity"], len(expected)
    )
    np.testing.assert_array_equal(found, np.repeat(expected[:, None], 3, axis=1))


@pytest.mark.parametrize("level", [1, 2, 3])
def test_action_zero_is_the_rule_for_stable_baselines3(market, results, level):
    env = sb3(2, market=market, level=level, **LEVELS[level], **SETTINGS)
    env.reset()
    expected, actions = results[level].equity[1:], np.zeros((2, *env.action_space.shape))
    found = equities(lambda: [info["equity"] for info in env.step(actions)[3]], len(expected))
    np.testing.assert_array_equal(found, np.repeat(expected[:, None], 2, axis=1))


def test_the_action_is_a_power_of_two_of_the_whole_book(market):
    env = gymnasium.make("gearing/Book-v0", market=market, rule=RULE, octaves=2.0, **SETTINGS).unwrapped
    env.reset(seed=0)
    base = make_rule(RULE).predict(env.simulator.view)[0]
    env.step(np.array([0.5], np.float32))
    np.testing.assert_allclose(env.simulator.decided, np.clip(2.0 * base, -20.0, 20.0))  # 2^(2 x 0.5)


def test_tilts_are_weights_of_the_books_that_sum_to_one(market):
    env = gymnasium.make(
        "gearing/Book-v0", market=market, level=2, books=BOOKS, tilt=2.0, **SETTINGS
    ).unwrapped
    env.reset(seed=0)
    parts = [make_rule(book).predict(env.simulator.view)[0] for book in BOOKS.values()]
    env.step(np.array([0.5, 0.0, -0.5], np.float32))
    # exp(1), exp(0), exp(-1) over their sum 4.08616
    weights = np.array([2.718282, 1.0, 0.367879]) / 4.086161
    np.testing.assert_allclose(env.simulator.decided, np.tensordot(weights, parts, 1), rtol=1e-5)


def test_a_residual_changes_every_contract_by_itself(market):
    env = gymnasium.make("gearing/Book-v0", market=market, level=3, rule=RULE, **SETTINGS).unwrapped
    env.reset(seed=0)
    base = make_rule(RULE).predict(env.simulator.view)[0]
    actions = np.linspace(-1.0, 1.0, market.n_contracts).astype(np.float32)
    env.step(actions)
    np.testing.assert_allclose(env.simulator.decided[0], base[0] * np.exp(0.4 * actions), rtol=1e-6)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_the_environment_passes_gymnasiums_checker(level):
    check_env(gymnasium.make("gearing/Book-v0", level=level).unwrapped, skip_render_check=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rule": "book_trand"}, "Did you mean 'book_trend'"),
        ({"octaves": 0.0}, "octaves is 0.0"),
        ({"action": "leverage"}, "an action of its own"),
        ({"level": 4}, "level is 4; it must be 1, 2 or 3"),
        ({"level": 2, "rule": "book_trend"}, "level 2 does not read rule"),
        ({"books": BOOKS}, "level 1 does not read books"),
        ({"level": 2, "books": {"one": RULE}}, "give at least two"),
        ({"level": 2, "books": BOOKS, "tilt": -1.0}, "tilt is -1.0"),
        ({"level": 3, "residual": 9.0}, "residual is 9.0"),
    ],
)
def test_what_makes_no_environment_is_refused(market, given, message):
    with pytest.raises(ValueError, match=message):
        gymnasium.make("gearing/Book-v0", market=market, **{"blocks": False, **given})


def test_an_action_of_another_shape_is_refused(market):
    env = gymnasium.make("gearing/Book-v0", market=market, rule=RULE, blocks=False).unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match="a number for the book as a whole"):
        env.step(np.zeros(3))
