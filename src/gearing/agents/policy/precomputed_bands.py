"""Bands that depend on the market alone, computed for a whole path by one pass of the network."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gearing.agents.policy.band_network import BandNetwork, band_targets
from gearing.evaluation.playing import market_view
from gearing.simulation.observation import Observation
from gearing.simulation.simulator import Simulator

_MOST = 64  # accounts; more of them are a large enough batch at every decision


class PrecomputedBands:
    """A band policy whose edges are computed for all decisions of some accounts.

    The state of ``predict`` is the number of the decision.

    Parameters
    ----------
    policy : LearnedPolicy
        Of a `BandNetwork` without memory.
    low, high, divisor : (n_accounts, n_decisions, n_slots) float32 tensors
        Edges of effective leverage, and their ratio to targets.
    """

    def __init__(self, policy: Any, low: Tensor, high: Tensor, divisor: Tensor):
        self.policy, self.low, self.high, self.divisor = policy, low, high, divisor
        self._held_at = policy.network.held_at.numpy()
        self.required_columns, self.action_scheme = policy.required_columns, policy.action_scheme

    def predict(
        self,
        observation: Observation,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """Targets of the next decision of all accounts."""
        del episode_start, deterministic
        k = min(0 if state is None else state, self.low.shape[1] - 1)
        held = torch.from_numpy(self.policy.arranged(observation)[:, self._held_at])
        targets = band_targets(held, self.low[:, k], self.high[:, k], self.divisor[:, k])
        return targets.numpy().astype(np.float64), k + 1


def precompute_bands(policy: Any, simulator: Simulator, rows: np.ndarray) -> Any:
    """The policy with precomputed bands, or the policy itself if they depend on the account.

    Parameters
    ----------
    policy : LearnedPolicy
    rows : (n_accounts, n_decisions)
        Rows of the tape at which the accounts decide.
    """
    network = policy.network
    if not isinstance(network, BandNetwork) or network.memory or len(rows) > _MOST:
        return policy
    view = market_view(simulator, rows.ravel())
    with torch.no_grad():
        columns = torch.from_numpy(policy.arranged(view)).reshape(*rows.shape, -1)
        low, high, *_ = network.band(columns)
        divisor = network.divisor(columns).expand_as(low)
    return PrecomputedBands(policy, low, high, divisor)
