"""A stable-baselines3 model as a policy: the object, or the zip that ``model.save`` writes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from torch import nn

from gearing.agents.own.actor import Actor
from gearing.agents.own.columns import Inputs, check_count, read_inputs
from gearing.agents.own.environment import Trained, trained_in
from gearing.agents.own.normalisation import read_normalisation
from gearing.agents.own.policy import Meaning, OwnPolicy, build, meaning
from gearing.agents.own.torch_module import check_answers
from gearing.agents.policy.algorithms import ALGORITHMS
from gearing.agents.policy.extractor import ScaledColumns
from gearing.agents.policy.networks import ModeOfPolicy, RecurrentMode
from gearing.names import shown

_LIBRARIES = ("stable_baselines3.", "sb3_contrib.")
# Classes of the libraries, whose networks are those of the algorithm.
_CLASSES = {
    "PPO": "ppo", "A2C": "a2c", "TRPO": "trpo", "RecurrentPPO": "recurrent_ppo", "MaskablePPO": "maskable_ppo",
    "SAC": "sac", "TQC": "tqc", "TD3": "td3", "DQN": "dqn", "QRDQN": "qr_dqn",
}  # fmt: skip
_SQUASHED = ("sac", "td3", "tqc")  # their networks return actions in [-1, 1], whatever the bounds


def from_sb3(
    model: Any,
    columns: Sequence[str] | None = None,
    *,
    environment: Any = None,
    action: str | None = None,
    max_leverage: float | None = None,
    signed: bool = False,
    levels: Sequence[float] | None = None,
    base: Any = None,
    normalisation: Any = None,
    algorithm: str | None = None,
    activation: str | None = None,
    bounds: Sequence[float] | None = None,
) -> OwnPolicy:
    """A policy from a stable-baselines3 or sb3-contrib model.

    Parameters
    ----------
    model : algorithm of stable-baselines3, or path of the zip that its ``save`` wrote
        Of a zip, the weights and the readable part of its description are read; nothing is unpickled.
    columns : sequence of str, optional
        Names of the observation's columns in the model's order: features, forecasts, account columns. Of several
        contracts those of a contract are "COLUMN[SYMBOL]".
    environment : optional
        The gearing environment that the model was trained in, in place of ``columns``, ``action``, ``max_leverage``,
        ``signed``, ``levels`` and ``base``; by default the one that a model object has.
    action : {"leverage", "target", "tiers", "residual"}, optional
        What its actions are. "leverage", the default of continuous models: Box(-1, 1), where 1 is ``max_leverage`` and
        -1 is flat, or full short if ``signed``. "target": leverage itself, within the bounds of the model's box.
        "tiers", the default of discrete models: choices of ``levels``. "residual": Box(-1, 1), a share by which the
        rule ``base`` is raised or lowered.
    max_leverage, signed, levels, base : optional
        See ``action``.
    normalisation : VecNormalize, path, mapping or False, optional
        Statistics by which observations were scaled in training: the ``VecNormalize``, an ``.npz`` file of
        :func:`gearing.agents.save_normalisation`, or a mapping. A model object whose environment has a ``VecNormalize``
        is refused without; False states that there is none.
    algorithm : str, optional
        Of a zip that does not say which algorithm made it: one of the algorithms of ``gearing.agents.agent_names``.
    activation : str, optional
        Of a zip that does not say its activation: "tanh", "relu", ...
    bounds : (float, float), optional
        Of a zip that does not say the bounds of its actions.

    Returns
    -------
    OwnPolicy
        Deterministic. For backtests, environments, studies, comparisons and bundles.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit, an architecture other than a multilayer perceptron or LSTM on flat observations,
        and a zip that would have to be unpickled.
    """
    if isinstance(model, str | Path):
        from gearing.agents.own.sb3_zip import read_zip

        what = str(model)
        actor = read_zip(Path(model), algorithm, activation, bounds)
    else:
        actor = _of_object(model)
        what = f"the {actor.algorithm} model"
        environment = _environment(model, environment, columns, normalisation, what)
    n_inputs, n_actions, n_choices = _sizes(actor, what)
    if environment is None:
        if columns is None:
            raise TypeError(
                f"{what}: name the columns of its observation in their order, columns=[...], or give the gearing "
                "environment that it was trained in, environment=..."
            )
        inputs = read_inputs(columns, n_actions, what)
        default = "tiers" if n_choices is not None else "leverage"
        means = _meaning(
            actor, what, action or default, n_choices, max_leverage=max_leverage, signed=signed, levels=levels,
            base=base,
        )  # fmt: skip
    else:
        _refuse_both(what, columns, action, max_leverage, levels, base)
        inputs, means = _as_trained(trained_in(environment), n_actions, n_choices, what)
    check_count(inputs.names, n_inputs, what)
    scaling = read_normalisation(normalisation, n_inputs)
    policy = build(
        _graph(actor), inputs, means, actor.algorithm, scaling=ScaledColumns(**scaling) if scaling else None,
        state=_state(actor), source=what,
    )  # fmt: skip
    check_answers(policy, what)
    return policy


def _graph(actor: Actor) -> nn.Module:
    recurrent = ALGORITHMS[actor.algorithm].recurrent
    return RecurrentMode(actor.policy) if recurrent else ModeOfPolicy(actor.policy, actor.algorithm)


def _state(actor: Actor) -> tuple[int, int] | None:
    return RecurrentMode(actor.policy).shape if ALGORITHMS[actor.algorithm].recurrent else None


def _of_object(model: Any) -> Actor:
    """The network and spaces of a model object."""
    algorithm = next((name for one in type(model).__mro__ if (name := _name_of(one))), None)
    if algorithm is None:
        raise TypeError(
            f"model is {shown(model)}; give a trained model of {', '.join(_CLASSES)}, or the path of the zip that its "
            "save() wrote; other networks: from_torch."
        )
    policy = _copied(model.policy)
    policy.set_training_mode(False)
    return Actor(policy, algorithm, model.observation_space, model.action_space)


def _copied(policy: Any) -> Any:
    """A copy, so that the caller's model stays as it is; ``deepcopy`` fails after a training."""
    buffer = io.BytesIO()
    policy.save(buffer)
    buffer.seek(0)
    return type(policy).load(buffer, device="cpu")


def _name_of(made: type) -> str | None:
    """The algorithm of a class of the libraries."""
    return _CLASSES.get(made.__name__) if made.__module__.startswith(_LIBRARIES) else None


def _environment(model: Any, environment: Any, columns: Any, normalisation: Any, what: str) -> Any:
    """The gearing environment of a model object, unless columns are named; its VecNormalize must be named, too."""
    own = model.get_vec_normalize_env()
    if own is not None and own.norm_obs and normalisation is None:
        raise ValueError(
            f"{what} was trained on observations scaled by VecNormalize; give its statistics: "
            "normalisation=model.get_vec_normalize_env(). False states that they are not needed."
        )
    if environment is None and columns is None:
        return model.get_env()
    return environment


def _sizes(actor: Actor, what: str) -> tuple[int, int, int | None]:
    """Inputs, actions, and choices of a discrete model."""
    seen, actions = actor.observations, actor.actions
    if not isinstance(seen, spaces.Box) or len(seen.shape) != 1:
        raise ValueError(f"{what} observes {shown(seen)}; only a flat Box of numbers is supported.")
    if isinstance(actions, spaces.Discrete):
        _check_zero(actions.start, what)
        return seen.shape[0], 1, int(actions.n)
    if isinstance(actions, spaces.MultiDiscrete):
        sizes = {int(n) for n in actions.nvec}
        if actions.nvec.ndim == 1 and len(sizes) == 1:
            _check_zero(np.asarray(getattr(actions, "start", 0)).max(), what)
            return seen.shape[0], len(actions.nvec), sizes.pop()
    if isinstance(actions, spaces.Box) and len(actions.shape) == 1:
        return seen.shape[0], actions.shape[0], None
    raise ValueError(f"{what} acts in {shown(actions)}; supported are Box, Discrete and equal MultiDiscrete.")


def _check_zero(start: Any, what: str) -> None:
    if int(start) != 0:
        raise ValueError(f"{what}: its choices begin at {start}; they must begin at 0.")


def _meaning(actor: Actor, what: str, action: str, n_choices: int | None, **given: Any) -> Meaning:
    """What its actions mean, by the arguments and the bounds of its box."""
    if n_choices is not None:
        return meaning(action, what, n_choices=n_choices, **given)
    low, high = _bounds(actor.actions, what)
    if action != "target":
        if action in ("leverage", "residual") and (low, high) != (-1.0, 1.0):
            raise ValueError(
                f"{what} acts in [{low:g}, {high:g}]; action {action!r} is of Box(-1, 1). If its actions are target "
                "leverage themselves, write action='target'."
            )
        return meaning(action, what, **given)
    if given["max_leverage"] is not None:
        raise ValueError(f"{what}: the bounds of its box are the largest leverage. Drop max_leverage.")
    means = meaning("target", what, **{**given, "max_leverage": max(-low, high, 1.0), "signed": low < 0.0})
    if actor.algorithm not in _SQUASHED:
        return means
    half = 0.5 * (high - low)
    return Meaning(means.scheme, low + half, half, means.settings)


def _bounds(box: Any, what: str) -> tuple[float, float]:
    low, high = np.unique(box.low), np.unique(box.high)
    if len(low) != 1 or len(high) != 1 or not np.isfinite([low[0], high[0]]).all():
        raise ValueError(
            f"{what} acts in {shown(box)}; its bounds must be finite and the same for all actions."
        )
    return float(low[0]), float(high[0])


def _as_trained(trained: Trained, n_actions: int, n_choices: int | None, what: str) -> tuple[Inputs, Meaning]:
    """Inputs and meaning of a model by its environment."""
    if (len(trained.inputs.slots), trained.n_choices) != (n_actions, n_choices):
        choices = "no choices" if n_choices is None else f"{n_choices} choices"
        raise ValueError(
            f"{what} has {n_actions} actions and {choices}; the environment is another one than it was trained in."
        )
    return trained.inputs, trained.means


def _refuse_both(what: str, *given: Any) -> None:
    if any(one is not None for one in given):
        raise TypeError(
            f"{what}: columns, action, max_leverage, levels and base are those of its environment. Drop them, or name "
            "columns and all of them."
        )
