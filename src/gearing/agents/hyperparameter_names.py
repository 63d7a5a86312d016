"""Names of hyper-parameters: what an algorithm does not have is refused before anything is read or trained."""

from importlib.util import find_spec
from inspect import signature
from typing import Any

from gearing.agents.policy.algorithms import ALGORITHMS
from gearing.agents.settings import AgentSettings
from gearing.names import check_names

# What learners pass themselves: spaces and scaling to a network, the environment to an algorithm.
_PASSED = {
    "self", "observation_space", "action_space", "lr_schedule", "net_arch", "activation_fn", "features_extractor_class",
    "features_extractor_kwargs", "scaling", "lower", "upper", "shares", "side", "held_at", "signal_at",
    "policy", "env", "policy_kwargs", "seed", "device", "_init_setup_model",
}  # fmt: skip


def check_hyperparameters(settings: AgentSettings) -> None:
    """Refuse names under ``network`` and ``parameters`` that an algorithm does not have.

    Imports the algorithm, torch with it; without torch nothing can be trained, and nothing is checked.

    Raises
    ------
    ValueError
        Naming the nearest.
    """
    if find_spec("torch") is None:
        return
    name = settings.algorithm
    network, algorithm = _classes(name)
    known = [*_arguments(network), "layers", "activation", "start_leverage"]
    check_names(f"{name} has no network setting", settings.network, known)
    check_names(f"{name} has no parameter", settings.parameters, _arguments(algorithm))


def _classes(name: str) -> tuple[Any, Any]:
    """What takes the settings of the network, and what takes the parameters."""
    if name != "differentiable":
        return ALGORITHMS[name].policy_class(), ALGORITHMS[name].load()
    from gearing.agents.differentiable.learner import GradientParameters
    from gearing.agents.policy.band_network import BandNetwork

    return BandNetwork, GradientParameters


def _arguments(made: Any) -> list[str]:
    return [name for name in signature(made).parameters if name not in _PASSED]
