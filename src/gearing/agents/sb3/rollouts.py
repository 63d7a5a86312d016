"""Rollouts of the on-policy agents over the whole batch.

The same rollout as ``OnPolicyAlgorithm.collect_rollouts`` of stable-baselines3, for algorithms without memory. Values
of all states, and of those where an episode was cut, are computed in a few large batches after the last step, because
nothing of the rollout depends on them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from gearing.agents.policy.networks import action_of
from gearing.agents.sb3.learning_env import LearningVecEnv

_ROWS = 8_192  # of one evaluation of the values; more would fall out of the processor's cache


def collect_rollout(model: Any, env: LearningVecEnv) -> None:
    """Fill the model's rollout buffer with ``n_steps`` decisions of every account.

    What exploration gains in an interval is known, because orders have no market impact: the growth of the sampled
    leverage less that of the policy's mode. It counts for the advantage of its own action. For the earlier ones it is
    noise without influence on its mean, so it is taken out of their returns and of the targets of the values.

    Parameters
    ----------
    model : OnPolicyAlgorithm without memory, such as PPO, A2C, TRPO or MaskablePPO
    env : LearningVecEnv it was made with
    """
    policy, buffer = model.policy, model.rollout_buffer
    policy.set_training_mode(False)
    buffer.reset()
    explored = np.zeros(buffer.rewards.shape, np.float32)
    no_values = torch.zeros(env.num_envs)
    cut = _Cut()
    with torch.no_grad():
        for k in range(model.n_steps):
            observations, starts = model._last_obs, model._last_episode_starts
            masks = _masks(model, env)
            distribution = _distribution(model, env, observations, masks)
            actions = distribution.get_actions()
            logs = distribution.log_prob(actions)
            drawn, mode = actions.cpu().numpy(), distribution.mode().cpu().numpy()
            taken = _inside(drawn, model.action_space)
            explored[k] = env.gain(taken, _inside(mode, model.action_space))
            model._last_obs, rewards, over, infos = env.step(taken)
            model._last_episode_starts = over
            cut.add(k, over, infos)
            buffer.add(observations, drawn, rewards - explored[k], starts, no_values, logs, **masks)
        model.num_timesteps += model.n_steps * env.num_envs
        _add_values(model, cut)
        last_values = policy.predict_values(_tensor(model, model._last_obs))
    buffer.compute_returns_and_advantage(last_values=last_values, dones=model._last_episode_starts)
    buffer.advantages += explored


def as_numbers(actions: Tensor) -> np.ndarray:
    """Actions as the simulator reads them: float64, or whole numbers."""
    array = actions.cpu().numpy()
    return array.astype(np.float64) if array.dtype == np.float32 else array


@contextmanager
def unchecked_distributions() -> Iterator[None]:
    """No checks of the arguments of every distribution, 5 % of a training; weights are checked once an update."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


class _Cut:
    """Where episodes were cut by their length or the end of the data: step, account, last observation."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.accounts: list[int] = []
        self.observations: list[np.ndarray] = []

    def add(self, k: int, over: np.ndarray, infos: list[dict[str, Any]]) -> None:
        for i in np.flatnonzero(over).tolist():
            if infos[i]["TimeLimit.truncated"]:
                self.steps.append(k)
                self.accounts.append(i)
                self.observations.append(infos[i]["terminal_observation"])


def _distribution(model: Any, env: LearningVecEnv, observations: np.ndarray, masks: dict[str, Any]) -> Any:
    """What ``policy.get_distribution`` returns; the reference accounts take their actions from the same evaluation."""
    policy, n = model.policy, env.num_envs
    seen = observations
    if env.baseline is not None:
        seen = np.concatenate([observations, env.reference_observations()])
    latent = policy.mlp_extractor.forward_actor(policy.pi_features_extractor(_tensor(model, seen)))
    distribution = policy._get_action_dist_from_latent(latent[:n])
    if masks:
        distribution.apply_masking(masks["action_masks"])
    if env.baseline is not None:
        env.guide_references(as_numbers(action_of(policy, latent[n:])))
    return distribution


def _masks(model: Any, env: LearningVecEnv) -> dict[str, np.ndarray]:
    return {"action_masks": env.action_masks()} if hasattr(model.rollout_buffer, "action_masks") else {}


def _tensor(model: Any, array: np.ndarray) -> Tensor:
    return torch.from_numpy(array).to(model.device)


def _inside(actions: np.ndarray, space: Any) -> np.ndarray:
    """Continuous actions clipped to their space; a Gaussian is not bounded."""
    return np.clip(actions, space.low, space.high) if hasattr(space, "low") else actions


def _add_values(model: Any, cut: _Cut) -> None:
    """Values of the states, and of the states where an episode was cut: its rewards go on behind the cut."""
    buffer = model.rollout_buffer
    flat = buffer.observations.reshape(-1, buffer.observations.shape[-1])
    buffer.values[:] = _values(model, flat).reshape(buffer.values.shape)
    if cut.steps:
        behind = _values(model, np.stack(cut.observations))
        buffer.rewards[cut.steps, cut.accounts] += model.gamma * behind


def _values(model: Any, observations: np.ndarray) -> np.ndarray:
    parts = _tensor(model, observations).split(_ROWS)
    return torch.cat([model.policy.predict_values(part) for part in parts]).flatten().cpu().numpy()
