"""Parts that all networks share: activations, and a first layer that scales observations.

The scaling constants are buffers, so that they are saved and exported with the weights.
"""

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

_ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU, "gelu": nn.GELU, "silu": nn.SiLU}


def activation_class(name: str) -> type[nn.Module]:
    """The activation function of a network's hidden layers.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if name not in _ACTIVATIONS:
        raise ValueError(f"network activation is {name!r}; it must be one of {', '.join(_ACTIVATIONS)}.")
    return _ACTIVATIONS[name]


class ScaledColumns(nn.Module):
    """clip((raw - centre) / spread) of the selected columns, without trainable weights.

    Parameters
    ----------
    centre, spread : sequences of n_columns floats
    keep : sequence of int
    clip : float
    """

    def __init__(self, centre: Any, spread: Any, keep: Any, clip: float):
        super().__init__()
        keep = torch.as_tensor(np.asarray(keep, np.int64))
        self.clip = float(clip)
        self.n_columns = int(keep.numel())
        self.register_buffer("keep", keep)
        self.register_buffer("centre", torch.as_tensor(np.asarray(centre, np.float32))[keep])
        self.register_buffer("spread", torch.as_tensor(np.asarray(spread, np.float32))[keep])

    def forward(self, raw: Tensor) -> Tensor:
        """Scaled observation (n, n_selected) of a raw one (n, n_columns)."""
        chosen = torch.index_select(raw, -1, self.keep)
        return torch.clamp((chosen - self.centre) / self.spread, -self.clip, self.clip)


class ScaledObservation(BaseFeaturesExtractor):
    """`ScaledColumns` in the form that stable-baselines3 policies take."""

    def __init__(self, observation_space: Any, centre: Any, spread: Any, keep: Any, clip: float):
        super().__init__(observation_space, features_dim=len(keep))
        self.columns = ScaledColumns(centre, spread, keep, clip)

    def forward(self, observations: Tensor) -> Tensor:
        """Scaled observation."""
        return self.columns(observations)
