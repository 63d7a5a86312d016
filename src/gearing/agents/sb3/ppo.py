"""PPO whose update reads the rollout as one matrix: the losses of stable-baselines3, in less time."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.utils import explained_variance
from torch import Tensor
from torch.nn.functional import mse_loss


class Batch(NamedTuple):
    """Decisions of a rollout: scaled observations (n, n_features), actions (n, n_slots), and numbers (n,)."""

    features: Tensor
    actions: Tensor
    values: Tensor
    logs: Tensor
    advantages: Tensor
    returns: Tensor


class Losses(NamedTuple):
    """Of a minibatch, by the names under which stable-baselines3 reports them."""

    loss: Tensor
    policy_gradient_loss: Tensor
    value_loss: Tensor
    entropy_loss: Tensor
    approx_kl: Tensor
    clip_fraction: Tensor


class BatchPPO(PPO):
    """``stable_baselines3.PPO`` with another ``train``: same losses, schedules, minibatches and reports.

    Observations are scaled once a rollout instead of once an epoch, a minibatch is one selection of rows on the device,
    and no loss is read before the last step. The policy's feature extractor must have no trainable weights, as
    `ScaledObservation`.
    """

    def compile(self) -> None:
        """Compile the losses with ``torch.compile``: some seconds once, then faster minibatches."""
        self._losses = torch.compile(self._losses)  # type: ignore[method-assign]

    def _maybe_recommend_cpu(self, mlp_class_name: str = "ActorCriticPolicy") -> None:
        """No advice: batches of many accounts fill a GPU."""

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_losses"]

    def train(self) -> None:
        """Update the policy with the rollout."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        clips, rollout = self._clip_ranges(), self.rollout_rows()
        epochs: list[list[Losses]] = []
        while len(epochs) < self.n_epochs and not (epochs and self._is_too_far(epochs[-1][-1])):
            epochs.append(self._epoch(rollout, clips))
            self._n_updates += 1
        self._report(epochs, *clips)

    def _clip_ranges(self) -> tuple[float, float | None]:
        left = self._current_progress_remaining
        return self.clip_range(left), None if self.clip_range_vf is None else self.clip_range_vf(left)

    def rollout_rows(self) -> Tensor:
        """The rollout as rows (n_steps * n_accounts, n_features + n_slots + 4) on the device."""
        buffer = self.rollout_buffer
        names = ("observations", "actions", "values", "log_probs", "advantages", "returns")
        arrays = [getattr(buffer, name) for name in names]
        rows = [
            torch.from_numpy(a.reshape(buffer.buffer_size * buffer.n_envs, -1)).to(self.device)
            for a in arrays
        ]
        with torch.no_grad():
            rows[0] = self.policy.pi_features_extractor(rows[0])
        return torch.cat([part.float() for part in rows], dim=1)

    def _epoch(self, rollout: Tensor, clips: tuple[float, float | None]) -> list[Losses]:
        """Step along the gradient of every minibatch, until the policy has moved too far."""
        policy, reports = self.policy, []
        for batch in self.minibatches(rollout):
            losses = self._losses(batch, *clips)
            reports.append(Losses(*(value.detach() for value in losses)))
            if self._is_too_far(losses):
                break
            policy.optimizer.zero_grad()
            losses.loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), self.max_grad_norm)
            policy.optimizer.step()
        return reports

    def minibatches(self, rollout: Tensor) -> Iterator[Batch]:
        """The rows in random order."""
        slots = rollout.shape[1] - self.policy.features_dim - 4
        order = torch.randperm(len(rollout), device=rollout.device)
        for places in order.split(self.batch_size):
            rows = rollout.index_select(0, places)
            features, actions, *numbers = rows.split([self.policy.features_dim, slots, 1, 1, 1, 1], dim=1)
            yield Batch(features, actions, *(number.flatten() for number in numbers))

    def _losses(self, batch: Batch, clip: float, clip_values: float | None) -> Losses:
        values, logs, entropy = self._evaluate(batch)
        advantages = batch.advantages
        if self.normalize_advantage and len(advantages) > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        log_ratio = logs - batch.logs
        ratio = torch.exp(log_ratio)
        surrogate = torch.min(advantages * ratio, advantages * torch.clamp(ratio, 1 - clip, 1 + clip)).mean()
        if clip_values is not None:
            values = batch.values + torch.clamp(values - batch.values, -clip_values, clip_values)
        value_loss = mse_loss(batch.returns, values)
        entropy_loss = (logs if entropy is None else -entropy).mean()
        loss = self.ent_coef * entropy_loss + self.vf_coef * value_loss - surrogate
        with torch.no_grad():
            distance = (ratio - 1.0 - log_ratio).mean()
            clipped = ((ratio - 1.0).abs() > clip).float().mean()
        return Losses(loss, -surrogate, value_loss, entropy_loss, distance, clipped)

    def _evaluate(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Values, logarithms of the actions' probabilities, and entropy (n,)."""
        policy, layers = self.policy, self.policy.mlp_extractor
        actions = batch.actions
        if isinstance(self.action_space, spaces.Discrete):
            actions = actions.long().flatten()
        distribution = policy._get_action_dist_from_latent(layers.forward_actor(batch.features))
        values = policy.value_net(layers.forward_critic(batch.features)).flatten()
        return values, distribution.log_prob(actions), distribution.entropy()

    def _is_too_far(self, losses: Losses) -> bool:
        return self.target_kl is not None and float(losses.approx_kl) > 1.5 * self.target_kl

    def _report(self, epochs: list[list[Losses]], clip: float, clip_values: float | None) -> None:
        """Means over all minibatches, and how far the last epoch moved, under the names of stable-baselines3."""
        record, buffer = self.logger.record, self.rollout_buffer
        for name in Losses._fields:
            counted = epochs[-1:] if name == "approx_kl" else epochs
            found = [getattr(losses, name) for epoch in counted for losses in epoch]
            record(f"train/{name}", float(torch.stack(found).mean()))
        record(
            "train/explained_variance", explained_variance(buffer.values.flatten(), buffer.returns.flatten())
        )
        if hasattr(self.policy, "log_std"):
            record("train/std", float(torch.exp(self.policy.log_std.detach()).mean()))
        record("train/n_updates", self._n_updates, exclude="tensorboard")
        record("train/clip_range", clip)
        if clip_values is not None:
            record("train/clip_range_vf", clip_values)
