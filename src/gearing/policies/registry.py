"""Rules by name, so that YAML, the command line and an exported bundle can name them with their parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from difflib import get_close_matches
from typing import Any

_RULES: dict[str, type] = {}


def rule(name: str) -> Callable[[type], type]:
    """Register a rule class under a name; it must be a dataclass, so that its parameters are printable."""

    def register(kind: type) -> type:
        _RULES[name] = kind
        return kind

    return register


def rule_names() -> tuple[str, ...]:
    """Names of all registered rules."""
    _load()
    return tuple(sorted(_RULES))


def make_rule(spec: str | Mapping[str, Any]) -> Any:
    """Build a rule from its name, ``fixed_3x``, or a mapping ``{"rule": name, parameter: value, ...}``.

    Raises
    ------
    ValueError
        For an unknown rule or parameter; the message names the nearest.
    """
    _load()
    given = {"rule": spec} if isinstance(spec, str) else dict(spec)
    if "rule" not in given:
        raise ValueError(f"a rule is named by its key 'rule', given {spec!r}.")
    name = str(given.pop("rule"))
    if name.startswith("fixed_") and name.endswith("x"):
        name, given = "fixed", {"leverage": _leverage_in(name), **given}
    if name not in _RULES:
        near = get_close_matches(name, _RULES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no rule {name!r}; there are {', '.join(sorted(_RULES))} and fixed_Nx.{hint}")
    known = [field.name for field in fields(_RULES[name])]
    for key in given:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"rule {name!r} has no parameter {key!r}; it has {', '.join(known) or 'none'}.{hint}"
            )
    return _RULES[name](**given)


def describe_rule(policy: Any) -> dict[str, Any]:
    """Name and parameters of a rule: what ``make_rule`` takes back.

    Raises
    ------
    ValueError
        If the policy is not a registered rule.
    """
    _load()
    for name, kind in _RULES.items():
        if kind is type(policy):
            return {"rule": name, **asdict(policy)}
    raise ValueError(f"{type(policy).__name__} is not a registered rule; decorate it with @rule('name').")


def _leverage_in(name: str) -> float:
    try:
        return float(name.removeprefix("fixed_").removesuffix("x").replace("_", "."))
    except ValueError:
        raise ValueError(f"{name!r} is not a fixed leverage; write fixed_3x or fixed_2_5x.") from None


def _load() -> None:
    """Import the rules that ship and those of installed entry points, which registers them."""
    from importlib.metadata import entry_points

    import gearing.policies.rules  # noqa: F401

    for entry in entry_points(group="gearing.rules"):
        entry.load()
