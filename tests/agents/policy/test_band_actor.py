"""An actor with a no-trade band trades to its nearer edge, and holds inside it, in whatever direction."""

import numpy as np
import pytest
import torch
from tests.agents.test_training import HELD_OUT, MARKET, TABLE, TINY
from tests.agents.toy import toy_config

from gearing.agents import agent_settings, load_policy, train_agent
from gearing.agents.hyperparameter_checks import check_hyperparameters
from gearing.agents.policy.band_actor import BandHead
from gearing.export.graph import TargetLeverage
from gearing.simulation import Simulator

BANDED = {**TINY, "network": {**TINY["network"], "band": True}}


def trained(agent=BANDED, **config):
    return train_agent(agent, MARKET, TABLE, toy_config(**config), seed=3, total_decisions=512).policy


def test_the_mode_is_the_held_leverage_clipped_to_the_band():
    head = BandHead(hidden=2, factor=[2.0], offset=[-1.0])
    with torch.no_grad():
        head.edges.weight[:] = 0.0
        head.edges.bias[:] = torch.tensor([0.2, 0.0])  # half width softplus(0) = ln 2 / 10 = 0.0693
    held = torch.tensor([0.0, 0.58, 0.62, 1.0])  # holding is the action 2 h - 1: -1, 0.16, 0.24, 1
    modes = head(torch.stack([torch.zeros(4), torch.zeros(4), held], dim=1)).detach().numpy().ravel()
    np.testing.assert_allclose(modes, [0.2 - 0.0693, 0.16, 0.24, 0.2 + 0.0693], atol=1e-4)


@pytest.mark.parametrize("direction", ["free", "long", "short"])
def test_inside_the_band_the_account_keeps_its_leverage(direction):
    config = toy_config(direction=direction)
    policy = trained(direction=direction)
    simulator = Simulator(MARKET, TABLE, config, n_accounts=3)
    sign = -1.0 if direction == "short" else 1.0
    simulator.reset([0, 1, 2])
    simulator.step(sign * np.array([[0.5], [1.0], [2.5]]))
    held = simulator.view["effective_leverage"].astype(np.float64)
    assert (np.abs(held) > 0.2).all()
    with torch.no_grad():
        policy.network.action_net.edges.bias[1] = 5.0  # half width 5: the band holds all leverages
    actions, _ = policy.network.predict(simulator.observations, deterministic=True)
    # A target is of the margin share, 0.5 of equity.
    np.testing.assert_allclose(0.5 * simulator.targets(actions), held, atol=1e-5)


def test_the_band_does_not_depend_on_the_leverage_held():
    network = trained().network
    features = torch.rand(5, 8)
    features[:, network.mlp_extractor.held] = 0.0
    moved = features.clone()
    moved[:, network.mlp_extractor.held] = 1.0
    before, after = (network.mlp_extractor.forward_actor(x)[:, :-1] for x in (features, moved))
    torch.testing.assert_close(before, after, rtol=0, atol=0)
    assert not torch.equal(
        network.mlp_extractor.forward_critic(features), network.mlp_extractor.forward_critic(moved)
    )


def test_a_stored_policy_and_its_graph_decide_the_same(tmp_path):
    policy = trained()
    simulator = Simulator(*HELD_OUT, toy_config(), n_accounts=4)
    simulator.reset([0, 1, 2, 3])
    simulator.step(np.array([[0.0], [0.5], [1.0], [2.5]]))
    expected, _ = policy.network.predict(simulator.observations, deterministic=True)
    loaded = load_policy(policy.save(tmp_path / "policy"))
    np.testing.assert_array_equal(
        loaded.network.predict(simulator.observations, deterministic=True)[0], expected
    )
    graph = TargetLeverage(loaded, simulator.layout, toy_config())(
        torch.from_numpy(simulator.observations.copy())
    )
    np.testing.assert_allclose(graph.detach().numpy(), simulator.targets(expected), rtol=1e-5, atol=1e-6)


def test_it_begins_at_the_leverage_that_is_chosen():
    agent = {**BANDED, "network": {**BANDED["network"], "start_leverage": 0.3}}
    policy = train_agent(
        agent, MARKET, TABLE, toy_config(), seed=3, total_decisions=1, validation=None
    ).policy
    # 0.3 of equity is a target of 0.6, an action of 2 x 0.6 / 3 - 1 = -0.6; one update moves it a little.
    assert float(policy.network.action_net.bias[0].detach()) == pytest.approx(-0.6, abs=0.1)


@pytest.mark.parametrize(
    ("agent", "config", "message"),
    [
        (BANDED, {"action": "tiers"}, "network.band is for action 'leverage'"),
        ({**BANDED, "columns": ["market"]}, {}, "network.band needs the column effective_leverage"),
        (
            {**BANDED, "clip": 0.9},
            {},
            "network.band needs leverages up to 1.5 of equity, and clip 0.9 cuts them at 1.35",
        ),
    ],
)
def test_a_band_that_cannot_be_is_refused(agent, config, message):
    with pytest.raises(ValueError, match=message):
        trained(agent, **config)


def test_only_agents_with_an_actor_of_this_kind_take_a_band():
    check_hyperparameters(agent_settings("a2c", network={"band": True}))
    with pytest.raises(ValueError, match="sac has no network setting 'band'"):
        check_hyperparameters(agent_settings("sac", network={"band": True}))
    with pytest.raises(TypeError, match=r"ppo: network\.band is 'yes'; it must be true or false"):
        check_hyperparameters(agent_settings("ppo", network={"band": "yes"}))
