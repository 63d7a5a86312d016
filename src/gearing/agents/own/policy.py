"""Networks that were made elsewhere as policies, and what their actions mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any, NoReturn

from torch import nn

from gearing.agents.own.columns import Inputs
from gearing.agents.policy.description import PolicyDescription
from gearing.agents.policy.learned import LearnedPolicy
from gearing.agents.policy.own_network import OwnNetwork
from gearing.names import check_names, shown
from gearing.policies import describe_rule, make_rule

ACTIONS = ("target", "leverage", "tiers", "residual")


@dataclass(frozen=True)
class Meaning:
    """What the actions of a network mean.

    Attributes
    ----------
    scheme : mapping
        Action scheme and its parameters; "target" where the network itself returns leverage.
    offset, factor : float
        Target leverage = offset + factor x action.
    settings : mapping
        Fields of `gearing.SimulationConfig` that fit it: the largest leverage, and direction "free" where it is signed.
    """

    scheme: Mapping[str, Any]
    offset: float = 0.0
    factor: float = 1.0
    settings: Mapping[str, Any] = field(default_factory=dict)


class OwnPolicy(LearnedPolicy):
    """A network that was made elsewhere behind the `Policy` protocol and its hooks.

    Attributes
    ----------
    settings : mapping
        Fields of `gearing.SimulationConfig` that it was made for, see `gearing.simulation.hooks.PolicyHooks`.
    """

    def __init__(self, network: OwnNetwork, description: PolicyDescription, settings: Mapping[str, Any]):
        super().__init__(network, description, settings)

    def save(self, folder: str | Path) -> NoReturn:
        """Refused: its network cannot be rebuilt from a description."""
        raise TypeError(
            f"{self!r} was made elsewhere: keep its own file, or write a bundle with gearing.export.export_bundle."
        )

    def __repr__(self) -> str:
        about = self.description
        return f"OwnPolicy({about.algorithm}, {self.action_scheme}, {', '.join(about.names)})"


def meaning(
    action: str,
    what: str,
    *,
    max_leverage: float | None,
    signed: bool,
    levels: Sequence[float] | None,
    base: Any,
    n_choices: int | None = None,
) -> Meaning:
    """Check and read what actions mean.

    Parameters
    ----------
    action : {"target", "leverage", "tiers", "residual"}
    what : str
        Begins messages.
    max_leverage : float, optional
        Of "leverage" and "residual": what action 1 stands for.
    signed : bool
        Of "leverage": whether -1 is full short (direction "free") instead of flat.
    levels : sequence of float, optional
        Of "tiers": the leverage of each choice.
    base : rule, or its name and parameters, optional
        Of "residual".
    n_choices : int, optional
        Number of choices of a discrete model.
    """
    check_names(f"{what}: no action", [action], ACTIONS)
    needed = {"leverage": ("max_leverage",), "tiers": ("levels",), "residual": ("max_leverage", "base")}
    given = {"max_leverage": max_leverage, "levels": levels, "base": base}
    for name in needed.get(action, ()):
        if given[name] is None:
            raise ValueError(f"{what}: action {action!r} needs {name}, as the model was trained with.")
    if (action == "tiers") != (n_choices is not None):
        kind = "chooses among levels" if n_choices is not None else "returns continuous actions"
        right = "action='tiers', levels=[...]" if n_choices is not None else "another action than 'tiers'"
        raise ValueError(f"{what} {kind}; write {right}.")
    if action == "target":
        limit = {} if max_leverage is None else {"max_leverage": _positive(max_leverage, what)}
        return Meaning({"action": "target"}, settings=limit | ({"direction": "free"} if signed else {}))
    if action == "tiers":
        return _tiers(what, levels or (), n_choices or 0)
    most = _positive(max_leverage, what)
    if action == "residual":
        rule = make_rule(base) if isinstance(base, str | Mapping) else base
        scheme = {"action": "residual", "max_leverage": most, "base": describe_rule(rule)}
        return Meaning(scheme, settings={"max_leverage": most})
    if signed:
        return Meaning(
            {"action": "target"}, factor=most, settings={"max_leverage": most, "direction": "free"}
        )
    return Meaning({"action": "target"}, 0.5 * most, 0.5 * most, {"max_leverage": most})


def build(
    actor: nn.Module,
    inputs: Inputs,
    means: Meaning,
    algorithm: str,
    *,
    scaling: nn.Module | None = None,
    state: tuple[int, int] | None = None,
    source: str = "",
) -> OwnPolicy:
    """The policy of an actor; its network is called once, so that a wrong shape is found here."""
    network = OwnNetwork(
        actor, len(inputs.names), len(inputs.slots), scaling=scaling, offset=means.offset, factor=means.factor,
        state=state,
    ).eval()  # fmt: skip
    anywhere = (math.inf,) * len(inputs.names)
    description = PolicyDescription(
        algorithm, inputs.names, tuple(-x for x in anywhere), anywhere, inputs.market, inputs.slots,
        scheme=means.scheme, network={}, training={"source": source} if source else {},
    )  # fmt: skip
    return OwnPolicy(network, description, means.settings)


def _tiers(what: str, levels: Sequence[float], n_choices: int) -> Meaning:
    is_list = isinstance(levels, list | tuple) and all(
        isinstance(x, Real) and not isinstance(x, bool) and math.isfinite(x) and float(x) >= 0.0
        for x in levels
    )
    if not is_list or list(levels) != sorted(set(levels)):
        raise ValueError(
            f"{what}: levels is {shown(levels)}; give ascending leverages of 0 or more, as in [0, 1, 3, 5]."
        )
    if len(levels) != n_choices:
        raise ValueError(f"{what} has {n_choices} choices, and levels names {len(levels)}.")
    most = float(max(levels))
    scheme = {"action": "tiers", "max_leverage": most, "levels": [float(x) for x in levels]}
    return Meaning(scheme, settings={"max_leverage": max(most, 1.0)})


def _positive(given: Any, what: str) -> float:
    if not isinstance(given, Real) or isinstance(given, bool) or not 0.0 < float(given) < math.inf:
        raise ValueError(f"{what}: max_leverage is {shown(given)}; it must be a positive number.")
    return float(given)
