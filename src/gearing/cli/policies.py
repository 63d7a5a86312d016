"""The policy of `gearing backtest`: a rule by name, or a class of your own, with its settings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

SECTIONS = ("market", "decision", "exchange", "controls", "forecast")  # of an experiment, that a backtest has
_HOW = "Settings of a rule are written behind its name, KEY=VALUE: gearing backtest {name} {example}."
_EXAMPLE = ("volatility_weighted", "low=3 high=8")


def complete_rule(incomplete: str) -> list[str]:
    """Names of rules that begin so, for the shell's completion."""
    from gearing.policies.registry import rule_names

    return [name for name in (*rule_names(), "fixed_3x") if name.startswith(incomplete)]


def split_settings(policy: str, settings: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
    """Settings of the policy, and those of the market, the decision, the exchange, the controls and the forecast.

    Raises
    ------
    ValueError
        For a setting that is written in another way than ``KEY=VALUE``; the message shows how.
    """
    from gearing.studies.reading import setting

    own, others = {}, []
    for text in settings:
        key, sign, _ = text.partition("=")
        first = key.partition(".")[0]
        if first in SECTIONS:
            others.append(text)
        elif not sign or not key.isidentifier():
            raise ValueError(_other_way(policy, text))
        else:
            name, value = setting(text)
            if name in own:
                raise ValueError(f"{name} is given twice; write it once.")
            own[name] = value
    return own, others


def make_policy(policy: str, settings: Mapping[str, Any]) -> Any:
    """A rule by name, or an object of ``module:Class`` or ``file.py:Class``.

    Raises
    ------
    ValueError
        For an unknown rule, class or setting; the message suggests the nearest.
    """
    from gearing.policies.registry import make_rule
    from gearing.simulation.policy import check_policy_type

    if ":" in policy and not re.search(r"[\s{}()=]", policy):
        made = _of_class(policy, settings)
        check_policy_type(made)
        return made
    if not re.fullmatch(r"[\w.+-]*", policy):
        raise ValueError(
            f"{policy!r} is no name of a rule. {_how(*_EXAMPLE)} A class of your own: my_policy.py:Mine."
        )
    try:
        return make_rule({"rule": policy, **settings})
    except TypeError as error:
        raise ValueError(f"{policy}: {error}") from None


def _of_class(policy: str, settings: Mapping[str, Any]) -> Any:
    from gearing.names import check_names
    from gearing.plugins import load_object

    found = load_object(policy)
    if not callable(found):
        if settings:
            raise ValueError(
                f"{policy} is an object, not a class; it takes no settings, given {', '.join(settings)}."
            )
        return found
    known = inspect.signature(found).parameters
    if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values()):
        check_names(f"{policy} has no parameter", settings, known)
    missing = [
        name for name, one in known.items()
        if one.default is inspect.Parameter.empty and one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
        and name not in settings
    ]  # fmt: skip
    if missing:
        raise ValueError(f"{policy} needs {', '.join(missing)}. {_how(policy, f'{missing[0]}=1')}")
    return found(**settings)


def _other_way(policy: str, text: str) -> str:
    """What to write instead of ``rule.low=3``, ``rules.NAME.low=3``, ``low:3``, ``{low: 3}``, ``low`` ..."""
    from gearing.names import nearest

    key, sign, value = text.partition("=")
    first, _, rest = key.partition(".")
    section = nearest(first, SECTIONS, cutoff=0.75)
    if section is not None and rest:
        return f"`gearing backtest` has no setting {key!r}. Did you mean {section}.{rest}?"
    last = key.rpartition(".")[2]
    of_the_rule = first in ("rule", "rules", "policy", policy) and sign and last.isidentifier()
    name, example = (policy, f"{last}={value}") if of_the_rule else _EXAMPLE
    return f"{text!r} is no setting of a backtest. {_how(name, example)} Others begin with {', '.join(SECTIONS)}."


def _how(name: str, example: str) -> str:
    return _HOW.format(name=name, example=example)
