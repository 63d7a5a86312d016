"""Bands that depend on the market alone are known for a whole path at once, by one pass of the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from gearing.agents.band_network import BandNetwork
from gearing.simulation.observation import Observation
from gearing.simulation.simulator import Simulator

_MOST = 64  # accounts; more of them make a batch of their own at every decision


class BandsAhead:
    """A band policy whose edges are computed for all decisions of some accounts.

    The state of ``predict`` is the number of the decision.

    Parameters
    ----------
    policy : LearnedPolicy
        Of a `BandNetwork` without memory.
    low, high : (n_accounts, n_decisions, n_slots) tensors
    """

    def __init__(self, policy: Any, low: torch.Tensor, high: torch.Tensor):
        self.policy, self.low, self.high = policy, low, high
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
        raw = torch.from_numpy(self.policy.arranged(observation))
        targets = self.policy.network.targets(raw, self.low[:, k], self.high[:, k])
        return targets.numpy().astype(np.float64), k + 1


def bands_ahead(policy: Any, simulator: Simulator, rows: np.ndarray) -> Any:
    """The policy with its bands looked up, or the policy itself where they cannot be known before.

    Parameters
    ----------
    policy : LearnedPolicy
    rows : (n_accounts, n_decisions)
        Rows of the tape at which the accounts decide.
    """
    network = policy.network
    if not isinstance(network, BandNetwork) or network.memory or len(rows) > _MOST:
        return policy
    tape, layout = simulator.tape, simulator.layout
    known = tape.features[tape.rows.bar[rows.ravel() - 1, 0]]
    array = np.zeros((rows.size, layout.size), np.float32)
    array[:, : known.shape[1]] = known
    with torch.no_grad():
        columns = torch.from_numpy(policy.arranged(Observation(layout, array)))
        low, high, *_ = network.band(columns.reshape(*rows.shape, -1))
    return BandsAhead(policy, low, high)
