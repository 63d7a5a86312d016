"""Action schemes: normalised actions to signed target leverages.

The env's space is always normalised, Box(-1, 1) or Discrete; a scheme maps it to leverage. Schemes register by
name, for YAML.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from gearing.exchange.rules import largest_notional
from gearing.names import Register, shown
from gearing.simulation.observation import Observation
from gearing.simulation.policy import Policy, check_policy_type


class ActionScheme(Protocol):
    """Maps actions (n_accounts, n_slots) to target leverage magnitudes, or signed ones where the side is free."""

    n_choices: int | None  # None: Box(-1, 1); else Discrete(n_choices) per slot
    required_columns: tuple[str, ...]

    def leverage(self, actions: np.ndarray, observation: Observation, free: bool) -> np.ndarray:
        """Target leverage of each action; ``free``: -1 is full short and +1 full long."""


SCHEMES: Register[Callable[..., ActionScheme]] = Register("action scheme", "gearing.action_schemes")
action_scheme = SCHEMES.register
"""``@action_scheme("name")`` registers a class of action schemes; it is called with ``max_leverage``."""


def make_scheme(given: Any, max_leverage: float) -> ActionScheme:
    """A scheme by name, or the given instance.

    Raises
    ------
    TypeError
        For anything else, such as a class.
    """
    if isinstance(given, type) or not (isinstance(given, str) or hasattr(given, "leverage")):
        raise TypeError(
            f"action is {shown(given)}; give a name ({', '.join(SCHEMES.names())}) or an instance of a scheme."
        )
    if not isinstance(given, str):
        return given
    return SCHEMES[given](max_leverage=max_leverage)


@action_scheme("leverage")
@dataclass(frozen=True)
class LeverageScheme:
    """Continuous leverage: -1 is flat (side free: full short), +1 is ``max_leverage``."""

    max_leverage: float
    n_choices: ClassVar[None] = None
    required_columns: ClassVar[tuple[str, ...]] = ()

    def leverage(self, actions: np.ndarray, observation: Observation, free: bool) -> np.ndarray:
        """Linear in the action."""
        share = actions if free else 0.5 * (actions + 1.0)
        return share * self.max_leverage


def discrete_levels(scheme: ActionScheme) -> np.ndarray:
    """Leverages that a discrete scheme chooses from.

    Raises
    ------
    TypeError
        If the scheme's actions are continuous.
    """
    if scheme.n_choices is None:
        raise TypeError(
            "masks are of discrete actions, and these are continuous: make the environment with action='tiers'."
        )
    return np.asarray(scheme.magnitudes)  # type: ignore[attr-defined]  # what discrete schemes have


def level_caps(levels: np.ndarray, tiers: np.ndarray, first: int, last: int) -> np.ndarray:
    """Largest notional at each level (n_levels,) under the margin tiers from ``first`` to before ``last``."""
    return np.array([largest_notional(max(1.0, level), tiers, first, last) for level in levels])


def schedule_caps(levels: np.ndarray, tiers: np.ndarray, schedules: np.ndarray) -> np.ndarray:
    """Largest notional at each level for the schedule (first tier, number of tiers); unused pairs are zero."""
    pairs = [(int(first), int(last)) for first, last in schedules]
    caps = np.zeros((tiers.size, max(last - first for first, last in pairs) + 1, levels.size))
    for first, last in pairs:
        caps[first, last - first] = level_caps(levels, tiers, first, last)
    return caps


def choice_masks(
    levels: np.ndarray, caps: np.ndarray, last: np.ndarray, shares: np.ndarray, equity: np.ndarray
) -> np.ndarray:
    """Which levels each account may take (n_accounts, n_slots, n_levels).

    Parameters
    ----------
    levels : (n_levels,)
    caps : of ``schedule_caps``
    last : (n_accounts, n_contracts) rows at the deciding close
    shares : (n_slots,) margin share of each slot
    equity : (n_accounts,)
    """
    slot_contract = np.arange(shares.size) // (shares.size // last.shape[1])
    first, end = (last[name][:, slot_contract] for name in ("tiers_first", "tiers_last"))
    return allowed_levels(levels, caps[first, end - first], shares * equity[:, None])


def allowed_levels(levels: np.ndarray, caps: np.ndarray, budget: Any) -> np.ndarray:
    """Which levels (..., n_levels) an account may take with margins (...) at caps that broadcast to them.

    The first, flat or the smallest, is always possible: reductions always execute.
    """
    allowed = np.asarray(budget)[..., None] * levels <= caps
    allowed[..., 0] = True
    return allowed


@action_scheme("tiers")
@dataclass(frozen=True)
class TierScheme:
    """A short list of leverages; choices that the margin tiers forbid at the account's size are masked."""

    max_leverage: float
    levels: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0)
    required_columns: ClassVar[tuple[str, ...]] = ()

    @property
    def magnitudes(self) -> np.ndarray:
        """Levels up to the largest leverage."""
        return np.array([level for level in self.levels if level <= self.max_leverage])

    @property
    def n_choices(self) -> int:
        """Number of levels."""
        return self.magnitudes.size

    def leverage(self, actions: np.ndarray, observation: Observation, free: bool) -> np.ndarray:
        """Level of each choice; where the side is free, the first half of them is short."""
        if free:
            raise ValueError("action 'tiers' has no side; use direction long, short or signal:COLUMN.")
        return self.magnitudes[np.asarray(actions, np.int64)]


@action_scheme("residual")
@dataclass(frozen=True)
class ResidualScheme:
    """Scale a base rule: -1 is nothing of it, 0 the rule itself, +1 twice its leverage, at most ``max_leverage``.

    An untrained agent behaves like the rule, so this trains where free leverage collapses to zero.
    """

    max_leverage: float
    base: Policy | None = None
    n_choices: ClassVar[None] = None

    def __post_init__(self) -> None:
        if self.base is None:
            raise ValueError("action 'residual' needs a base rule: ResidualScheme(max_leverage, base=rule).")
        check_policy_type(self.base)

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Columns of the base rule."""
        return () if self.base is None else self.base.required_columns

    def leverage(self, actions: np.ndarray, observation: Observation, free: bool) -> np.ndarray:
        """(1 + action) x the rule's leverage, bounded."""
        assert self.base is not None
        base, _ = self.base.predict(observation, deterministic=True)
        return np.clip((1.0 + actions) * base, -self.max_leverage, self.max_leverage)


def action_names(scheme: ActionScheme, slots: tuple[str, ...]) -> tuple[str, ...]:
    """What an account's actions at a decision stand for: the scheme's ``action_names``, else one for each position."""
    return tuple(getattr(scheme, "action_names", slots))
