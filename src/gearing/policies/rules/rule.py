"""Base class of rules."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

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
    if sorted(given) != given:
        values_given = ", ".join(f"{name}={value}" for name, value in zip(names, given, strict=True))
        raise ValueError(f"{type(rule).__name__}: {values_given}; these must not descend.")
