"""A memory that synthetic markets' regimes teach."""

import numpy as np
import pytest
import torch
from tests.agents.toy import announced_market, toy_config

from gearing.agents import agent_settings, train_agent
from gearing.agents.differentiable.regime_labels import RegimeLabels, coming_regimes
from gearing.features import FeatureSet
from gearing.market import synthetic_market
from gearing.simulation import SimulationConfig, Simulator
from gearing.simulation.config import market_a_settings

COLUMNS = ["log_return", "realized_volatility_24h", "predicted_rate"]
CONFIG = SimulationConfig(**market_a_settings())
SMALL = {
    "algorithm": "differentiable",
    "n_accounts": 32,
    "episode": "60d",
    "validate_every": 100_000,
    "network": {"layers": [8], "memory": 16, "beliefs": 12},
    "parameters": {"n_steps": 48, "learning_rate": 1e-2},
}


def path(seed, years=20.0):
    market = synthetic_market("market-a", seed=seed, years=years)
    return market, FeatureSet(COLUMNS).compute(market)


MARKET, TABLE = path(1)


def test_the_regime_taught_at_a_close_is_that_of_the_bar_that_opens_there():
    taught = coming_regimes(MARKET)
    drift, volatility = MARKET.truth["regime"][1:, 0], MARKET.truth["volatility_regime"][1:, 0]
    np.testing.assert_array_equal(taught[:-1], 4 * drift + volatility)


def test_labels_follow_decisions_through_several_markets():
    other, table = path(2, years=2.0)
    simulator = Simulator([MARKET, other], [TABLE, table], CONFIG, n_accounts=1)
    labels = RegimeLabels(simulator, 12)
    certain = torch.full((1, 1, 12), -50.0)
    boundary = simulator.tape.boundaries[0]
    index = torch.tensor([[boundary.size - 1 + 10]])  # the eleventh decision of the second market
    bar = int(simulator.tape.rows.bar[simulator.tape.boundaries[1][10] - 1, 0]) - MARKET.n_bars
    certain[0, 0, coming_regimes(other)[bar]] = 50.0
    assert float(labels.loss(certain, index)) == pytest.approx(0.0, abs=1e-6)


def test_a_memory_that_is_taught_knows_more_of_the_regime_than_its_shares():
    # entropy of the regimes' own shares: what one who sees nothing is surprised by on average
    shares = np.bincount(coming_regimes(MARKET), minlength=12) / MARKET.n_bars
    blind = -(shares[shares > 0] * np.log(shares[shares > 0])).sum()
    told = []

    class Record:
        def log_metrics(self, metrics, step=None):
            told.append(metrics.get("train/belief_cross_entropy"))

        def __getattr__(self, name):
            return lambda *_, **__: None

    train_agent(SMALL, MARKET, TABLE, CONFIG, seed=0, total_decisions=200_000, run=Record())
    last = [value for value in told if value is not None][-1]
    assert last < blind - 0.15


def test_growth_does_not_teach_the_memory():
    from gearing.agents.differentiable.learner import DifferentiableLearner

    config = CONFIG.with_(start="random", episode_length="60d")
    learner = DifferentiableLearner(agent_settings(SMALL), [MARKET], [TABLE], config, 0, 4096, {})
    index = torch.from_numpy(learner.rows)[:, None] + torch.arange(48)
    priced, *_ = learner.unroll(index)
    priced.mean().backward()
    member = learner.network.members[0]
    assert all(p.grad is None for part in member.regime_layers() for p in part.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in member.body.parameters())


def test_a_history_without_regimes_is_refused():
    market, table = announced_market()
    with pytest.raises(ValueError, match="does not know its regimes"):
        train_agent(SMALL, market, table, toy_config(), seed=0)


def test_too_few_beliefs_and_beliefs_without_a_memory_are_refused():
    with pytest.raises(ValueError, match=r"set network\.beliefs to 12"):
        train_agent({**SMALL, "network": {"memory": 4, "beliefs": 3}}, MARKET, TABLE, CONFIG, seed=0)
    with pytest.raises(ValueError, match="a belief needs a memory"):
        train_agent({**SMALL, "network": {"memory": 0, "beliefs": 12}}, MARKET, TABLE, CONFIG, seed=0)
