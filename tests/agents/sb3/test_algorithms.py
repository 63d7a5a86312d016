"""Every agent learns the announced market, says the same after a kill, and answers the same after saving."""

from dataclasses import replace

import numpy as np
import pytest
from tests.agents.test_training import MARKET, TABLE, VALIDATION, Killed, assert_same, killed_after, weights
from tests.agents.toy import RandomLeverage, best_growth_per_year, toy_config

from gearing.agents import agent_names, agent_settings, growth_per_year, load_policy, train_agent
from gearing.agents.policy.algorithms import ALGORITHMS
from gearing.contracts import TierSchedule
from gearing.evaluation.backtesting import backtest
from gearing.export.graph import TargetLeverage
from gearing.simulation import ObservationLayout, Simulator

# What differs from the shipped settings so that a market of 400 days is learned in seconds.
QUICK = {
    "a2c": {"n_accounts": 32, "total_decisions": 24_576, "parameters": {"n_steps": 8, "learning_rate": 0.01}},
    "recurrent_ppo": {
        "n_accounts": 16, "total_decisions": 6_144, "network": {"layers": [8], "lstm_hidden_size": 8},
        "parameters": {"n_steps": 16, "batch_size": 128, "n_epochs": 6, "learning_rate": 0.01},
    },
    "maskable_ppo": {
        "n_accounts": 16, "total_decisions": 8_192,
        "parameters": {"n_steps": 16, "batch_size": 128, "learning_rate": 0.01},
    },
    "trpo": {"n_accounts": 16, "total_decisions": 16_384, "parameters": {"n_steps": 16, "batch_size": 256}},
    "sac": {"n_accounts": 16, "total_decisions": 6_144},
    "td3": {"n_accounts": 16, "total_decisions": 6_144},
    "tqc": {"n_accounts": 16, "total_decisions": 6_144},
    "dqn": {"n_accounts": 16, "total_decisions": 8_192, "parameters": {"target_update_interval": 256}},
    "qr_dqn": {"n_accounts": 16, "total_decisions": 8_192, "parameters": {"target_update_interval": 256}},
}  # fmt: skip
OFF_POLICY = {
    "learning_starts": 256,
    "train_freq": 4,
    "gradient_steps": 8,
    "batch_size": 128,
    "buffer_size": 8_192,
}


def settings(name):
    quick = {"episode": "32d", "validate_every": 2_048, "checkpoint_seconds": 0, **QUICK[name]}
    parameters = {**({} if ALGORITHMS[name].on_policy else OFF_POLICY), **quick.pop("parameters", {})}
    return agent_settings({"algorithm": name, **quick, "parameters": parameters})


def config(name):
    return toy_config(action="tiers" if ALGORITHMS[name].actions == "discrete" else "leverage")


def vars_of(config):
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


def train(name, **changes):
    return train_agent(
        settings(name), MARKET, TABLE, config(name), **{"seed": 1, "validation": VALIDATION, **changes}
    )


def test_every_algorithm_has_hyper_parameters_and_a_test():
    assert set(agent_names()) == {*ALGORITHMS, "differentiable", "differentiable_book"}
    assert set(QUICK) == set(ALGORITHMS) - {"ppo"}


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_it_beats_a_bar_that_a_random_policy_misses(name, tmp_path):
    bar = 0.6 * best_growth_per_year(config(name))
    agent = train(name)
    assert growth_per_year(agent.policy, *VALIDATION, config(name)) > bar
    assert growth_per_year(RandomLeverage(3.0), *VALIDATION, config(name)) < bar / 2
    loaded = load_policy(agent.policy.save(tmp_path / "policy"))
    assert growth_per_year(loaded, *VALIDATION, config(name)) == agent.validation_score


@pytest.mark.parametrize("name", QUICK)
def test_a_training_killed_and_resumed_ends_with_the_weights_of_an_uninterrupted_one(name, tmp_path):
    whole = train(name, total_decisions=1_024)
    with pytest.raises(Killed):
        train(name, total_decisions=1_024, checkpoint_dir=tmp_path, progress=killed_after(3))
    resumed = train(name, total_decisions=1_024, checkpoint_dir=tmp_path, resume=True)
    assert_same(weights(whole), weights(resumed))


@pytest.mark.parametrize("name", [name for name in QUICK if not ALGORITHMS[name].recurrent])
def test_its_exported_graph_gives_the_policys_targets(name):
    import torch

    policy, simulator = (
        train(name, total_decisions=512).policy,
        Simulator(MARKET, TABLE, config(name), n_accounts=200),
    )
    simulator.reset(seed=0)
    actions, _ = policy.predict(simulator.view, deterministic=True)
    expected = simulator.targets(actions)
    with torch.no_grad():
        graph = TargetLeverage(policy, ObservationLayout.of(TABLE, MARKET.symbols), config(name))
        found = graph(torch.from_numpy(simulator.observations)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_the_exported_graph_of_a_recurrent_policy_gives_the_policys_targets_while_its_state_is_carried():
    import torch

    policy = train("recurrent_ppo", total_decisions=512).policy
    simulator = Simulator(MARKET, TABLE, config("recurrent_ppo"), n_accounts=50)
    simulator.reset(seed=0)
    graph = TargetLeverage(policy, ObservationLayout.of(TABLE, MARKET.symbols), config("recurrent_ppo"))
    carried, state = None, torch.zeros(graph.state_shape[0], 50, graph.state_shape[1])
    for _ in range(20):
        actions, carried = policy.predict(simulator.view, carried, deterministic=True)
        expected = simulator.targets(actions)
        with torch.no_grad():
            found, state = graph(torch.from_numpy(simulator.observations), state)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-6)
        simulator.step(expected)


def test_a_masked_policy_chooses_no_leverage_that_the_tiers_forbid_at_its_size():
    """Large accounts may hold 1x only: above a notional of 10,000 the second tier begins."""
    policy = train("maskable_ppo", total_decisions=4_096).policy
    tiers = TierSchedule.from_rates(
        [0.0, 10_000.0], [0.0, 0.0], [10.0, 1.0], source="test: 1x for large sizes"
    )
    market = VALIDATION[0].replace(contracts=(replace(MARKET.contracts[0], schedules=(tiers,)),))
    for equity, largest in ((1_000.0, 3.0), (1_000_000.0, 1.0)):
        settings = {"initial_equity": equity, "ruin_fraction": 0.0}
        result = backtest(policy, market, VALIDATION[1], **vars_of(toy_config(start="first", **settings)))
        assert np.nanmax(result.target) == largest
        assert result.steps.capped.sum() == 0


@pytest.mark.parametrize(("name", "given"), [("sac", "tiers"), ("dqn", "leverage")])
def test_an_algorithm_refuses_actions_of_the_other_kind(name, given):
    with pytest.raises(ValueError, match=rf"{name} takes .* use action="):
        train_agent(settings(name), MARKET, TABLE, toy_config(action=given), seed=0)


def test_a_schedule_falls_from_its_start_to_zero():
    from gearing.agents.sb3.learner import scheduled

    assert scheduled("linear_0.002")(0.25) == 0.0005
    assert scheduled(0.002) == 0.002
    with pytest.raises(ValueError, match=r"linear_0\.002"):
        scheduled("linear_fast")
