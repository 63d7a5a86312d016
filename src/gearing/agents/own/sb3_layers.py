"""Which algorithm made weights, and the arguments of its policy network, from the names and shapes of the weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from torch import Tensor

Weights = Mapping[str, Tensor]
# By which name of a weight an algorithm is known; the first that fits.
_KNOWN_BY = {
    "lstm_actor.weight_ih_l0": "recurrent_ppo", "actor.latent_pi.0.weight": "sac", "actor.mu.0.weight": "td3",
    "quantile_net.quantile_net.0.weight": "qr_dqn", "q_net.q_net.0.weight": "dqn", "action_net.weight": "ppo",
}  # fmt: skip
_BY_MODULE = {"sb3_contrib.common.maskable.policies": "maskable_ppo", "sb3_contrib.tqc.policies": "tqc"}


def algorithm_of(weights: Weights, module: str, where: str) -> str:
    """The algorithm of weights whose policy is a class of ``module``; PPO stands for all with its network.

    Raises
    ------
    ValueError
        If none is known by them.
    """
    if module in _BY_MODULE:
        return _BY_MODULE[module]
    for name, algorithm in _KNOWN_BY.items():
        if name in weights:
            return algorithm
    raise ValueError(
        f"{where}: no known algorithm has weights named {', '.join(list(weights)[:3])}, ... Name it: algorithm='ppo'."
    )


def network_arguments(algorithm: str, weights: Weights, n_choices: int | None, where: str) -> dict[str, Any]:
    """Arguments of the policy's class: layers of its networks, and what else its weights say."""
    if algorithm == "dqn":
        return {"net_arch": _widths(weights, "q_net.q_net.", where)[:-1]}
    if algorithm == "qr_dqn":
        *hidden, last = _widths(weights, "quantile_net.quantile_net.", where)
        return {"net_arch": hidden, "n_quantiles": last // (n_choices or 1)}
    if algorithm in ("sac", "tqc", "td3"):
        return _of_actor(algorithm, weights, where)
    arguments: dict[str, Any] = {
        "net_arch": {
            "pi": _widths(weights, "mlp_extractor.policy_net.", where, may_lack=True),
            "vf": _widths(weights, "mlp_extractor.value_net.", where, may_lack=True),
        }
    }
    if "log_std" in weights and weights["log_std"].ndim == 2:
        arguments["use_sde"] = True
    if algorithm == "recurrent_ppo":
        arguments |= _of_lstm(weights)
    return arguments


def _of_actor(algorithm: str, weights: Weights, where: str) -> dict[str, Any]:
    """Of continuous off-policy algorithms: actor and critics."""
    policy = _widths(weights, "actor.mu." if algorithm == "td3" else "actor.latent_pi.", where, may_lack=True)
    *values, outputs = _widths(weights, "critic.qf0.", where)
    arguments: dict[str, Any] = {
        "net_arch": {"pi": policy[:-1] if algorithm == "td3" else policy, "qf": values},
        "n_critics": sum(bool(re.fullmatch(r"critic\.qf\d+\.0\.weight", name)) for name in weights),
    }
    if algorithm == "tqc":
        arguments["n_quantiles"] = outputs
    if "actor.log_std" in weights:
        arguments["use_sde"] = True
    return arguments


def _of_lstm(weights: Weights) -> dict[str, Any]:
    return {
        "lstm_hidden_size": weights["lstm_actor.weight_hh_l0"].shape[1],
        "n_lstm_layers": sum(name.startswith("lstm_actor.weight_hh_l") for name in weights),
        "enable_critic_lstm": "lstm_critic.weight_hh_l0" in weights,
        "shared_lstm": "lstm_critic.weight_hh_l0" not in weights and "critic.weight" not in weights,
    }


def _widths(weights: Weights, prefix: str, where: str, may_lack: bool = False) -> list[int]:
    """Outputs of the linear layers under a prefix, in order."""
    found = {
        int(part[1]): weight.shape
        for name, weight in weights.items()
        if (part := re.fullmatch(rf"{re.escape(prefix)}(\d+)\.weight", name)) and weight.ndim == 2
    }
    if not found and not may_lack:
        raise ValueError(f"{where}: there are no layers {prefix}0, ...; it is a model of another algorithm.")
    shapes = [found[number] for number in sorted(found)]
    for before, after in pairwise(shapes):
        if before[0] != after[1]:  # before a network of such a size is made
            raise ValueError(f"{where}: the layers {prefix}... do not fit one another.")
    return [outputs for outputs, _ in shapes]
