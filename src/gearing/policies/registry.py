"""Rules and controls by name, so that YAML, the command line and an exported bundle can name them with parameters."""

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from gearing.names import Register, check_names, check_types


class DataclassRegister(Register[type]):
    """Dataclasses by name, built from a name and parameters, and described by them again."""

    def sorted_names(self) -> tuple[str, ...]:
        """Names of all that are registered, in order of the alphabet."""
        return tuple(sorted(self.names()))

    def make(self, spec: str | Mapping[str, Any]) -> Any:
        """Build one from its name, or a mapping ``{kind: name, parameter: value, ...}``.

        Raises
        ------
        ValueError
            For an unknown name or parameter; the message gives the nearest.
        TypeError
            For a parameter of another type.
        """
        given = {self.kind: spec} if isinstance(spec, str) else dict(spec)
        if self.kind not in given:
            raise ValueError(f"a {self.kind} is named by its key {self.kind!r}, given {spec!r}.")
        name = str(given.pop(self.kind))
        made = self[name]
        check_names(f"{self.kind} {name!r} has no parameter", given, [field.name for field in fields(made)])
        check_types(given, made)
        return made(**given)

    def describe(self, made: Any) -> dict[str, Any]:
        """Name and parameters: what ``make`` takes back.

        Raises
        ------
        ValueError
            If its class is not registered.
        """
        kind: type = type(made)
        for name in self.names():
            if self[name] == kind:
                return {
                    self.kind: name,
                    **{field.name: self._described(getattr(made, field.name)) for field in fields(made)},
                }
        raise ValueError(
            f"{type(made).__name__} is not a registered {self.kind}; decorate it with @{self.kind}('name')."
        )

    def _described(self, value: Any) -> Any:
        """A parameter as plain values; one that is itself registered (a part of an average) with its name."""
        if isinstance(value, tuple):
            return tuple(map(self._described, value))
        if not is_dataclass(value) or isinstance(value, type):
            return value
        registered = any(self[name] is type(value) for name in self.names())
        return self.describe(value) if registered else asdict(value)


RULES = DataclassRegister("rule", "gearing.rules", ["gearing.policies.rules"])
CONTROLS = DataclassRegister("control", "gearing.controls", ["gearing.policies.controls"])

rule = RULES.register
"""``@rule("name")`` registers a class of rules: a dataclass, so that its parameters can be printed."""
rule_names = RULES.sorted_names
"""``rule_names()`` returns the names of all registered rules, sorted."""
describe_rule = RULES.describe
"""``describe_rule(rule)`` returns its name and parameters, from which ``make_rule`` builds it again."""
control = CONTROLS.register
"""``@control("name")`` registers a class of risk controls: a dataclass, so that its parameters can be printed."""
control_names = CONTROLS.sorted_names
"""``control_names()`` returns the names of all registered risk controls, sorted."""
describe_control = CONTROLS.describe
"""``describe_control(control)`` returns its name and parameters, from which ``make_control`` builds it again."""
make_control = CONTROLS.make
"""``make_control("stop_loss")`` or ``make_control({"control": "stop_loss", "margin": 0.3})`` builds a risk control."""


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


def _leverage_in(name: str) -> float:
    try:
        return float(name.removeprefix("fixed_").removesuffix("x").replace("_", "."))
    except ValueError:
        raise ValueError(f"{name!r} is not a fixed leverage; write fixed_3x or fixed_2_5x.") from None
