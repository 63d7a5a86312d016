"""Zips of stable-baselines3, read by weights: tensors and the readable part of their JSON; nothing is unpickled.

Layers and their sizes are those of the weights. The JSON says the spaces and the activation; what it holds as pickles
is skipped.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from gearing.agents.own.actor import Actor
from gearing.agents.own.sb3_layers import algorithm_of, network_arguments
from gearing.agents.policy.algorithms import ALGORITHMS
from gearing.agents.policy.extractor import activation_class
from gearing.names import check_names, shown
from gearing.storage.archives import unpacked
from gearing.storage.text import decoded, parse_json, read_bytes

_LARGEST = {"data": 2**26, "policy.pth": 2**30}  # bytes
_MOST = 2**28  # weights
_CLASS = re.compile(r"<class '(?P<module>[\w.]+)\.(?P<name>\w+)'>")
_LIBRARIES = ("stable_baselines3.", "sb3_contrib.")
# Settings of a policy that do not change its deterministic actions, or are read from the weights.
_HARMLESS = {
    "net_arch", "activation_fn", "ortho_init", "log_std_init", "full_std", "use_expln", "use_sde", "clip_mean",
    "share_features_extractor", "normalize_images", "optimizer_class", "optimizer_kwargs", "n_critics", "n_quantiles",
    "lstm_hidden_size", "n_lstm_layers", "shared_lstm", "enable_critic_lstm", "lstm_kwargs",
}  # fmt: skip
_INSTEAD = "Load it where you trust it and pass the object, from_sb3(PPO.load(...), ...), or use from_torch."


def read_zip(
    path: Path, algorithm: str | None, activation: str | None, bounds: Sequence[float] | None
) -> Actor:
    """Network and spaces of a model's zip.

    Parameters
    ----------
    algorithm, activation, bounds : as `gearing.agents.from_sb3`

    Raises
    ------
    ValueError
        Naming the file: no zip of a model, a damaged one, or one that would have to be unpickled.
    """
    if algorithm is not None:
        check_names("no algorithm", [algorithm], ALGORITHMS)
    content, where = read_bytes(path), str(path)
    if not content.startswith(b"PK"):
        raise ValueError(f"{where} is no zip; give the file that model.save() of stable-baselines3 wrote.")
    weights = _weights(_member(content, where, "policy.pth"), where)
    about = parse_json(decoded(_member(content, where, "data"), where), f"{where}, data", dict)
    kwargs = _policy_kwargs(about, where)
    found = algorithm or algorithm_of(weights, str(_part(about, "policy_class").get("__module__", "")), where)
    observations = _observations(about, {one.shape[-1] for one in weights.values() if one.ndim == 2}, where)
    actions = _actions(about, {one.shape[0] for one in weights.values() if one.ndim}, bounds, where)
    policy = _rebuilt(found, weights, observations, actions, kwargs, activation, where)
    return Actor(policy, found, observations, actions)


def _member(content: bytes, where: str, name: str) -> bytes:
    """One file of the zip."""
    try:
        found, _ = unpacked(content, where, lambda one: one == name, _LARGEST[name])
    except ValueError as error:
        raise ValueError(
            f"{error} A model's zip holds data and policy.pth, as model.save() writes it."
        ) from None
    return found


def _weights(content: bytes, where: str) -> dict[str, torch.Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it warns of is refused
            found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the restricted reader meets
        raise ValueError(
            f"{where}, policy.pth cannot be read as weights alone ({type(error).__name__}): it is damaged, or holds "
            f"objects that would have to be unpickled. {_INSTEAD}"
        ) from None
    is_state = isinstance(found, dict) and all(isinstance(one, torch.Tensor) for one in found.values())
    if not is_state or not found:
        raise ValueError(f"{where}, policy.pth holds no weights by name. {_INSTEAD}")
    if sum(one.numel() for one in found.values()) > _MOST:
        raise ValueError(f"{where}, policy.pth holds more than {_MOST:,} weights; it is not read.")
    bad = [name for name, one in found.items() if one.is_floating_point() and not bool(one.isfinite().all())]
    if bad:
        raise ValueError(f"{where}: the weights {bad[0]} are not finite; the training diverged.")
    return dict(found)


def _check_size(n: int, known: set[int], where: str) -> None:
    """Refuse a size that no layer has, before anything of that size is made."""
    if n not in known:
        raise ValueError(f"{where}: its description and its weights are of different models.")


def _part(about: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = about.get(name)
    return value if isinstance(value, Mapping) else {}


def _policy_kwargs(about: Mapping[str, Any], where: str) -> Mapping[str, Any] | None:
    """Readable settings of the policy, None where none are described.

    An own class of policy or extractor, or another setting, is refused.
    """
    module = str(_part(about, "policy_class").get("__module__", ""))
    if module and not module.startswith(_LIBRARIES):
        raise ValueError(
            f"{where}: its policy is a class of {module}, which is stored as a pickle. {_INSTEAD}"
        )
    if "policy_kwargs" not in about:
        return None
    kwargs = {k: v for k, v in _part(about, "policy_kwargs").items() if k not in (":type:", ":serialized:")}
    extractor = kwargs.pop("features_extractor_class", "FlattenExtractor")
    if "torch_layers.FlattenExtractor" not in str(extractor) and extractor != "FlattenExtractor":
        raise ValueError(f"{where}: its features extractor is {extractor}, stored as a pickle. {_INSTEAD}")
    kwargs.pop("features_extractor_kwargs", None)
    if kwargs.pop("squash_output", False) not in (False, None):
        raise ValueError(f"{where}: squash_output=True is not supported. {_INSTEAD}")
    unknown = sorted(set(kwargs) - _HARMLESS)
    if unknown:
        raise ValueError(f"{where}: its policy has the setting {unknown[0]!r}, not supported. {_INSTEAD}")
    return kwargs


def _observations(about: Mapping[str, Any], sizes: set[int], where: str) -> Any:
    """The space of observations; ``sizes`` are those of the inputs of layers."""
    part = _part(about, "observation_space")
    shape: Any = part.get("_shape")
    is_flat = isinstance(shape, list) and len(shape) == 1 and isinstance(shape[0], int) and shape[0] > 0
    if "spaces.box.Box" not in str(part.get(":type:")) or not is_flat:
        raise ValueError(
            f"{where}: its observations are {part.get(':type:', 'not described')} of shape {shape}; only a flat Box of "
            "numbers is supported."
        )
    _check_size(shape[0], sizes, where)
    return spaces.Box(-np.inf, np.inf, tuple(shape), np.float32)


def _actions(about: Mapping[str, Any], sizes: set[int], bounds: Sequence[float] | None, where: str) -> Any:
    """The space of actions; ``sizes`` are those of the outputs of layers."""
    part = _part(about, "action_space")
    kind = str(part.get(":type:"))
    if "spaces.discrete.Discrete" in kind:
        return spaces.Discrete(_count(part.get("n"), where), start=int(str(part.get("start", 0))))
    if "spaces.multi_discrete.MultiDiscrete" in kind:
        choices = _numbers(part.get("nvec"), where)
        return spaces.MultiDiscrete([_count(int(n), where) for n in choices])
    shape: Any = part.get("_shape")
    is_flat = isinstance(shape, list) and len(shape) == 1 and isinstance(shape[0], int)
    if "spaces.box.Box" not in kind or not is_flat:
        raise ValueError(f"{where}: its actions are {part.get(':type:', 'not described')}, not supported.")
    _check_size(shape[0], sizes, where)
    given = [_numbers(part.get(name), where) for name in ("low", "high")] if bounds is None else []
    low, high = given or _given_bounds(bounds or ())
    return spaces.Box(_repeated(low, shape, where), _repeated(high, shape, where), dtype=np.float32)


def _repeated(bound: Any, shape: list[int], where: str) -> np.ndarray:
    values = np.asarray(bound, np.float32)
    if values.size not in (1, shape[0]):
        raise ValueError(f"{where}: it has {shape[0]} actions, and bounds of {values.size}.")
    return np.broadcast_to(values, shape).copy()


def _given_bounds(bounds: Sequence[float]) -> list[float]:
    low, high = (float(x) for x in bounds) if len(bounds) == 2 else (1.0, 0.0)
    if not low < high:
        raise ValueError(f"bounds is {shown(bounds)}; give the lowest and the highest action, as in (0, 10).")
    return [low, high]


def _numbers(text: Any, where: str) -> list[float]:
    """Numbers of an array as NumPy prints it."""
    try:
        return [float(one) for one in str(text).removeprefix("[").removesuffix("]").split()]
    except ValueError:
        raise ValueError(
            f"{where}: the bounds of its actions are {shown(text)}, which is no list of numbers; give them: "
            "bounds=(low, high)."
        ) from None


def _count(value: Any, where: str) -> int:
    count = int(str(value)) if str(value).isdigit() else 0
    if not 1 <= count <= 10_000:
        raise ValueError(f"{where}: {shown(value)} is no number of choices.")
    return count


def _rebuilt(
    algorithm: str,
    weights: Mapping[str, torch.Tensor],
    observations: Any,
    actions: Any,
    kwargs: Mapping[str, Any] | None,
    activation: str | None,
    where: str,
) -> Any:
    """The library's policy network with these weights."""
    arguments = network_arguments(algorithm, weights, getattr(actions, "n", None), where)
    if kwargs is None and activation is None:
        raise ValueError(f"{where}: its data does not say its activation; name it, as in activation='tanh'.")
    function = _activation((kwargs or {}).get("activation_fn"), activation, where)
    if function is not None:
        arguments["activation_fn"] = function
    try:
        policy = ALGORITHMS[algorithm].policy_class()(observations, actions, lambda _: 0.0, **arguments)
        policy.load_state_dict(weights)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"{where} is no {algorithm} model on flat observations: {reason}. {_INSTEAD}"
        ) from None
    policy.set_training_mode(False)
    return policy


def _activation(described: Any, given: str | None, where: str) -> Any:
    """The activation that is given, else the one that the zip describes, else the library's default (None)."""
    if given is not None:
        return activation_class(given)
    if described is None:
        return None
    found = _CLASS.fullmatch(str(described))
    known = getattr(torch.nn.modules.activation, found["name"], None) if found else None
    if found is None or known is None or found["module"] != "torch.nn.modules.activation":
        raise ValueError(
            f"{where}: its activation is {shown(described)}; name it: activation='tanh'. {_INSTEAD}"
        )
    return known
