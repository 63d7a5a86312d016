"""What a gearing environment says of the models that were trained in it: columns, and what actions mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gearing.agents.own.columns import Inputs
from gearing.agents.own.policy import Meaning
from gearing.agents.policy.learned import describe_scheme
from gearing.names import shown
from gearing.simulation.actions import LeverageScheme
from gearing.simulation.simulator import Simulator


@dataclass(frozen=True)
class Trained:
    """Inputs, meaning of actions, and number of choices (None: continuous) of models of an environment."""

    inputs: Inputs
    means: Meaning
    n_choices: int | None


def trained_in(environment: Any) -> Trained:
    """What models of an environment read and return.

    Parameters
    ----------
    environment : of `gearing`, scalar, vector or for stable-baselines3, also inside wrappers

    Raises
    ------
    TypeError
        For another environment.
    """
    simulator = simulator_of(environment)
    layout, config = simulator.layout, simulator.config
    scheme: Any = simulator.scheme
    inputs = Inputs(layout.names, layout.columns, simulator.slots)
    settings = {"max_leverage": config.max_leverage, "direction": config.direction}
    if type(scheme) is LeverageScheme:
        most = scheme.max_leverage
        offset, factor = (0.0, most) if config.direction == "free" else (0.5 * most, 0.5 * most)
        return Trained(inputs, Meaning({"action": "target"}, offset, factor, settings), None)
    return Trained(inputs, Meaning(describe_scheme(scheme), settings=settings), scheme.n_choices)


def simulator_of(environment: Any) -> Simulator:
    """The simulator behind an environment."""
    seen = environment
    for _ in range(20):  # wrappers
        if isinstance(getattr(seen, "simulator", None), Simulator):
            return seen.simulator
        inside = getattr(seen, "envs", None)
        inner = inside[0] if inside else getattr(seen, "venv", None) or getattr(seen, "env", None)
        if inner is None:
            break
        seen = inner
    raise TypeError(
        f"environment is {shown(environment)}, which is none of gearing's. Name the columns of the model's observation "
        "and what its actions mean: columns=[...], action=..., max_leverage=..."
    )
