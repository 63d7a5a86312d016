"""Rollouts of the whole batch are those of stable-baselines3; what exploration earns is taken out of later returns."""

import numpy as np
import pytest
from tests.agents.test_training import TINY
from tests.agents.toy import announced_market, toy_config

from gearing.agents import agent_settings
from gearing.agents.randomness import own_randomness
from gearing.agents.sb3.learner import SB3Learner
from gearing.agents.sb3.rollouts import collect_rollout

MARKET, TABLE = announced_market()
ARRAYS = (
    "observations",
    "actions",
    "rewards",
    "episode_starts",
    "log_probs",
    "values",
    "returns",
    "advantages",
)
# 24 steps in episodes of 10 days: episodes are cut inside the rollout.
PARAMETERS = {"n_steps": 24, "gamma": 0.9, "gae_lambda": 0.8}
MASKABLE = {"algorithm": "maskable_ppo", "n_accounts": 16}


def learner_of(agent, baseline, **parameters):
    settings = agent_settings({**agent, "baseline": baseline}, parameters={**PARAMETERS, **parameters})
    action = "tiers" if agent["algorithm"] == "maskable_ppo" else "leverage"
    config = toy_config(action=action, start="random", episode_length="10d")
    return SB3Learner(settings, [MARKET], [TABLE], config, 3, 4_096, {})


def rollout_of(ours, agent=TINY, baseline=False, **parameters):
    """The second rollout of a learner as arrays: from the middle of episodes."""
    with own_randomness(3):
        learner = learner_of(agent, baseline, **parameters)
        model = learner.model
        for _ in range(2):
            if ours:
                collect_rollout(model, learner.env)
            else:
                masking = {"use_masking": True} if agent["algorithm"] == "maskable_ppo" else {}
                model.collect_rollouts(
                    learner.env, learner.callback, model.rollout_buffer, n_rollout_steps=24, **masking
                )
    assert model.num_timesteps == 2 * 24 * 16
    return {name: getattr(model.rollout_buffer, name) for name in ARRAYS}


@pytest.mark.parametrize("agent", [TINY, MASKABLE], ids=["ppo", "maskable_ppo"])
def test_without_a_baseline_a_rollout_is_that_of_stable_baselines3(agent):
    ours, theirs = rollout_of(True, agent), rollout_of(False, agent)
    assert ours["episode_starts"][1:].any()
    for name in ARRAYS:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_what_exploration_earns_counts_for_its_own_action_and_not_for_the_targets_of_values():
    ours = rollout_of(True, baseline=True, gamma=0.0)
    theirs = rollout_of(False, baseline=True, gamma=0.0)
    # Without a later reward the advantage is the reward less the value, whatever later returns leave out ...
    np.testing.assert_allclose(ours["advantages"], theirs["advantages"], rtol=1e-5, atol=1e-5)
    # ... and the value's target is the reward at the policy's mode: on this market orders cost little.
    earned = theirs["returns"] - ours["returns"]
    assert np.corrcoef(earned.ravel(), theirs["returns"].ravel())[0, 1] > 0.9
    assert np.std(ours["returns"]) < 0.5 * np.std(theirs["returns"])


def test_the_advantage_of_an_action_leaves_out_what_exploration_earns_later():
    ours, theirs = rollout_of(True, baseline=True), rollout_of(False, baseline=True)
    np.testing.assert_array_equal(ours["actions"], theirs["actions"])
    earned = theirs["rewards"] - ours["rewards"]
    assert np.std(earned) > 0.1
    # Rewards at the mode, discounted over 0.9 x 0.8, as differences to the values; then what the action itself earned.
    values, starts = ours["values"], ours["episode_starts"]
    later = np.zeros(16)
    for k in reversed(range(23)):  # the last step needs the value after the rollout
        goes_on = 1.0 - starts[k + 1]
        if k == 22:
            later = ours["advantages"][23] - earned[23]
        later = ours["rewards"][k] + 0.9 * goes_on * values[k + 1] - values[k] + 0.72 * goes_on * later
        np.testing.assert_allclose(ours["advantages"][k], later + earned[k], rtol=1e-4, atol=1e-4)
