"""Base class of rules."""

import math
from collections.abc import Mapping
from dataclasses import fields
from itertools import pairwise
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from gearing.names import check_types, shown

Columns = Mapping[str, np.ndarray]


class Rule:
    """A policy without memory: ``choose`` maps the columns known at the close to target leverage.

    A rule returns a magnitude; the simulation's direction sets the side. (With direction "free" a
    magnitude is a long; rules with ``side=0`` return signed targets.)

    Attributes
    ----------
    required_columns : tuple of str
        Columns it reads, raw and known at the deciding close: those that the parameters named in ``reads`` hold, unless
        a rule declares its own.
    action_scheme : str
        "target": actions are target leverages.
    """

    reads: ClassVar[tuple[str, ...]] = ("column",)
    action_scheme: ClassVar[str] = "target"

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Columns that the parameters in ``reads`` name."""
        return tuple(getattr(self, name) for name in self.reads)

    def choose(self, observation: Columns) -> np.ndarray:
        """Target leverage (n_accounts, n_contracts)."""
        raise NotImplementedError

    def predict(
        self,
        observation: Columns,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """Target leverage; the state is returned unchanged."""
        return self.choose(observation), state


def values(observation: Columns, name: str) -> np.ndarray:
    """A column in double precision (n_accounts, n_contracts)."""
    return observation[name].astype(np.float64)


def volatility(observation: Columns, name: str) -> np.ndarray:
    """An annualised volatility, kept away from zero: a constant price must not give infinite leverage."""
    return np.maximum(values(observation, name), 1e-6)


def check_numbers(rule: Any) -> None:
    """Refuse parameters of a rule or control that are of another type than declared, or not finite."""
    given = {field.name: getattr(rule, field.name) for field in fields(rule)}
    try:
        check_types(given, type(rule))
    except TypeError as error:
        raise TypeError(f"{type(rule).__name__}: {error}") from None
    for name, value in given.items():
        if isinstance(value, Real) and not math.isfinite(value):
            raise ValueError(f"{type(rule).__name__}: {name} is {value}; it must be finite.")


def put_numbers(rule: Any, *names: str) -> None:
    """Turn parameters that are sequences of finite numbers into tuples of float; refuse others."""
    for name in names:
        given = getattr(rule, name)
        values: list[Any] = list(given) if isinstance(given, list | tuple | np.ndarray) else [None]
        if not all(isinstance(x, Real) and not isinstance(x, bool) and math.isfinite(x) for x in values):
            raise TypeError(
                f"{type(rule).__name__}: {name} is {shown(given)}; it must be a list of finite numbers."
            )
        object.__setattr__(rule, name, tuple(float(x) for x in values))


def check_not_negative(rule: Any, *names: str) -> None:
    """Refuse parameters below zero."""
    for name in names:
        if not getattr(rule, name) >= 0.0:
            raise ValueError(f"{type(rule).__name__}: {name} is {getattr(rule, name)}; it must be 0 or more.")


def check_positive(rule: Any, *names: str) -> None:
    """Refuse parameters that are not positive, naming rule, parameter and value."""
    for name in names:
        if not getattr(rule, name) > 0.0:
            raise ValueError(f"{type(rule).__name__}: {name} is {getattr(rule, name)}; it must be positive.")


def check_fraction(owner: Any, *names: str) -> None:
    """Refuse parameters of a rule or control outside (0, 1)."""
    for name in names:
        if not 0.0 < getattr(owner, name) < 1.0:
            raise ValueError(
                f"{type(owner).__name__}: {name} is {getattr(owner, name)}; it must be between 0 and 1."
            )


def check_ordered(rule: Any, *names: str) -> None:
    """Refuse parameters that do not ascend in the order named."""
    given = [getattr(rule, name) for name in names]
    if not all(low <= high for low, high in pairwise(given)):
        values_given = ", ".join(f"{name}={value}" for name, value in zip(names, given, strict=True))
        raise ValueError(f"{type(rule).__name__}: {values_given}; these must not descend.")
