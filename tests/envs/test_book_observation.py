"""The observation of books: its blocks by hand, the same in all interfaces, and nothing of later bars."""

import gymnasium
import numpy as np
import pytest

import gearing
from gearing.envs.book import sb3
from gearing.envs.book_observation import BLOCK, FEATURES, KNOWN, RANKS, WEIGHT, block, ranks
from gearing.policies import make_rule
from gearing.policies.controls import DrawdownFloor

RULE = {"rule": "book_trend", "signal": "channel", "windows": ["5d", "20d"]}


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("book-drift", seed=4, years=0.6, n_contracts=4)


def make(market, **settings):
    return gymnasium.make("gearing/Book-v0", market=market, rule=RULE, start="first", **settings).unwrapped


def test_ranks_are_those_of_known_contracts_and_shared_by_equal_ones():
    values = np.array([[3.0, 1.0, 2.0, 9.0], [5.0, 5.0, 1.0, 0.0], [7.0, 0.0, 0.0, 0.0]])
    known = np.array([[1, 1, 1, 0], [1, 1, 1, 0], [1, 0, 0, 0]], bool)
    # of three: lowest -1, middle 0, highest 1; two equal highest share (0 + 1) / 2; one alone has no rank
    expected = [[1.0, -1.0, 0.0, 0.0], [0.5, 0.5, -1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    np.testing.assert_array_equal(ranks(values, known), expected)


def test_the_blocks_by_hand():
    view = {
        KNOWN: [[1.0, 1.0, 0.0]], "scaled_momentum_60d": [[2.0, -1.0, 9.0]],
        "realized_volatility_30d": [[0.5, 1.0, 9.0]], "funding_carry_30d": [[0.1, 0.3, 9.0]],
        "mean_correlation_30d": [[0.5, 0.5, 9.0]], "log_quote_volume_30d": [[3.0, 4.0, 9.0]],
        WEIGHT: [[0.4, 0.2, 0.0]], "effective_leverage": [[0.6, -0.3, 0.0]], "margin_ratio": [[0.1, 0.1, 0.0]],
        "drawdown": [[0.1]],
    }  # fmt: skip
    found = block({name: np.array(values, np.float32) for name, values in view.items()}, limit=0.4)
    assert found["market_volatility"] == pytest.approx([0.75])
    assert found["market_trend"] == pytest.approx([0.5])
    assert found["market_breadth"] == pytest.approx([0.5])
    assert found["market_dispersion"] == pytest.approx([1.5])
    assert found["market_carry"] == pytest.approx([0.2])
    assert found["leader_trend"] == pytest.approx([-1.0])  # of the second, which has the largest known volume
    assert found["rule_gross"] == pytest.approx([0.6])
    # risks 0.2 and 0.2: sqrt(0.5 x 0.08 + 0.5 x 0.16) = sqrt(0.12); held 0.3 and -0.3: sqrt(0.5 x 0.18)
    assert found["rule_volatility"] == pytest.approx([np.sqrt(0.12)])
    assert found["gross"] == pytest.approx([0.9])
    assert found["book_volatility"] == pytest.approx([0.3])
    assert found["margin_use"] == pytest.approx([0.1])
    assert found["floor_distance"] == pytest.approx([0.75])


def test_the_blocks_are_observed_after_everything_else_and_change_no_decision(market):
    env = make(market, controls=[DrawdownFloor(limit=0.5)])
    observation, _ = env.reset(seed=0)
    names = env.simulator.layout.names
    assert names[-len(BLOCK) :] == tuple(BLOCK)
    assert {f"{WEIGHT}[C01-SYN]", f"{KNOWN}[C01-SYN]", "rank_trend[C01-SYN]"} <= set(names)
    expected = gearing.backtest(make_rule(RULE), market, controls=[DrawdownFloor(limit=0.5)])
    np.testing.assert_array_equal(env.simulator.time[0], expected.time[0])
    view = env.simulator.view
    rule = make_rule(RULE).predict(view)[0][0] / market.n_contracts
    np.testing.assert_allclose(view[WEIGHT][0], rule, rtol=1e-6)
    for k in range(len(expected.target)):
        observation, _, _, _, info = env.step(np.zeros(1, np.float32))
        assert info["equity"] == expected.equity[k + 1]
    place = {name: k for k, name in enumerate(names)}
    assert observation[place["gross"]] == pytest.approx(np.abs(expected.leverage[-1]).sum(), rel=1e-5)
    assert observation[place["floor_distance"]] == pytest.approx(
        1.0 - observation[place["drawdown"]] / 0.5, abs=1e-6
    )
    assert observation in env.observation_space


def test_all_interfaces_observe_the_same(market):
    one, many = (
        make(market),
        gymnasium.make_vec("gearing/Book-v0", 2, market=market, rule=RULE, start="first"),
    )
    other = sb3(2, market=market, rule=RULE, start="first")
    seen, _ = one.reset(seed=0)
    both, _ = many.reset(seed=0)
    third = other.reset()
    for action in (0.0, 0.7, -1.0):
        np.testing.assert_array_equal(both, np.repeat(seen[None], 2, axis=0))
        np.testing.assert_array_equal(both, third)
        seen = one.step(np.full(1, action, np.float32))[0]
        both = many.step(np.full((2, 1), action, np.float32))[0]
        third = other.step(np.full((2, 1), action))[0]


def test_an_observation_knows_nothing_of_later_bars(market):
    changed = market.last.copy()
    changed[150:] *= np.exp(np.random.default_rng(0).normal(0.0, 0.3, changed[150:, :, :1].shape))
    other = market.replace(last=changed, mark=changed)
    seen = []
    for one in (market, other):
        env = make(one)
        rows = [env.reset(seed=0)[0]]
        while env.simulator.accounts.row[0] < 150:
            rows.append(env.step(np.array([0.3], np.float32))[0])
        seen.append(np.array(rows))
    assert len(seen[0]) > 20
    np.testing.assert_array_equal(seen[0], seen[1])


def test_contracts_without_enough_history_are_marked(market):
    env = make(market)
    env.reset(seed=0)
    view = env.simulator.view
    # the rule decides after 30 days, of its volatility; the longest trend needs 120
    assert view[KNOWN].tolist() == [[0.0] * 4]
    assert all((view[name] == 0.0).all() for name in (*RANKS, "scaled_momentum_120d", "funding_carry_7d"))
    while env.simulator.accounts.row[0] < 125:
        env.step(np.zeros(1, np.float32))
    assert env.simulator.view[KNOWN].tolist() == [[1.0] * 4]
    assert (env.simulator.view["scaled_momentum_120d"] != 0.0).all()


def test_a_seed_gives_the_same_episodes_again(market):
    def episode():
        env = gymnasium.make("gearing/Book-v0", market=market, rule=RULE, episode_length="30d")
        rows = [env.reset(seed=7)[0]]
        rows += [env.step(np.array([0.5], np.float32))[0] for _ in range(30)]
        return np.array(rows)

    np.testing.assert_array_equal(episode(), episode())


def test_features_of_the_block_are_registered():
    assert all(gearing.features.is_feature(name) for name in FEATURES)
