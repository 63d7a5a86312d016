"""What is computed ahead or side by side answers as what is computed decision by decision, path by path."""

import numpy as np
import pytest
from tests.agents.test_training import HELD_OUT, MARKET, TABLE
from tests.agents.toy import announced_market, toy_config

from gearing.agents import growth_per_year, train_agent
from gearing.agents.policy.precomputed_bands import PrecomputedBands, precompute_bands
from gearing.agents.scoring import Scorer
from gearing.evaluation.backtesting import backtest
from gearing.evaluation.playing import decision_rows
from gearing.policies.rules import FixedLeverage
from gearing.simulation.simulator import Simulator

AGENT = {"algorithm": "differentiable", "n_accounts": 32, "episode": "64d", "scaling": "standard"}


class Stepwise:
    """A policy without its way to look ahead."""

    def __init__(self, policy):
        self.predict = policy.predict
        self.required_columns, self.action_scheme = policy.required_columns, policy.action_scheme


def trained(config, **network):
    settings = {**AGENT, "network": {"layers": [8], **network}}
    return train_agent(settings, MARKET, TABLE, config, seed=1, total_decisions=8_192).policy


@pytest.mark.parametrize("direction", ["long", "short", "free", "signal:tomorrow"])
def test_bands_of_a_whole_path_are_those_of_each_decision(direction):
    config = toy_config(direction=direction, start="first")
    policy = trained(config, members=2)
    ahead, stepwise = (backtest(p, *HELD_OUT, **vars(config)) for p in (policy, Stepwise(policy)))
    assert np.nanmax(np.abs(stepwise.target)) > 0.0
    np.testing.assert_allclose(ahead.target, stepwise.target, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ahead.equity, stepwise.equity, rtol=1e-5)


def test_a_policy_that_remembers_is_called_at_every_decision():
    policy = trained(toy_config(), memory=4)
    simulator = Simulator(*HELD_OUT, toy_config(start="first"))
    simulator.reset(seed=0)
    rows = decision_rows(simulator)
    assert precompute_bands(policy, simulator, rows) is policy
    assert isinstance(precompute_bands(trained(toy_config()), simulator, rows), PrecomputedBands)


def test_paths_of_different_length_side_by_side_score_as_each_alone():
    config = toy_config()
    pairs = [HELD_OUT, announced_market(n_days=61, seed=2), announced_market(n_days=200, seed=3)]
    for policy in (trained(config), FixedLeverage(1.5)):
        together = Scorer([m for m, _ in pairs], [t for _, t in pairs], config).parts(policy)
        for (market, table), (growth, length) in zip(pairs, together, strict=True):
            (alone, decisions), *_ = Scorer([market], [table], config).parts(policy)
            np.testing.assert_array_equal(length, decisions)
            np.testing.assert_allclose(growth, alone, rtol=1e-6)
        markets, tables = zip(*pairs, strict=True)
        years = sum(length.sum() for _, length in together) / 365
        whole = sum(growth.sum() for growth, _ in together) / years
        assert growth_per_year(policy, list(markets), list(tables), config) == pytest.approx(whole)
