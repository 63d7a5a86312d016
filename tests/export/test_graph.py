import numpy as np
import pytest
import torch
from tests.agents.toy import announced_market, run_graph, toy_config

from gearing.agents import train_agent
from gearing.export import BundleError
from gearing.export.graph import TargetLeverage, write_policy_graph
from gearing.policies.rules import FixedLeverage
from gearing.simulation import Observation, ObservationLayout, Simulator
from gearing.simulation.actions import ResidualScheme

TINY = {
    "algorithm": "ppo", "n_accounts": 8, "episode": "16d", "network": {"layers": [8], "log_std_init": 0.0},
    "parameters": {"n_steps": 8, "batch_size": 64, "n_epochs": 10, "learning_rate": 0.05},
}  # fmt: skip
MARKET, TABLE = announced_market(200)
# What onnxruntime may differ by from torch: 1e-6 of the largest leverage, since a network answers a share of it.
# Measured on 2,000 observations with at most 3x: 9.5e-7 (PPO; 4 units in the last place of a float32 near 3), 2.4e-7
# (SAC, TD3, TQC), 0 (tiers). An absolute 1e-6 is below what single precision resolves from 16x on.
SINGLE = {"rtol": 0.0, "atol": 1e-6 * toy_config().max_leverage}


def agent(config):
    return train_agent(TINY, MARKET, TABLE, config, seed=2, total_decisions=256).policy


def random_observations(layout, n=500, seed=0):
    rng = np.random.default_rng(seed)
    low, high = (np.clip(bound, -6.0, 6.0) for bound in (layout.low, layout.high))
    return rng.uniform(low, high, (n, layout.size)).astype(np.float32)


def simulated_targets(config, policy, observations):
    """What the simulator would trade on these observations."""
    simulator = Simulator(MARKET, TABLE, config, n_accounts=len(observations))
    simulator.reset(seed=0)
    simulator.observations[:] = observations
    actions, _ = policy.predict(simulator.view, deterministic=True)
    return simulator.targets(actions)


CONFIGS = {
    "leverage": toy_config(),
    "short": toy_config(direction="short"),
    "free": toy_config(direction="free"),
    "signal": toy_config(direction="signal:tomorrow"),
    "tiers": toy_config(action="tiers"),
    "residual": toy_config(action=ResidualScheme(3.0, base=FixedLeverage(2.0))),
    "residual short": toy_config(direction="short", action=ResidualScheme(3.0, base=FixedLeverage(2.0))),
}


def expected_of(config, policy, observations):
    """What the graph should answer: targets, or of a residual policy one plus its action."""
    if policy.action_scheme != "residual":
        return simulated_targets(config, policy, observations)
    simulator = Simulator(MARKET, TABLE, config, n_accounts=len(observations))
    return 1.0 + policy.predict(Observation(simulator.layout, observations), deterministic=True)[0]


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_the_graph_maps_raw_observations_to_the_simulators_targets(config):
    policy = agent(config)
    layout = ObservationLayout.of(TABLE, MARKET.symbols)
    observations = random_observations(layout)
    with torch.no_grad():
        found = TargetLeverage(policy, layout, config)(torch.from_numpy(observations)).numpy()
    # The same operations of the same library: the same bits, but for the product with the signal (1 ulp measured).
    np.testing.assert_allclose(found, expected_of(config, policy, observations), rtol=1e-6, atol=0)
    assert np.unique(np.round(found, 3)).size > 1


def test_the_written_graph_gives_the_policys_targets_for_any_number_of_rows(tmp_path):
    config = CONFIGS["short"]
    policy = agent(config)
    layout = ObservationLayout.of(TABLE, MARKET.symbols)
    write_policy_graph([policy], layout, config, tmp_path / "policy.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["policy.onnx"]  # weights inside, no second file
    for n in (1, 2, 333):
        observations = random_observations(layout, n)
        found = run_graph(tmp_path / "policy.onnx", observations)
        np.testing.assert_allclose(found, simulated_targets(config, policy, observations), **SINGLE)


def test_the_graph_finds_its_columns_in_another_order():
    config = CONFIGS["leverage"]
    policy = agent(config)
    other = TABLE.select(["noise", "tomorrow"])
    layout, turned = (ObservationLayout.of(t, MARKET.symbols) for t in (TABLE, other))
    observations = random_observations(layout)
    shuffled = observations.copy()
    shuffled[:, [0, 1]] = observations[:, [1, 0]]
    with torch.no_grad():
        one = TargetLeverage(policy, layout, config)(torch.from_numpy(observations))
        two = TargetLeverage(policy, turned, config)(torch.from_numpy(shuffled))
    torch.testing.assert_close(one, two, rtol=0, atol=0)


@pytest.mark.parametrize("algorithm", ["sac", "td3", "tqc"])
def test_agents_that_learn_from_a_buffer_are_written_as_graphs_too(tmp_path, algorithm):
    # The actor of sac and tqc returns tanh of the mean of a distribution, which torch cannot export.
    settings = {
        "algorithm": algorithm, "n_accounts": 8, "episode": "16d", "network": {"layers": [8]},
        "parameters": {"buffer_size": 500, "learning_starts": 16, "batch_size": 16, "gradient_steps": 1},
    }  # fmt: skip
    config = CONFIGS["leverage"]
    policy = train_agent(settings, MARKET, TABLE, config, seed=2, total_decisions=64).policy
    layout = ObservationLayout.of(TABLE, MARKET.symbols)
    write_policy_graph([policy], layout, config, tmp_path / "policy.onnx")
    observations = random_observations(layout, 50)
    found = run_graph(tmp_path / "policy.onnx", observations)
    np.testing.assert_allclose(found, simulated_targets(config, policy, observations), **SINGLE)


def test_a_network_that_torch_cannot_export_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("no\nway")))
    layout = ObservationLayout.of(TABLE, MARKET.symbols)
    policy = agent(CONFIGS["leverage"])
    with pytest.raises(
        BundleError, match=r"policy\.onnx: torch cannot write .*\(no\); export another"
    ) as refused:
        write_policy_graph([policy], layout, CONFIGS["leverage"], tmp_path / "policy.onnx")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["leverage", "tiers", "residual"])
def test_several_seeds_are_one_graph_that_answers_with_their_mean(name, tmp_path):
    config = CONFIGS[name]
    policies = [
        train_agent(TINY, MARKET, TABLE, config, seed=seed, total_decisions=256).policy for seed in (1, 2)
    ]
    layout = ObservationLayout.of(TABLE, MARKET.symbols)
    write_policy_graph(policies, layout, config, tmp_path / "policy.onnx")
    observations = random_observations(layout, 200)
    one, two = (expected_of(config, policy, observations) for policy in policies)
    found = run_graph(tmp_path / "policy.onnx", observations)
    np.testing.assert_allclose(found, 0.5 * (one + two), **SINGLE)
    assert not np.allclose(one, two)


def test_a_member_that_holds_counts_with_what_is_held_and_all_that_hold_hold():
    from gearing.export.graph import Ensemble

    class Band(torch.nn.Module):
        """Holds where the first column is below a threshold, else answers 4."""

        state_shape, masked, residual = None, False, False

        def __init__(self, threshold):
            super().__init__()
            self.threshold = threshold

        def forward(self, observation, extra=None):
            first = observation[:, :1]
            return torch.where(
                first < self.threshold, torch.full_like(first, float("nan")), 4.0 + 0.0 * first
            )

    layout = ObservationLayout.of(TABLE, MARKET.symbols)
    held = layout.names.index("effective_leverage")
    observations = torch.zeros(3, layout.size)
    observations[:, 0] = torch.tensor([0.0, 1.0, 2.0])
    observations[:, held] = 0.5  # of equity: 2x of a share of a quarter
    found = Ensemble([Band(0.5), Band(1.5)], layout, [0.25])(observations)
    # both hold; one holds 2x and one wants 4x; both want 4x
    np.testing.assert_array_equal(found[:, 0].numpy(), [np.nan, 3.0, 4.0])
