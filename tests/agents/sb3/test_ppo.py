"""The quick update of PPO takes the steps of stable-baselines3."""

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from tests.agents.test_training import TINY
from tests.agents.toy import announced_market, toy_config

from gearing.agents import agent_settings
from gearing.agents.randomness import own_randomness
from gearing.agents.sb3.learner import SB3Learner
from gearing.agents.sb3.ppo import BatchPPO
from gearing.envs.sb3 import PerpetualVecEnv

MARKET, TABLE = announced_market()
WHOLE = 16 * 16  # one minibatch is the whole rollout: its order only changes the rounding of sums


def updated(train, action, **parameters):
    """Weights and reports after one update."""
    settings = agent_settings(TINY, parameters={**TINY["parameters"], "batch_size": WHOLE, **parameters})
    config = toy_config(action=action, start="random", episode_length="32d")
    with own_randomness(3):
        learner = SB3Learner(settings, [MARKET], [TABLE], config, 3, 4_096, {})
        learner.collect()
        train(learner.model)
    weights = torch.cat([w.detach().flatten() for w in learner.model.policy.parameters()]).numpy()
    return weights, learner.model.logger.name_to_value, learner.model._n_updates


@pytest.mark.parametrize("action", ["leverage", "tiers"])
@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({}, id="plain"),
        pytest.param({"clip_range_vf": 0.05, "ent_coef": 0.1, "normalize_advantage": False}, id="clipped"),
        pytest.param({"target_kl": 0.002, "learning_rate": 0.05}, id="stopped"),
    ],
)
def test_it_takes_the_steps_of_stable_baselines3(action, parameters):
    weights, reports, updates = updated(BatchPPO.train, action, **parameters)
    expected, theirs, their_updates = updated(PPO.train, action, **parameters)
    np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=1e-5)
    assert updates == their_updates
    assert (updates < 4) == ("target_kl" in parameters)
    assert set(reports) >= set(theirs)
    for name in ("train/approx_kl", "train/value_loss", "train/entropy_loss", "train/explained_variance"):
        assert reports[name] == pytest.approx(theirs[name], rel=1e-3, abs=1e-5)


def test_minibatches_hold_every_decision_of_the_rollout_once():
    settings = agent_settings(TINY)
    with own_randomness(3):
        config = toy_config(start="random", episode_length="32d")
        learner = SB3Learner(settings, [MARKET], [TABLE], config, 3, 4_096, {})
        learner.collect()
        rollout = learner.model.rollout_rows()
        batches = list(learner.model.minibatches(rollout))
    assert [len(batch.returns) for batch in batches] == [128, 128]
    returns = np.concatenate([batch.returns.numpy() for batch in batches])
    assert sorted(returns.tolist()) == sorted(learner.model.rollout_buffer.returns.ravel().tolist())


def test_it_trains_saves_loads_and_predicts_as_an_algorithm_of_stable_baselines3(tmp_path):
    from gearing.agents.policy.networks import policy_arguments

    scaling = {"centre": [0.0] * 8, "spread": [1.0] * 8, "keep": list(range(8)), "clip": 5.0}
    env = PerpetualVecEnv(4, market=MARKET, features=TABLE, decision_interval="24h", max_leverage=3.0, seed=1)
    model = BatchPPO(
        "MlpPolicy", env, n_steps=16, batch_size=32, seed=0, device="cpu",
        policy_kwargs=policy_arguments({"layers": [8], "scaling": scaling}),
    )  # fmt: skip
    seen = []
    model.learn(256, callback=lambda local, _: seen.append(local["n_steps"]) or True)
    assert len(seen) == 64
    model.save(tmp_path / "ppo")
    loaded = BatchPPO.load(tmp_path / "ppo", env=env)
    observations = env.reset()
    expected, _ = model.predict(observations, deterministic=True)
    np.testing.assert_array_equal(loaded.predict(observations, deterministic=True)[0], expected)
    loaded.learn(64)
