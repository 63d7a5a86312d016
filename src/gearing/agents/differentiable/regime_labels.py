"""Hidden regimes of synthetic training markets, as labels for a recurrent layer.

On prices alone the gradient of growth is nearly all noise. A synthetic market knows its regimes, so the recurrent
layer learns to classify them (cross entropy), and the band learns from growth how to use their probabilities. The
regimes are used in training on synthetic markets only; the trained policy observes prices. Source of the idea: Pinto
et al., "Asymmetric Actor Critic for Image-Based Robot Learning", 2018.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from gearing.agents.differentiable.interval_data import first_rows
from gearing.market.data import MarketData
from gearing.simulation.simulator import Simulator


def coming_regimes(market: MarketData) -> np.ndarray:
    """Number of the regime of the bar after each bar, shape (n_bars,); drift and volatility regimes are combined.

    Raises
    ------
    ValueError
        If the market's regimes are unknown, as on real history.
    """
    truth = market.truth or {}
    if "regime" not in truth:
        raise ValueError(
            f"{market!r} does not know its regimes; beliefs can be taught on synthetic markets A and B only. "
            "Set network.beliefs to 0."
        )
    label = np.asarray(truth["regime"])[:, 0].astype(np.int64)
    if "volatility_regime" in truth:
        volatility = np.asarray(truth["volatility_regime"])[:, 0].astype(np.int64)
        label = label * (int(volatility.max()) + 1) + volatility
    return np.append(label[1:], label[-1])


class RegimeLabels:
    """The regime after each decision of a simulator.

    Parameters
    ----------
    simulator : Simulator
    beliefs : int
        Number of regimes that the network distinguishes.
    device : where the labels are compared with logits
    """

    def __init__(self, simulator: Simulator, beliefs: int, device: torch.device | str = "cpu"):
        labels = np.concatenate([coming_regimes(market) for market in simulator.markets])
        if labels.max() >= beliefs:
            raise ValueError(
                f"network has beliefs: {beliefs}, but the training markets have {labels.max() + 1} regimes; set "
                f"network.beliefs to {labels.max() + 1}."
            )
        bars = simulator.tape.rows.bar[first_rows(simulator) - 1, 0]
        self._of_decision = torch.from_numpy(labels[bars]).to(device)

    def loss(self, logits: Tensor, index: Tensor) -> Tensor:
        """Mean cross entropy [nats] of logits (b, t, beliefs) for the decisions ``index`` (b, t)."""
        return cross_entropy(logits.flatten(0, 1), self._of_decision[index].flatten())
