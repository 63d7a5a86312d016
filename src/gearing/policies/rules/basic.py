"""Fixed leverage, and leverage tiers by market conditions."""

from dataclasses import dataclass

import numpy as np

from gearing.policies.registry import rule
from gearing.policies.rules.rule import (
    Columns,
    Rule,
    check_fraction,
    check_not_negative,
    check_numbers,
    check_positive,
    values,
)


@rule("fixed")
@dataclass(frozen=True)
class FixedLeverage(Rule):
    """The same target leverage at every decision.

    When: as the yardstick. Weakness: its risk moves with the market's; above about 5x with all equity as margin,
    six years of BTC ruin it.

    Parameters
    ----------
    leverage : float
    """

    leverage: float = 3.0
    required_columns = ("effective_leverage",)

    def __post_init__(self) -> None:
        check_numbers(self)

    def choose(self, observation: Columns) -> np.ndarray:
        """The leverage, for every account and slot."""
        return np.full(observation["effective_leverage"].shape, float(self.leverage))


@rule("tiered")
@dataclass(frozen=True)
class Tiered(Rule):
    """Leverage by the kind of market: 2-3x volatile, 5-10x trending, 15x in exceptional set-ups.

    Volatile: trailing volatility percentile above ``volatile_above``; 3x there, falling to 2x at the top. Trending:
    not volatile, and price above (``side`` 1) its weekly mean by at least ``trend``; 5x, rising to 10x at
    three times that. Exceptional: trending at full strength, the month agrees, volatility is in its lowest third and
    funding does not charge the position more than ``crowded`` a year. Else ``neutral``.

    When: as the usual advice puts it. Weakness: thresholds are conventions, and 15x is lost to a move of 6 %.

    Parameters
    ----------
    neutral : float
        Leverage where none of the set-ups holds.
    volatile_above : float
        Percentile above which the market counts as volatile.
    trend : float
        Distance of ln(price) to its weekly mean from which the market trends.
    crowded : float
        Annualised funding that rules out an exceptional set-up.
    side : {1, -1, 0}
        Which trends count: up, down, or both.
    exceptional : float
        Leverage of an exceptional set-up.
    """

    neutral: float = 3.0
    volatile_above: float = 0.75
    trend: float = 0.02
    crowded: float = 0.2
    side: int = 1
    exceptional: float = 15.0
    required_columns = ("volatility_percentile_90d", "trend_7d", "momentum_30d", "funding_carry_7d")

    def __post_init__(self) -> None:
        check_numbers(self)
        check_not_negative(self, "neutral", "exceptional")
        check_fraction(self, "volatile_above")
        check_positive(self, "trend")
        if self.side not in (1, -1, 0):
            raise ValueError(f"Tiered: side is {self.side}; it must be 1 (up), -1 (down) or 0 (both).")

    def choose(self, observation: Columns) -> np.ndarray:
        """One of the set-ups for every account and contract."""
        percentile, week, month, carry = (values(observation, name) for name in self.required_columns)
        side = np.sign(week) if self.side == 0 else self.side
        week, month, carry = side * week, side * month, side * carry
        strength = np.clip((week / self.trend - 1.0) / 2.0, 0.0, 1.0)
        volatile = percentile > self.volatile_above
        trending = ~volatile & (week >= self.trend)
        calm = (percentile < 1 / 3) & (carry < self.crowded)
        exceptional = trending & (strength == 1.0) & (month > self.trend) & calm
        excess = (percentile - self.volatile_above) / max(1.0 - self.volatile_above, 1e-9)
        leverage = np.where(volatile, 3.0 - excess, np.where(trending, 5.0 + 5.0 * strength, self.neutral))
        return np.where(exceptional, self.exceptional, leverage)
