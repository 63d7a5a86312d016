"""A policy by the text that names it, on the command line and in experiment files.

A registered rule (``volatility_weighted``, ``fixed_3x``); ``module:NAME`` or ``file.py:NAME``, which is a class, a
function that returns a policy (both are called with the settings), or a policy; ``model.zip``, a model of
stable-baselines3, read by weights only, whose settings are the arguments of `gearing.agents.from_sb3`; or a folder: a
bundle, a study with a bundle, a trial of a study.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from gearing.names import check_names, shown
from gearing.plugins import load_object, plugins_digest
from gearing.policies.registry import make_rule
from gearing.simulation.policy import check_policy_type
from gearing.storage.digest import digest, file_digest

HOW = "Settings of a rule are written behind its name, KEY=VALUE: gearing backtest {name} {example}."
EXAMPLE = ("volatility_weighted", "low=3 high=8")
_NOT_TEXT = ("model", "environment")  # arguments of from_sb3 that no text can give


def is_model(name: str) -> bool:
    """Whether a text names a file of stable-baselines3."""
    return name.endswith(".zip")


def is_object(name: str) -> bool:
    """Whether a text names an object of a module or file."""
    return ":" in name and not re.search(r"[\s{}()=]", name)


def is_folder(name: str) -> bool:
    """Whether a text names a folder with a bundle or a trained agent."""
    from gearing.studies.named.folder import is_policy_folder

    return is_policy_folder(name)


def named_policy(name: str, settings: Mapping[str, Any]) -> Any:
    """The policy that a text names, with its settings.

    Raises
    ------
    ValueError
        For an unknown rule, class, file or setting; the message suggests the nearest.
    """
    if is_model(name):
        return _of_model(name, settings)
    if is_object(name):
        made = _of_class(name, settings)
        check_policy_type(made)
        return made
    if is_folder(name):
        return _of_folder(name, settings)
    if not re.fullmatch(r"[\w.+-]*", name):
        raise ValueError(
            f"{name!r} is no name of a rule. {HOW.format(name=EXAMPLE[0], example=EXAMPLE[1])} A class of your own: "
            "my_policy.py:Mine; a model of stable-baselines3: model.zip; a folder with a bundle or a trial of a study."
        )
    try:
        return make_rule({"rule": name, **settings})
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None


def content_digest(name: str, settings: Mapping[str, Any]) -> str | None:
    """Hash of what a policy is made of besides its settings: code or weights; None of a rule, whose code is gearing's.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    if is_model(name):
        scaling = settings.get("normalisation")
        files = [name, *([scaling] if isinstance(scaling, str) else [])]
        return digest([_file_digest(Path(file)) for file in files])
    if is_object(name):
        return plugins_digest([name.rpartition(":")[0]])
    if is_folder(name):
        from gearing.studies.named.folder import folder_digest

        return folder_digest(name)
    return None


def _file_digest(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}.") from None


def _of_model(name: str, settings: Mapping[str, Any]) -> Any:
    """A model, opened once per process as long as its files stay the same."""
    from gearing.agents import from_sb3

    known = [one for one in inspect.signature(from_sb3).parameters if one not in _NOT_TEXT]
    check_names(f"{name} has no setting", settings, known)
    if "columns" not in settings:
        raise ValueError(
            f"{name} needs columns, the names of its observation's columns in their order: "
            'columns="[log_return, effective_leverage]".'
        )
    try:
        return _opened(name, json.dumps(settings, sort_keys=True), content_digest(name, settings) or "")
    except TypeError as error:
        raise ValueError(str(error)) from None


def _of_folder(name: str, settings: Mapping[str, Any]) -> Any:
    if settings:
        raise ValueError(f"{name} is a trained policy; it takes no settings, given {', '.join(settings)}.")
    return _opened_folder(name, content_digest(name, settings) or "")


@lru_cache(maxsize=16)
def _opened_folder(name: str, content: str) -> Any:
    from gearing.studies.named.folder import open_folder

    del content  # a part of what is remembered
    return open_folder(name)


@lru_cache(maxsize=16)
def _opened(name: str, settings: str, content: str) -> Any:
    from gearing.agents import from_sb3

    del content  # of the files: a part of what is remembered
    return from_sb3(name, **json.loads(settings))


def _of_class(name: str, settings: Mapping[str, Any]) -> Any:
    found = load_object(name)
    if not callable(found):
        if settings:
            raise ValueError(
                f"{name} is an object, not a class; it takes no settings, given {', '.join(settings)}."
            )
        return found
    try:
        known = inspect.signature(found).parameters
    except ValueError:
        raise ValueError(
            f"{name} is {shown(found)}, which cannot be called by name; write a class."
        ) from None
    if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values()):
        check_names(f"{name} has no parameter", settings, known)
    missing = [
        parameter for parameter, one in known.items()
        if one.default is inspect.Parameter.empty and one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
        and parameter not in settings
    ]  # fmt: skip
    if missing:
        raise ValueError(
            f"{name} needs {', '.join(missing)}. {HOW.format(name=name, example=f'{missing[0]}=1')}"
        )
    return found(**settings)
