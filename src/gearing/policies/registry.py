"""Rules and controls by name, so that YAML, the command line and an exported bundle can name them with parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from difflib import get_close_matches
from importlib import import_module
from typing import Any


class Register:
    """Classes of one kind by name; each is a frozen dataclass, so that its parameters are printable.

    Parameters
    ----------
    kind : str
        What they are called, and the key that names one in a mapping.
    home : str
        Module that imports those that ship.
    group : str
        Entry points of installed packages that add their own.
    """

    def __init__(self, kind: str, home: str, group: str):
        self.kind, self._home, self._group = kind, home, group
        self._classes: dict[str, type] = {}
        self._loaded = False

    def add(self, name: str) -> Callable[[type], type]:
        """Decorator that registers a class under a name."""

        def register(made: type) -> type:
            self._classes[name] = made
            return made

        return register

    def names(self) -> tuple[str, ...]:
        """All registered names."""
        self._load()
        return tuple(sorted(self._classes))

    def make(self, spec: str | Mapping[str, Any]) -> Any:
        """Build one from its name, or a mapping of its name and parameters."""
        self._load()
        given = {self.kind: spec} if isinstance(spec, str) else dict(spec)
        if self.kind not in given:
            raise ValueError(f"a {self.kind} is named by its key {self.kind!r}, given {spec!r}.")
        name = str(given.pop(self.kind))
        if name not in self._classes:
            raise ValueError(
                f"no {self.kind} {name!r}; there are {', '.join(self.names())}.{_hint(name, self._classes)}"
            )
        known = [field.name for field in fields(self._classes[name])]
        for key in given:
            if key not in known:
                raise ValueError(
                    f"{self.kind} {name!r} has no parameter {key!r}; it has {', '.join(known) or 'none'}."
                    f"{_hint(key, known)}"
                )
        return self._classes[name](**given)

    def describe(self, made: Any) -> dict[str, Any]:
        """Name and parameters: what ``make`` takes back."""
        self._load()
        parameters: Any = made
        for name, one in self._classes.items():
            if one is type(made):
                return {self.kind: name, **asdict(parameters)}
        raise ValueError(
            f"{type(made).__name__} is not a registered {self.kind}; decorate it with @{self.kind}('name')."
        )

    def _load(self) -> None:
        """Import those that ship and those of installed packages, once: reading entry points takes milliseconds."""
        if self._loaded:
            return
        from importlib.metadata import entry_points

        self._loaded = True
        import_module(self._home)
        for entry in entry_points(group=self._group):
            entry.load()


RULES = Register("rule", "gearing.policies.rules", "gearing.rules")
CONTROLS = Register("control", "gearing.policies.controls", "gearing.controls")


def rule(name: str) -> Callable[[type], type]:
    """Register a rule class under a name; it must be a dataclass, so that its parameters are printable."""
    return RULES.add(name)


def rule_names() -> tuple[str, ...]:
    """Names of all registered rules."""
    return RULES.names()


def make_rule(spec: str | Mapping[str, Any]) -> Any:
    """Build a rule from its name, ``fixed_3x``, or a mapping ``{"rule": name, parameter: value, ...}``.

    Raises
    ------
    ValueError
        For an unknown rule or parameter; the message names the nearest.
    """
    name = spec if isinstance(spec, str) else spec.get("rule")
    if isinstance(name, str) and name.startswith("fixed_") and name.endswith("x"):
        given = {} if isinstance(spec, str) else dict(spec)
        spec = {"leverage": _leverage_in(name), **given, "rule": "fixed"}
    return RULES.make(spec)


def describe_rule(policy: Any) -> dict[str, Any]:
    """Name and parameters of a rule: what ``make_rule`` takes back.

    Raises
    ------
    ValueError
        If the policy is not a registered rule.
    """
    return RULES.describe(policy)


def control(name: str) -> Callable[[type], type]:
    """Register a control class under a name; it must be a dataclass."""
    return CONTROLS.add(name)


def control_names() -> tuple[str, ...]:
    """Names of all registered controls."""
    return CONTROLS.names()


def make_control(spec: str | Mapping[str, Any]) -> Any:
    """Build a control from its name or a mapping ``{"control": name, parameter: value, ...}``.

    Raises
    ------
    ValueError
        For an unknown control or parameter; the message names the nearest.
    """
    return CONTROLS.make(spec)


def describe_control(made: Any) -> dict[str, Any]:
    """Name and parameters of a control: what ``make_control`` takes back."""
    return CONTROLS.describe(made)


def _hint(name: str, known: Any) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _leverage_in(name: str) -> float:
    try:
        return float(name.removeprefix("fixed_").removesuffix("x").replace("_", "."))
    except ValueError:
        raise ValueError(f"{name!r} is not a fixed leverage; write fixed_3x or fixed_2_5x.") from None
