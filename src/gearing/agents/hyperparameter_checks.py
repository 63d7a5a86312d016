"""Hyper-parameters: names and values that an algorithm cannot take are refused before anything is read or trained."""

import math
import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from inspect import Parameter, signature
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from gearing.agents.policy.algorithms import ALGORITHMS, BANDED
from gearing.agents.settings import AgentSettings
from gearing.market.timing import parse_duration
from gearing.names import check_names, shown

# What learners pass themselves: spaces and scaling to a network, the environment to an algorithm.
_PASSED = {
    "self", "observation_space", "action_space", "lr_schedule", "net_arch", "activation_fn", "features_extractor_class",
    "features_extractor_kwargs", "scaling", "lower", "upper", "shares", "side", "held_at", "signal_at",
    "columns", "output", "available_at", "volatility_at", "margin_share",
    "policy", "env", "policy_kwargs", "seed", "device", "_init_setup_model",
}  # fmt: skip
# Ranges that hold in every algorithm which has a parameter of that name.
_IN_UNIT = {
    "gamma", "gae_lambda", "tau", "random_start", "exploration_fraction", "exploration_initial_eps",
    "exploration_final_eps",
}  # fmt: skip
_POSITIVE = {
    "learning_rate", "n_steps", "batch_size", "n_epochs", "buffer_size", "clip_range", "clip_range_vf", "max_grad_norm",
    "softness", "start_width", "target_kl", "n_quantiles", "n_critics", "members", "lstm_hidden_size", "n_lstm_layers",
    "train_freq", "policy_delay", "target_update_interval", "n_critic_updates", "sub_sampling_factor", "cg_max_steps",
    "line_search_max_iter", "stats_window_size",
}  # fmt: skip
_NOT_NEGATIVE = {
    "memory", "beliefs", "weight_decay", "final_learning_rate", "learning_starts", "ent_coef", "vf_coef",
    "target_policy_noise", "target_noise_clip", "top_quantiles_to_drop_per_net", "budget_rate", "cg_damping",
    "clip_mean", "penalty",
}  # fmt: skip
# Settings of a network that the learner turns into its arguments; "start_leverage" of all others.
_NAMED = {"differentiable_book": ["volatility"]}
_WORDS = {
    float: "a number", int: "a whole number", bool: "true or false", NoneType: "null", dict: "a mapping",
    tuple: "a list", type: "a class",
}  # fmt: skip
_SCHEDULE = re.compile(r"linear_(?P<number>.+)")
_AUTOMATIC = re.compile(r"auto(_(?P<number>.+))?")  # of stable-baselines3's entropies


def check_hyperparameters(settings: AgentSettings) -> None:
    """Refuse names and values under ``network`` and ``parameters`` that an algorithm cannot take.

    Types are those of the algorithm's signature. Imports the algorithm, torch with it; without torch nothing can be
    trained, and nothing is checked.

    Raises
    ------
    ValueError
        For an unknown name, naming the nearest, and for a number outside its range.
    TypeError
        For a value of another type.
    """
    if find_spec("torch") is None:
        return
    name = settings.algorithm
    network, algorithm = (_arguments(made) for made in _classes(name))
    check_names(
        f"{name} has no network setting",
        settings.network,
        [
            *network,
            "layers",
            "activation",
            *_NAMED.get(name, ["start_leverage"]),
            *(["band"] if name in BANDED else []),
        ],
    )
    check_names(f"{name} has no parameter", settings.parameters, algorithm)
    _check_network(name, settings.network)
    for section, known in (("network", network), ("parameters", algorithm)):
        for key, value in getattr(settings, section).items():
            if key in known:
                _check_type(f"{name}: {section}.{key}", value, known[key].annotation)
                _check_range(f"{name}: {section}.{key}", value, key)
    if "budget_horizon" in settings.parameters:
        parse_duration(settings.parameters["budget_horizon"])


def _classes(name: str) -> tuple[Any, Any]:
    """What takes the settings of the network, and what takes the parameters."""
    if name == "differentiable_book":
        from gearing.agents.book.learner import BookParameters
        from gearing.agents.policy.book_network import BookNetwork

        return BookNetwork, BookParameters
    if name != "differentiable":
        return ALGORITHMS[name].policy_class(), ALGORITHMS[name].load()
    from gearing.agents.differentiable.learner import GradientParameters
    from gearing.agents.policy.band_network import BandNetwork

    return BandNetwork, GradientParameters


def _arguments(made: Any) -> dict[str, Parameter]:
    return {name: one for name, one in signature(made).parameters.items() if name not in _PASSED}


def _check_network(name: str, network: Mapping[str, Any]) -> None:
    """Refuse layers, an activation or a leverage of the untrained policy that no network can have."""
    from gearing.agents.policy.extractor import activation_class

    layers = network.get("layers", ())
    sizes = layers if isinstance(layers, list | tuple) else [None]
    if not all(
        isinstance(size, Integral) and not isinstance(size, bool) and int(size) >= 1 for size in sizes
    ):
        raise TypeError(
            f"{name}: network.layers is {shown(layers)}; it must be a list of layer widths, such as [32, 32]."
        )
    if "activation" in network:
        activation_class(str(network["activation"]))
    _check_type(f"{name}: network.band", network.get("band", False), bool)
    _check_type(f"{name}: network.start_leverage", network.get("start_leverage"), float | None)
    _check_range(f"{name}: network.start_leverage", network.get("start_leverage"), "start_leverage")


def _check_type(what: str, value: Any, annotation: Any) -> None:
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    kinds = tuple(get_origin(kind) or kind for kind in kinds)
    if Any in kinds or Parameter.empty in kinds or any(_is_a(value, kind) for kind in kinds):
        return
    if isinstance(value, str) and _is_text_of(value, kinds):
        return
    words = [_WORDS[kind] for kind in sorted(kinds, key=lambda kind: kind is NoneType) if kind in _WORDS]
    if Callable in kinds:
        words.insert(1, "a text such as 'linear_0.002', which falls from there to zero")
    if str in kinds:
        words.insert(1, "'auto' or a text such as 'auto_0.1'" if float in kinds else "a text")
    raise TypeError(f"{what} is {shown(value)}; it must be {', or '.join(words) or 'left out'}.")


def _is_a(value: Any, kind: Any) -> bool:
    if isinstance(value, bool):  # which Python counts among the integers
        return kind is bool
    if kind is str:
        return False  # see `_is_text_of`
    wider: dict[Any, Any] = {float: Real, int: Integral, dict: Mapping, tuple: list | tuple}
    return isinstance(value, wider.get(kind, kind))


def _is_text_of(value: str, kinds: tuple[Any, ...]) -> bool:
    """Whether a text is a schedule, where a number or a function is taken; "auto", where a number or a text is."""
    if float not in kinds:
        return str in kinds
    pattern = _SCHEDULE if Callable in kinds else _AUTOMATIC if str in kinds else None
    found = pattern.fullmatch(value) if pattern else None
    return found is not None and (found["number"] is None or _is_number(found["number"]))


def _is_number(text: str) -> bool:
    try:
        return 0.0 < float(text) < math.inf
    except ValueError:
        return False


def _check_range(what: str, value: Any, name: str) -> None:
    if not isinstance(value, Real) or isinstance(value, bool):
        return
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{what} is {number}; it must be a finite number.")
    if name in _IN_UNIT and not 0.0 <= number <= 1.0:
        raise ValueError(f"{what} is {value}; it must be in [0, 1].")
    if name in _POSITIVE and not number > 0.0:
        raise ValueError(f"{what} is {value}; it must be positive.")
    if name == "batch_size" and number < 2.0:
        raise ValueError(f"{what} is {value}; it must be at least 2.")
    if name in _NOT_NEGATIVE and number < 0.0:
        raise ValueError(f"{what} is {value}; it must not be negative.")
