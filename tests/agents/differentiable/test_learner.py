import numpy as np
import pytest
import torch
from tests.agents.test_training import MARKET, TABLE, VALIDATION, Killed, assert_same, killed_after, weights
from tests.agents.toy import RandomLeverage, best_growth_per_year, run_graph, toy_config

from gearing.agents import growth_per_year, load_policy, train_agent
from gearing.agents.differentiable.learner import DifferentiableLearner
from gearing.agents.settings import agent_settings
from gearing.export.graph import write_policy_graph
from gearing.market.oracle.best_leverage import oracle_for
from gearing.market.synthetic.generators import synthetic_market
from gearing.policies.oracle import state_table
from gearing.simulation import ObservationLayout, SimulationConfig
from gearing.simulation.config import market_a_settings

SMALL = {
    "algorithm": "differentiable",
    "n_accounts": 32,
    "episode": "64d",
    "scaling": "standard",
    "validate_every": 16_384,
    "checkpoint_seconds": 0,
    "network": {"layers": [8]},
    "parameters": {"n_steps": 16, "learning_rate": 0.02},
}
CONFIG = toy_config()


def train(agent=SMALL, config=CONFIG, **changes):
    arguments = {"seed": 3, "total_decisions": 16_384, "validation": VALIDATION, **changes}
    return train_agent(agent, MARKET, TABLE, config, **arguments)


@pytest.mark.parametrize("direction", ["long", "short", "free", "signal:tomorrow"])
def test_it_beats_a_bar_that_a_random_policy_misses(direction):
    config = toy_config(direction=direction)
    both_ways = direction in ("free", "signal:tomorrow")  # these earn on losses as well
    best = best_growth_per_year(config) * (2 if both_ways else 1)
    agent = train(config=config, total_decisions=65_536)
    assert growth_per_year(agent.policy, *VALIDATION, config) > 0.8 * best
    # Where the signal names the side, chance has half of the best leverage, and so about half of its growth.
    random = 0.6 if direction == "signal:tomorrow" else 0.4
    assert growth_per_year(RandomLeverage(3.0), *VALIDATION, config) < random * best


def test_the_band_of_a_market_without_drift_and_with_costs_holds_zero():
    """Noise alone is seen, prices move by chance: trading only costs, so a flat account stays flat."""
    blind = {**SMALL, "columns": ["noise"]}
    agent = train(blind, config=toy_config(slippage=0.01), total_decisions=131_072)
    assert abs(growth_per_year(agent.policy, *VALIDATION, toy_config(slippage=0.01))) < 0.3


@pytest.mark.parametrize(
    "network", [{"layers": [8]}, {"layers": [8], "memory": 4}, {"layers": [8], "members": 2}]
)
def test_a_training_killed_and_resumed_ends_with_the_weights_of_an_uninterrupted_one(network, tmp_path):
    agent = {**SMALL, "network": network}
    whole = train(agent)
    with pytest.raises(Killed):
        train(agent, checkpoint_dir=tmp_path, progress=killed_after(9))
    assert_same(weights(whole), weights(train(agent, checkpoint_dir=tmp_path, resume=True)))


def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    one, same, other = (weights(train(seed=seed)) for seed in (3, 3, 4))
    assert_same(one, same)
    assert any((one[name] != other[name]).any() for name in one if name.endswith("weight"))


@pytest.mark.parametrize(
    "network", [{"layers": [8]}, {"layers": [8], "memory": 4}, {"layers": [8], "members": 3}]
)
def test_a_saved_policy_decides_as_before(network, tmp_path):
    agent = train({**SMALL, "network": network})
    loaded = load_policy(agent.policy.save(tmp_path / "policy"))
    assert growth_per_year(loaded, *VALIDATION, CONFIG) == growth_per_year(agent.policy, *VALIDATION, CONFIG)


def test_an_ensembles_band_is_the_mean_of_its_members():
    network = train({**SMALL, "network": {"layers": [8], "members": 2}}).policy.network
    raw = np.random.default_rng(0).normal(size=(5, 1, 8)).astype(np.float32)
    with torch.no_grad():
        whole = network.band(torch.from_numpy(raw))
        parts = [network.band(torch.from_numpy(raw), member=k) for k in (0, 1)]
    np.testing.assert_allclose(whole[0], (parts[0][0] + parts[1][0]) / 2, rtol=1e-5)


@pytest.mark.parametrize("direction", ["long", "short", "free", "signal:tomorrow"])
def test_its_graph_returns_targets_and_holds_inside_the_band(direction, tmp_path):
    config = toy_config(direction=direction)
    agent = train(config=config)
    layout = ObservationLayout.of(TABLE, MARKET.symbols)
    write_policy_graph([agent.policy], layout, config, tmp_path / "policy.onnx")
    rng = np.random.default_rng(1)
    observations = rng.uniform(-1.5, 1.5, (400, layout.size)).astype(np.float32)
    with torch.no_grad():
        low, high, *_ = agent.policy.network.band(torch.from_numpy(observations)[:, None])
    inside = 0.5 * (low + high)[:200, 0, 0].numpy()
    observations[:200, layout.locate("effective_leverage")] = inside[
        :, None
    ]  # half of the accounts need not trade
    found = run_graph(tmp_path / "policy.onnx", observations)
    expected, _ = agent.policy.network.predict(observations, None, None, True)
    sign = -1.0 if direction == "short" else 1.0
    if direction == "signal:tomorrow":
        sign = observations[:, :1]
    np.testing.assert_allclose(found, sign * expected, rtol=1e-5, atol=1e-5)
    assert np.isnan(found).any()


def test_costs_rise_from_nothing_to_their_full_size():
    settings = agent_settings({**SMALL, "cost_warmup": 0.5})
    config = CONFIG.with_(start="random", episode_length="64d")
    learner = DifferentiableLearner(settings, [MARKET], [TABLE], config, 0, 4096, {})
    charged = []
    for _ in range(8):  # 512 decisions each
        learner.update()
        charged.append(learner.ledger.costs.fees)
    assert charged == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="Did you mean 'learning_rate'"):
        train({**SMALL, "parameters": {"lerning_rate": 1.0}})
    with pytest.raises(ValueError, match="reads market columns"):
        train({**SMALL, "columns": ["drawdown"]})
    with pytest.raises(ValueError, match="a probability"):
        train({**SMALL, "parameters": {"liquidation_budget": 5.0}})
    with pytest.raises(ValueError, match="randomise has no 'fee'"):
        train({**SMALL, "randomise": {"fee": [0.5, 2.0]}})
    with pytest.raises(ValueError, match=r"n_steps.*longer span"):
        train({**SMALL, "episode": None, "parameters": {"n_steps": 1000}})


@pytest.mark.slow
def test_on_a_market_with_one_drift_and_one_volatility_it_finds_mertons_leverage():
    """Drift 0.5 and volatility 0.5 a year: 0.5 / 0.5^2 = 2 is best, give or take the sample's own drift."""
    market = synthetic_market("market-a", seed=3, years=300, variant="merton")
    table, config = state_table(market), SimulationConfig(**market_a_settings())
    settings = {
        "algorithm": "differentiable",
        "network": {"layers": [8]},
        "parameters": {"learning_rate": 5e-3},
    }
    agent = train_agent(settings, market, table, config, seed=0, total_decisions=2_000_000)
    oracle = oracle_for(market)
    with torch.no_grad():
        columns = torch.from_numpy(np.zeros((1, 1, 10), np.float32))
        columns[..., :4] = torch.from_numpy(table.values[0])
        low, high, *_ = agent.policy.network.band(columns)
    returns = market.close[1:, 0] / market.close[:-1, 0] - 1.0
    luck = returns.mean() / returns.var() - 2.0  # 300 years leave a standard error of 0.12
    assert abs(luck) < 0.36
    assert abs(float(low + high) / 2 - luck - (oracle.lower[0] + oracle.upper[0]) / 2) < 0.15
    assert 0.0 < float(high - low) < 1.5
