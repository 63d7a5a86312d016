"""Algorithms by name: their class and kind of actions."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Algorithm:
    """A learning algorithm of stable-baselines3 or sb3-contrib."""

    module: str
    name: str  # of its class
    policy: str = "MlpPolicy"  # for flat observations
    actions: str = "any"  # or "continuous", "discrete"
    on_policy: bool = True  # learns from the last rollout instead of a buffer
    recurrent: bool = False

    def load(self) -> Any:
        """The algorithm's class."""
        return getattr(import_module(self.module), self.name)

    def policy_class(self) -> Any:
        """The class of its policy network."""
        return self.load().policy_aliases[self.policy]


_BASE, _CONTRIB = "stable_baselines3", "sb3_contrib"

ALGORITHMS = {
    "ppo": Algorithm("gearing.agents.sb3.ppo", "BatchPPO"),
    "a2c": Algorithm(_BASE, "A2C"),
    "recurrent_ppo": Algorithm(_CONTRIB, "RecurrentPPO", "MlpLstmPolicy", recurrent=True),
    "maskable_ppo": Algorithm(_CONTRIB, "MaskablePPO", actions="discrete"),
    "trpo": Algorithm(_CONTRIB, "TRPO"),
    "sac": Algorithm(_BASE, "SAC", actions="continuous", on_policy=False),
    "td3": Algorithm(_BASE, "TD3", actions="continuous", on_policy=False),
    "tqc": Algorithm(_CONTRIB, "TQC", actions="continuous", on_policy=False),
    "dqn": Algorithm(_BASE, "DQN", actions="discrete", on_policy=False),
    "qr_dqn": Algorithm(_CONTRIB, "QRDQN", actions="discrete", on_policy=False),
}

BANDED = ("ppo", "a2c", "trpo")  # whose actor can have a no-trade band


def check_action_kind(name: str, n_choices: int | None) -> None:
    """Refuse an algorithm whose actions do not match the action scheme."""
    wanted = ALGORITHMS[name].actions
    given = "continuous" if n_choices is None else "discrete"
    if wanted not in ("any", given):
        scheme = "action='leverage' or 'residual'" if wanted == "continuous" else "action='tiers'"
        raise ValueError(f"{name} takes {wanted} actions, the action scheme has {given} ones; use {scheme}.")
