"""The agent for books: its policy begins as the rule, is repeatable, and plays on any contracts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import gearing
from gearing.agents.policy.learned import load_policy
from gearing.agents.training import train_agent
from gearing.evaluation.backtesting import backtest
from gearing.features import FeatureSet
from gearing.policies.registry import make_rule
from gearing.simulation import SimulationConfig
from gearing.simulation.actions import ResidualScheme

RULE = {"rule": "book_trend", "windows": ["10d", "20d"], "short": 1.0, "column": "realized_volatility_20d"}
ACCOUNT = {"direction": "free", "margin_mode": "cross", "max_leverage": 20.0}
COLUMNS = ["scaled_momentum_10d", "scaled_momentum_20d"]
SMALL = {
    "algorithm": "differentiable_book", "total_decisions": 3 * 8 * 60, "n_accounts": 8, "episode": "60d",
    "columns": COLUMNS, "network": {"members": 2},
}  # fmt: skip


def book(symbols=("A", "B", "C"), seed=3):
    market = gearing.synthetic_market("book-drift", seed=seed, years=0.8, contracts=list(symbols))
    rule = make_rule(RULE)
    return market, rule, FeatureSet(list(rule.required_columns)).compute(market)


def trained(agent=None, seed=0, action="residual", symbols=("A", "B", "C"), **settings):
    market, rule, table = book(symbols)
    scheme = ResidualScheme(20.0, rule) if action == "residual" else action
    config = SimulationConfig(**ACCOUNT, action=scheme)
    return train_agent({**SMALL, **(agent or {}), **settings}, market, table, config, seed=seed).policy


def weights(policy):
    return [
        value.detach().numpy().copy() for value in policy.network.state_dict().values() if value is not None
    ]


def test_a_policy_of_zero_weights_is_the_rule_to_the_last_bit():
    market, rule, table = book()
    policy = trained()
    assert max(abs(w).max() for w in (one.detach() for one in policy.network.weights)) > 0.0
    with torch.no_grad():
        for weight in policy.network.parameters():
            weight.zero_()
    mine, rules = (backtest(one, market, table, **ACCOUNT) for one in (policy, rule))
    np.testing.assert_array_equal(mine.equity, rules.equity)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    first, again, other = (weights(trained(seed=seed)) for seed in (0, 0, 1))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any((one != two).any() for one, two in zip(first, other, strict=True))


def test_a_member_is_the_agent_of_its_own_seed():
    both = trained().network
    second = trained(seed=1, network={"members": 1}).network
    torch.testing.assert_close(both.weights[0][1], second.weights[0][0], rtol=1e-4, atol=1e-6)


def test_it_plays_on_other_contracts_as_if_they_were_its_own():
    policy = trained()
    market, _, table = book(("X", "Y", "Z", "V", "W"), seed=9)
    order = ["W", "X", "Z", "V", "Y"]
    one = backtest(policy, market, table, **ACCOUNT)
    permuted = market.select(order)
    rule = make_rule(RULE)
    two = backtest(policy, permuted, FeatureSet(list(rule.required_columns)).compute(permuted), **ACCOUNT)
    np.testing.assert_allclose(one.equity, two.equity, rtol=1e-5)
    own = policy.for_contracts(market.symbols)
    np.testing.assert_array_equal(backtest(own, market, table, **ACCOUNT).equity, one.equity)
    with pytest.raises(ValueError, match="scaled_momentum_10d"):
        backtest(policy, market, FeatureSet(["log_return"]).compute(market), **ACCOUNT)


def test_a_saved_policy_plays_the_same(tmp_path):
    market, _, table = book()
    policy = trained(network={"members": 2, "known_region": True, "layers": [3]})
    again = load_policy(policy.save(tmp_path))
    one, two = (backtest(each, market, table, **ACCOUNT) for each in (policy, again))
    np.testing.assert_array_equal(one.equity, two.equity)


def test_outside_the_known_region_it_is_the_rule():
    policy = trained(network={"members": 1, "known_region": True})
    network = policy.network
    count = len(policy.description.columns)
    place = policy.description.columns.index("scaled_momentum_10d")
    blocks = torch.ones(2, 3, count)
    blocks[:, 0, place], blocks[0, :, place] = 0.5, 0.0
    blocks[1, :, place] = 50.0  # beyond what training saw of this mean
    network.clip = 100.0
    action = network.of_members(blocks)[0]
    assert (action[1] == 0.0).all()


def test_exposures_learn_a_constant_drift():
    """Constant drifts of one Sharpe ratio earn for longs in inverse proportion to volatility; a linear
    function of trends has only its constant to find the side with."""
    market = gearing.synthetic_market("book-merton", seed=2, years=3.0, sharpe=3.0)
    table = FeatureSet(["available", *COLUMNS, "realized_volatility_20d"]).compute(market)
    agent = {
        **SMALL, "total_decisions": 15 * 8 * 60, "network": {"volatility": "realized_volatility_20d", "members": 1},
    }  # fmt: skip
    policy = train_agent(agent, market, table, SimulationConfig(**ACCOUNT, action="leverage"), seed=0).policy
    result = backtest(policy, market, table, **ACCOUNT)
    assert (result.target.mean(axis=0) > 0.0).all()
    assert result.row["log_growth"] > 0.0


@pytest.mark.parametrize(("share", "held"), [(0.0, True), (1.0, False)])
def test_a_share_of_the_penalty_acts_on_the_constant_of_exposures(share, held):
    """A prior of next to no variance leaves no weight of trends. The constant that it spares is the mean of the book of
    equal risks over its mean square: exposures of 0.3 / volatility / 8. Blocks without end are the history itself."""
    market = gearing.synthetic_market("book-merton", seed=2, years=3.0, sharpe=3.0)
    table = FeatureSet(["available", *COLUMNS, "realized_volatility_20d"]).compute(market)
    still = {"learning_rate": 1e-12, "final_learning_rate": 1e-12, "mean_block": 1e9}
    agent = {
        **SMALL, "total_decisions": 8 * 60, "network": {"volatility": "realized_volatility_20d", "members": 1},
        "parameters": {"penalty": 1e9, "constant": share, **still},
    }  # fmt: skip
    policy = train_agent(agent, market, table, SimulationConfig(**ACCOUNT, action="leverage"), seed=0).policy
    close, volatility = market.last[:, :, 3], table.column("realized_volatility_20d")
    earned = (0.3 / volatility[:-1] / 8 * (close[1:] / close[:-1] - 1.0)).sum(axis=1)
    earned = earned[np.isfinite(earned)]
    constant = earned.mean() / np.square(earned).mean() if held else 0.0
    assert abs(policy.network.weights[0].detach()).max() < 1e-6
    assert float(policy.network.biases[0].detach().max()) == pytest.approx(constant, rel=0.02, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameters": {"constant": -1.0}}, "must be 0 or more"),
        ({"parameters": {"budget": 1.5}}, "fraction in"),
        ({"parameters": {"span": 1}}, "at least 2 decisions"),
        ({"network": {"octaves": 2.0}}, r"must be in \(0, 1\]"),
        ({"network": {"own": False, "shared": False}}, "own columns, shared means"),
        ({"columns": ["log_return"]}, "reads market columns"),
        ({"network": {"octave": 0.5}}, "octaves"),
        ({"device": "cuda"}, "trains on the CPU"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises((ValueError, TypeError), match=message):
        trained(changes)


def test_exposures_name_their_volatility():
    with pytest.raises(ValueError, match="name the column that exposures are divided"):
        trained(action="leverage")


def test_other_rewards_and_sides_by_signal_are_refused():
    market, rule, table = book()
    config = SimulationConfig(**ACCOUNT, action=ResidualScheme(20.0, rule))
    with pytest.raises(ValueError, match="growth on a budget of drawdown"):
        train_agent(SMALL, market, table, replace(config, reward="mean_variance"), seed=0)
