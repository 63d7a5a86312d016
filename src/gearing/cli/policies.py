"""The settings of `gearing backtest`: those of its policy, and those of the market, the account and the forecast."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_FIELDS = {"interval": "decision_interval", "mode": "decision"}  # fields of a section by another name
SECTIONS = ("market", "decision", "exchange", "controls", "forecast")  # of an experiment, that a backtest has


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


def with_own_settings(
    name: str, policy: Any, settings: dict[str, Any], given: Iterable[str]
) -> dict[str, Any]:
    """Settings of a simulation: those that are given, else those that the policy was made for, else the defaults.

    Parameters
    ----------
    name, policy : of the policy; of a trial of a study, its study says what account it was trained for
    settings : dict
        By the names of `gearing.SimulationConfig`.
    given : iterable of str
        ``section.key=value`` of the command line.
    """
    from gearing.simulation.hooks import hooks_of
    from gearing.studies.named.trial import trial_settings

    keys = {text.partition("=")[0].partition(".")[2] or text.partition("=")[0] for text in given}
    named = {_FIELDS.get(key, key) for key in keys}
    made_for = {**hooks_of(policy).settings, **trial_settings(name)}
    own = {key: value for key, value in made_for.items() if key not in named}
    return {**settings, **own}


def _other_way(policy: str, text: str) -> str:
    """What to write instead of ``rule.low=3``, ``rules.NAME.low=3``, ``low:3``, ``{low: 3}``, ``low`` ..."""
    from gearing.names import nearest
    from gearing.studies.named.policy import EXAMPLE, HOW

    key, sign, value = text.partition("=")
    first, _, rest = key.partition(".")
    section = nearest(first, SECTIONS, cutoff=0.75)
    if section is not None and rest:
        return f"`gearing backtest` has no setting {key!r}. Did you mean {section}.{rest}?"
    last = key.rpartition(".")[2]
    of_the_rule = first in ("rule", "rules", "policy", policy) and sign and last.isidentifier()
    name, example = (policy, f"{last}={value}") if of_the_rule else EXAMPLE
    how = HOW.format(name=name, example=example)
    return f"{text!r} is no setting of a backtest. {how} Others begin with {', '.join(SECTIONS)}."
