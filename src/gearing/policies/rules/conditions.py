"""Algorithmic scaling: a base leverage times one factor per condition."""

from dataclasses import dataclass

import numpy as np

from gearing.policies.registry import rule
from gearing.policies.rules.rule import Columns, Rule, check_numbers, check_positive, put_numbers, values


@dataclass(frozen=True)
class Condition:
    """A factor of leverage that follows one column: constant outside the given points, linear between them.

    Parameters
    ----------
    column : str
    at : tuple of float
        Ascending values of the column; two that are close together make a threshold.
    factor : tuple of float
        What leverage is multiplied by there, each at least 0.
    signed : bool
        Whether the column is seen from the position's side: a rising trend confirms a long and contradicts a short.

    Examples
    --------
    >>> Condition("funding_carry_7d", at=(0.2, 0.6), factor=(1.0, 0.25), signed=True)  # cheap: 1, dear: a quarter
    Condition(column='funding_carry_7d', at=(0.2, 0.6), factor=(1.0, 0.25), signed=True)
    """

    column: str
    at: tuple[float, ...]
    factor: tuple[float, ...]
    signed: bool = False

    def __post_init__(self) -> None:
        put_numbers(self, "at", "factor")
        if len(self.at) != len(self.factor) or len(self.at) < 2 or not np.all(np.diff(self.at) > 0.0):
            raise ValueError(
                f"condition on {self.column!r}: at is {self.at} and factor {self.factor}; give as many of both, at "
                "least two, with ascending values of the column."
            )
        if min(self.factor) < 0.0:
            raise ValueError(f"condition on {self.column!r}: factor {min(self.factor)} is negative.")

    def __call__(self, observation: Columns, side: np.ndarray | float) -> np.ndarray:
        """The factor (n_accounts, n_contracts)."""
        seen = values(observation, self.column) * (side if self.signed else 1.0)
        return np.interp(seen, self.at, self.factor)


def trend_confirmation(column: str = "trend_7d", full: float = 0.03, against: float = 0.4) -> Condition:
    """Full leverage once the trend goes the position's way by ``full``, ``against`` of it if it goes the other way."""
    return Condition(column, at=(-full, full), factor=(against, 1.0), signed=True)


def liquidity_depth(column: str = "volume_ratio_7d", thin: float = 0.4, least: float = 0.5) -> Condition:
    """``least`` of the leverage where a day's volume is ``thin`` of the usual or less, full from the usual on.

    Bars have no order book: volume against its own week stands for depth. ``order_share_24h`` is the other choice.
    """
    return Condition(column, at=(thin, 1.0), factor=(least, 1.0))


def funding_cost(
    column: str = "funding_carry_7d", cheap: float = 0.15, dear: float = 0.60, least: float = 0.25
) -> Condition:
    """Full leverage while funding charges the position less than ``cheap`` a year, ``least`` of it from ``dear`` on."""
    return Condition(column, at=(cheap, dear), factor=(1.0, least), signed=True)


@rule("scaled")
@dataclass(frozen=True)
class Scaled(Rule):
    """Algorithmic scaling: leverage = base x product of the conditions' factors, at most ``max_leverage``.

    Without conditions given: trend confirmation, liquidity depth and funding cost with their defaults. When: a
    checklist is to be followed without mood. Weakness: every condition is a parameter or four that past data
    choose too well; the product of several is often small.

    Parameters
    ----------
    base : float
        Leverage where every condition is fulfilled.
    conditions : tuple of Condition
        Mappings with their fields will do, so that YAML can name them.
    side : {1, -1}
        Whose side the signed conditions take.
    side_column : str, optional
        Column whose sign is the side, for ``direction="signal:..."``; it wins over ``side``.
    max_leverage : float
    """

    base: float = 6.0
    conditions: tuple[Condition, ...] = (trend_confirmation(), liquidity_depth(), funding_cost())
    side: int = 1
    side_column: str | None = None
    max_leverage: float = 10.0

    def __post_init__(self) -> None:
        check_numbers(self)
        check_positive(self, "base", "max_leverage")
        made = [given if isinstance(given, Condition) else Condition(**given) for given in self.conditions]
        object.__setattr__(self, "conditions", tuple(made))
        if self.side not in (1, -1):
            raise ValueError(f"Scaled: side is {self.side}; it must be 1 or -1.")

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Those of the conditions, and of the side."""
        names = ["effective_leverage", *(condition.column for condition in self.conditions)]
        names += [self.side_column] if self.side_column else []
        return tuple(dict.fromkeys(names))

    def choose(self, observation: Columns) -> np.ndarray:
        """Base times the factors."""
        side = np.sign(values(observation, self.side_column)) if self.side_column else float(self.side)
        leverage = np.full(observation["effective_leverage"].shape, self.base)
        for condition in self.conditions:
            leverage = leverage * condition(observation, side)
        return np.minimum(leverage, self.max_leverage)
