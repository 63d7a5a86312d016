"""An actor with a no-trade band: its mode is the leverage held, clipped to a band of the market's state.

With proportional costs the best policy trades to the nearer edge of a band and holds inside it. An ordinary network has
to learn this from the costs of small trades, which exploration hides; here only the edges are learned.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import MlpExtractor
from torch import Tensor, nn

from gearing.agents.policy.scaling import column_places
from gearing.simulation.actions import LeverageScheme

_STEEP = 10.0  # of the function that makes a width positive: narrow bands still move quickly
_START_WIDTH = 0.006  # half of the band before training, as an action in [-1, 1]
_SMALL = 0.01  # size of the last layer's first weights, as stable-baselines3 has it


def band_arguments(simulator: Any, scaling: Mapping[str, Any]) -> dict[str, Any]:
    """The argument ``band`` of a `BandActorCriticPolicy` for the accounts of a simulator.

    Parameters
    ----------
    scaling : arguments of `ScaledColumns`

    Raises
    ------
    ValueError
        Where actions are no leverages of one direction, or the network does not see all of the leverage held.
    """
    config, keep = simulator.config, scaling["keep"]
    places = column_places(simulator.layout, "effective_leverage")
    if (
        not isinstance(simulator.scheme, LeverageScheme)
        or config.signal_column
        or config.position_mode == "hedge"
    ):
        raise ValueError(
            "network.band is for action 'leverage' without a signal or hedge mode; leave it out, or set it to false."
        )
    if not set(places) <= set(keep):
        raise ValueError(
            "network.band needs the column effective_leverage; add it to columns, or leave columns out."
        )
    spread = np.array(scaling["spread"])[places]
    most = np.array(config.shares(len(simulator.contracts))) * simulator.scheme.max_leverage
    _check_seen(most, scaling["clip"] * spread, scaling["clip"])
    factor = {"free": 1.0, "long": 2.0, "short": -2.0}[config.direction] * spread / most
    offset = 0.0 if config.direction == "free" else -1.0
    held = [keep.index(place) for place in places]
    return {"held": held, "factor": factor.tolist(), "offset": [offset] * len(places)}


def _check_seen(most: np.ndarray, seen: np.ndarray, clip: float) -> None:
    if (seen < most).any():
        raise ValueError(
            f"network.band needs leverages up to {most.max():g} of equity, and clip {clip:g} cuts them at "
            f"{seen.min():g}; raise clip, or set scaling to standard or robust."
        )


class BandActorCriticPolicy(ActorCriticPolicy):
    """The policy of PPO, A2C and TRPO with a band; the band depends on all features but the leverage held.

    Parameters
    ----------
    band : mapping
        ``held``: places of the leverages held among the features; ``factor``, ``offset``: the action that holds is
        ``factor * feature + offset``, each (n_slots,).
    """

    def __init__(self, *given: Any, band: dict[str, Any], **named: Any):
        self._band = band
        super().__init__(*given, **named)

    def _build_mlp_extractor(self) -> None:
        arguments = {
            "net_arch": self.net_arch,
            "activation_fn": self.activation_fn,
            "device": self.device,
        }
        self.mlp_extractor = _HeldAndHidden(self._band["held"], self.features_dim, **arguments)

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        hidden = self.mlp_extractor.latent_dim_pi
        self.action_net = BandHead(hidden, self._band["factor"], self._band["offset"]).to(self.device)
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)


class _HeldAndHidden(MlpExtractor):
    """Hidden layers; the actor's do not see the leverages held, which follow its output unchanged."""

    def __init__(self, held: Sequence[int], features_dim: int, **arguments: Any):
        super().__init__(features_dim, **arguments)
        market = torch.ones(features_dim)
        market[list(held)] = 0.0
        self.register_buffer("market", market)
        self.register_buffer("held", torch.tensor(list(held)))

    def forward_actor(self, features: Tensor) -> Tensor:
        """Output of the last hidden layer, and the leverages held (n, hidden + n_slots)."""
        hidden = super().forward_actor(features * self.market)
        return torch.cat([hidden, torch.index_select(features, -1, self.held)], dim=-1)


class BandHead(nn.Module):
    """From hidden units and held leverages (n, hidden + n_slots) to the mode of the actions (n, n_slots)."""

    def __init__(self, hidden: int, factor: Sequence[float], offset: Sequence[float]):
        super().__init__()
        self.slots = len(factor)
        self.edges = nn.Linear(hidden, 2 * self.slots)
        self.register_buffer("factor", torch.tensor(list(factor), dtype=torch.float32))
        self.register_buffer("offset", torch.tensor(list(offset), dtype=torch.float32))
        with torch.no_grad():
            nn.init.orthogonal_(self.edges.weight, _SMALL)
            self.edges.bias[: self.slots] = 0.0
            self.edges.bias[self.slots :] = float(np.log(np.expm1(_STEEP * _START_WIDTH))) / _STEEP

    @property
    def bias(self) -> Tensor:
        """The middle of the untrained band, as an action."""
        return self.edges.bias[: self.slots]

    def forward(self, latent: Tensor) -> Tensor:
        """Held leverage clipped to the band, as an action that is not yet bounded."""
        hidden, held = latent.split([latent.shape[-1] - self.slots, self.slots], dim=-1)
        centre, width = self.edges(hidden).split(self.slots, dim=-1)
        half = nn.functional.softplus(width, beta=_STEEP)
        stays = held * self.factor + self.offset
        return torch.minimum(torch.maximum(stays, centre - half), centre + half)
