"""Action schemes of books: action 0 is a rule's own book, to the last bit.

Level 1 scales a whole book by one action, level 2 divides it among several books, level 3 changes every contract.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gearing.simulation.observation import Observation
from gearing.simulation.policy import Policy, check_policy_type


@dataclass(frozen=True)
class BookScaleScheme:
    """Level 1: scale a whole book by one action: leverage = rule x 2^(octaves x action), at most ``max_leverage``.

    -1 and +1 are half and twice of the rule with one octave. All positions of an account share the action, so that
    their proportions stay the rule's.
    """

    max_leverage: float
    base: Policy
    octaves: float = 1.0
    n_choices: ClassVar[None] = None
    action_names: ClassVar[tuple[str, ...]] = ("the book as a whole",)

    def __post_init__(self) -> None:
        check_policy_type(self.base)
        if not 0.0 < self.octaves <= 6.0:
            raise ValueError(f"octaves is {self.octaves}; it must be in (0, 6].")

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Columns of the base rule."""
        return self.base.required_columns

    def leverage(self, actions: np.ndarray, observation: Observation, free: bool) -> np.ndarray:
        """The rule's leverage times a power of two, bounded; ``actions`` are (n_accounts, 1)."""
        scaled = np.exp2(self.octaves * actions) * rule_leverage(self.base, observation)
        return np.clip(scaled, -self.max_leverage, self.max_leverage)


@dataclass(frozen=True)
class BookTiltScheme:
    """Level 2: weights of several books, softmax(tilt x actions), at most ``max_leverage``.

    One action for each book. Equal actions, 0 among them, are the mean of the books; with a tilt of 3 an action of 1
    against -1 gives a book exp(6) times the weight of another.
    """

    max_leverage: float
    books: Mapping[str, Policy]
    tilt: float = 3.0
    n_choices: ClassVar[None] = None

    def __post_init__(self) -> None:
        if len(self.books) < 2:
            raise ValueError(
                f"books are {', '.join(self.books) or 'none'}; give at least two to tilt between."
            )
        for book in self.books.values():
            check_policy_type(book)
        if not 0.0 < self.tilt <= 10.0:
            raise ValueError(f"tilt is {self.tilt}; it must be in (0, 10].")

    @property
    def action_names(self) -> tuple[str, ...]:
        """The names of the books."""
        return tuple(self.books)

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Columns of all books."""
        return tuple(dict.fromkeys(name for book in self.books.values() for name in book.required_columns))

    def leverage(self, actions: np.ndarray, observation: Observation, free: bool) -> np.ndarray:
        """Weighted mean of the books' leverages, bounded; ``actions`` are (n_accounts, n_books)."""
        power = np.exp(self.tilt * (actions - actions.max(axis=1, keepdims=True)))
        weights = power / power.sum(axis=1, keepdims=True)
        parts = [
            weights[:, k : k + 1] * rule_leverage(book, observation)
            for k, book in enumerate(self.books.values())
        ]
        return np.clip(np.sum(parts, axis=0), -self.max_leverage, self.max_leverage)


@dataclass(frozen=True)
class BookResidualScheme:
    """Level 3: change every contract of a book: leverage = rule x exp(residual x action), at most ``max_leverage``.

    One action for each contract; sides stay the rule's, and what the rule does not hold is not held.
    """

    max_leverage: float
    base: Policy
    residual: float = 0.4
    n_choices: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_policy_type(self.base)
        if not 0.0 < self.residual <= 4.0:
            raise ValueError(f"residual is {self.residual}; it must be in (0, 4].")

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Columns of the base rule."""
        return self.base.required_columns

    def leverage(self, actions: np.ndarray, observation: Observation, free: bool) -> np.ndarray:
        """The rule's leverage times exp(residual x action), bounded; ``actions`` are (n_accounts, n_contracts)."""
        changed = np.exp(self.residual * actions) * rule_leverage(self.base, observation)
        return np.clip(changed, -self.max_leverage, self.max_leverage)


def rule_leverage(rule: Policy, observation: Observation) -> np.ndarray:
    """Target leverage that a rule without memory returns (n_accounts, n_contracts)."""
    leverage: Any = rule.predict(observation, deterministic=True)[0]
    return np.asarray(leverage, np.float64)
