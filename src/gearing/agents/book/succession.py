"""Agents that are trained again and again: at every moment, the newest one that was trained on days before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from gearing.agents.policy.learned import LearnedPolicy
from gearing.features import FeatureTable
from gearing.simulation.observation import Observation
from gearing.simulation.policy import Policy

ACTION = "learned_action"
_CHUNK = 4096  # bars at once


class Succession:
    """A rule whose leverage is scaled by the newest of several policies of one agent.

    Parameters
    ----------
    policies : sequence of LearnedPolicy
        With a residual scheme around ``base``, in the order of their training.
    since : array of datetime64
        From which close on each decides; before the first one, the first decides, on days that it was trained on.
    base : Policy
    max_leverage : float
    """

    action_scheme = "target"

    def __init__(
        self, policies: Sequence[LearnedPolicy], since: ArrayLike, base: Policy, max_leverage: float
    ):
        self.policies, self.since = tuple(policies), np.array(since, "datetime64[ms]")
        self.base, self.max_leverage = base, float(max_leverage)
        self.required_columns = (*policies[0].required_columns, ACTION)

    def join(self, table: FeatureTable) -> FeatureTable:
        """The table with the actions of the policies; row k is known at the close of bar k. One that has them is
        returned unchanged."""
        if ACTION in table.columns:
            return table
        columns = self.policies[0].description.columns
        blocks = np.stack([table.column(name) for name in columns], axis=2).astype(np.float32)
        known = np.isfinite(blocks).all(axis=(1, 2))
        place = np.maximum(np.searchsorted(self.since, table.close_time, side="right") - 1, 0)
        actions = np.full(blocks.shape[:2], np.nan, np.float32)
        for k, policy in enumerate(self.policies):
            rows = np.flatnonzero(known & (place == k))
            for part in np.split(rows, range(_CHUNK, rows.size, _CHUNK)):
                with torch.no_grad():
                    actions[part] = policy.network.of_members(torch.from_numpy(blocks[part])).mean(dim=0)
        return table.join(ACTION, actions, lower=-1.0, upper=1.0)

    def predict(
        self,
        observation: Observation,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """Target leverage (n_accounts, n_contracts); an action of 0 is the rule's, to the last bit."""
        del episode_start, deterministic
        leverage, _ = self.base.predict(observation, deterministic=True)
        most = self.max_leverage
        return np.clip((1.0 + observation[ACTION]) * leverage, -most, most), state
