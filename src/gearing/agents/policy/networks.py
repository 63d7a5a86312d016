"""Policy networks from descriptions, and their graphs for export."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from gearing.agents.policy.algorithms import ALGORITHMS
from gearing.agents.policy.band_actor import BandActorCriticPolicy
from gearing.agents.policy.band_network import BandNetwork
from gearing.agents.policy.book_network import BookNetwork
from gearing.agents.policy.description import PolicyDescription
from gearing.agents.policy.extractor import ScaledObservation, activation_class
from gearing.agents.policy.own_network import OwnNetwork
from gearing.envs.build import action_space


def policy_arguments(network: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a stable-baselines3 policy from plain values.

    Parameters
    ----------
    network : mapping
        ``layers``, ``activation``, ``scaling`` (centre, spread, keep, clip), and others passed on unchanged.
    """
    values = dict(network)
    return {
        "net_arch": list(values.pop("layers", (64, 64))),
        "activation_fn": activation_class(values.pop("activation", "tanh")),
        "features_extractor_class": ScaledObservation,
        "features_extractor_kwargs": dict(values.pop("scaling")),
        **values,
    }


def policy_class(algorithm: str, network: Mapping[str, Any]) -> Any:
    """The class of a policy of stable-baselines3; with ``band`` among its arguments the one that has a band."""
    return BandActorCriticPolicy if "band" in network else ALGORITHMS[algorithm].policy_class()


def build_network(description: PolicyDescription) -> nn.Module:
    """The untrained network of a description; it has ``predict`` and a ``state_dict``."""
    if description.algorithm == "differentiable":
        return BandNetwork(**description.network)
    if description.algorithm == "differentiable_book":
        return BookNetwork(**description.network)
    bounds = (np.array(description.low, np.float32), np.array(description.high, np.float32))
    slots, choices = len(description.slots), description.network.get("n_choices")
    actions = action_space(slots, choices)
    arguments = {k: v for k, v in description.network.items() if k != "n_choices"}
    make = policy_class(description.algorithm, description.network)
    network = make(
        spaces.Box(*bounds, dtype=np.float32), actions, lambda _: 0.0, **policy_arguments(arguments)
    )
    network.set_training_mode(False)
    return network


class ModeOfPolicy(nn.Module):
    """Raw observation (n, n_columns) to the mode of a policy: actions in [-1, 1], or choices, (n, n_slots)."""

    def __init__(self, policy: nn.Module, algorithm: str):
        super().__init__()
        self.policy = policy
        self.algorithm = algorithm

    def forward(self, raw: Tensor, masks: Tensor | None = None) -> Tensor:
        """Deterministic action; ``masks`` (n, n_slots * n_choices) are the choices allowed to a masked policy."""
        if self.algorithm == "td3":
            return self.policy.actor(raw)
        if self.algorithm in ("sac", "tqc"):
            return _squashed_mean(self.policy.actor, raw)
        if self.algorithm == "dqn":
            return self.policy.q_net(raw).argmax(dim=1, keepdim=True)
        if self.algorithm == "qr_dqn":
            return self.policy.quantile_net(raw).mean(dim=1).argmax(dim=1, keepdim=True)
        return chosen_action(self.policy, self.policy.pi_features_extractor(raw), masks)


def _squashed_mean(actor: Any, raw: Tensor) -> Tensor:
    """What a soft actor returns if it is deterministic, without the distribution, which no graph can hold."""
    return torch.tanh(actor.mu(actor.latent_pi(actor.extract_features(raw, actor.features_extractor))))


class RecurrentMode(nn.Module):
    """Raw observation (n, n_columns) and state (parts, n, width) to the mode of a recurrent policy and its next state.

    The state is zeros at the beginning of an episode; ``shape`` holds its parts and width.
    """

    def __init__(self, policy: nn.Module):
        super().__init__()
        self.policy = policy
        self.is_band = isinstance(policy, BandNetwork)
        if self.is_band:
            self.shape = (len(policy.members), policy.memory)
        else:  # hidden states of all layers, then their cells
            self.shape = (2 * policy.lstm_actor.num_layers, policy.lstm_actor.hidden_size)

    def forward(self, raw: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Deterministic action, and the next state."""
        if self.is_band:
            return self.policy.decide(raw, state)
        features = self.policy.pi_features_extractor(raw)
        hidden, cell = state.chunk(2)
        latent, after = self.policy.lstm_actor(features[None], (hidden.contiguous(), cell.contiguous()))
        return chosen_action(self.policy, latent[0]), torch.cat(after)


def chosen_action(policy: Any, features: Tensor, masks: Tensor | None = None) -> Tensor:
    """Mode of an actor-critic policy for features (n, n_features): actions in its box, or choices, (n, n_slots)."""
    return action_of(policy, policy.mlp_extractor.forward_actor(features), masks)


def action_of(policy: Any, latent: Tensor, masks: Tensor | None = None) -> Tensor:
    """`chosen_action` from the output of the actor's hidden layers (n, n_hidden)."""
    output = policy.action_net(latent)
    space = policy.action_space
    if isinstance(space, spaces.Box):
        return torch.clamp(output, float(space.low.flat[0]), float(space.high.flat[0]))
    if masks is not None:
        output = torch.where(masks, output, torch.full_like(output, -torch.inf))
    if isinstance(space, spaces.Discrete):
        return output.argmax(dim=1, keepdim=True)
    return torch.stack([part.argmax(dim=1) for part in output.split(list(space.nvec), dim=1)], 1)


def mode_of(policy: Any) -> ModeOfPolicy | RecurrentMode | BandNetwork | BookNetwork | OwnNetwork:
    """The deterministic part of a learned policy as a bare graph; that of a recurrent one takes and returns a state."""
    algorithm = policy.description.algorithm
    if isinstance(policy.network, OwnNetwork | BookNetwork):
        return policy.network
    if algorithm == "differentiable":
        return RecurrentMode(policy.network) if policy.network.memory else policy.network
    if ALGORITHMS[algorithm].recurrent:
        return RecurrentMode(policy.network)
    return ModeOfPolicy(policy.network, algorithm)
