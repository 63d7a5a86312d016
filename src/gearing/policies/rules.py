"""The rules traders use today, as policies.

A rule answers with a leverage magnitude; the simulation's direction gives it its side. All columns are raw and
known at the deciding close.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gearing.policies.registry import rule

Answer = tuple[np.ndarray, Any]


@rule("fixed")
@dataclass(frozen=True)
class FixedLeverage:
    """The same target leverage at every decision.

    When: as the yardstick. Weakness: its risk moves with the market's; above about 5x with all equity as margin,
    six years of BTC ruin it.

    Parameters
    ----------
    leverage : float
    """

    leverage: float = 3.0
    required_columns: ClassVar[tuple[str, ...]] = ("effective_leverage",)
    action_scheme: ClassVar[str] = "target"

    def predict(
        self,
        observation: Mapping[str, np.ndarray],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> Answer:
        """The leverage, for every account and slot."""
        shape = observation["effective_leverage"].shape
        return np.full(shape, float(self.leverage)), state


@rule("volatility_weighted")
@dataclass(frozen=True)
class VolatilityWeighted:
    """Between ``low`` when volatility is high and ``high`` when it is low, by its trailing percentile.

    leverage = high - (high - low) x percentile. With the defaults, the 3x/8x of the usual advice ("3x in high
    volatility, 8x in stable trends"). When: as a first dynamic rule. Weakness: it knows how unusual volatility is,
    not how large, so a calm but falling market gets the most leverage.

    Parameters
    ----------
    low, high : float
        Leverage at the most and least volatile moment of the trailing window.
    column : str
        A trailing percentile in [0, 1].
    """

    low: float = 3.0
    high: float = 8.0
    column: str = "volatility_percentile_90d"
    action_scheme: ClassVar[str] = "target"

    @property
    def required_columns(self) -> tuple[str, ...]:
        """The percentile."""
        return (self.column,)

    def predict(
        self,
        observation: Mapping[str, np.ndarray],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> Answer:
        """Linear in the percentile."""
        percentile = observation[self.column].astype(np.float64)
        return self.high - (self.high - self.low) * percentile, state


@rule("volatility_target")
@dataclass(frozen=True)
class VolatilityTarget:
    """Leverage inversely proportional to volatility (Moreira and Muir, 2017, with volatility instead of variance).

    leverage = target / volatility, at most ``max_leverage``. When: to hold the risk of equity steady. Weakness: a
    volatility measured after a calm spell understates the next shock.

    Parameters
    ----------
    target : float
        Annualised volatility that the margin share of equity should have.
    max_leverage : float
    column : str
        Annualised volatility: realised, forecast or implied.
    """

    target: float = 1.0
    max_leverage: float = 10.0
    column: str = "forecast_volatility"
    action_scheme: ClassVar[str] = "target"

    @property
    def required_columns(self) -> tuple[str, ...]:
        """The volatility."""
        return (self.column,)

    def predict(
        self,
        observation: Mapping[str, np.ndarray],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> Answer:
        """Target over volatility."""
        volatility = np.maximum(observation[self.column].astype(np.float64), 1e-6)
        return np.minimum(self.target / volatility, self.max_leverage), state


@rule("tiered")
@dataclass(frozen=True)
class Tiered:
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
    required_columns: ClassVar[tuple[str, ...]] = (
        "volatility_percentile_90d",
        "trend_7d",
        "momentum_30d",
        "funding_carry_7d",
    )
    action_scheme: ClassVar[str] = "target"

    def predict(
        self,
        observation: Mapping[str, np.ndarray],
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> Answer:
        """One of the set-ups for every account and contract."""
        percentile, week, month, carry = (observation[c].astype(np.float64) for c in self.required_columns)
        if self.side == 0:
            week, month, carry = np.abs(week), month * np.sign(week), carry * np.sign(week)
        else:
            week, month, carry = self.side * week, self.side * month, self.side * carry
        strength = np.clip((week / self.trend - 1.0) / 2.0, 0.0, 1.0)
        volatile = percentile > self.volatile_above
        trending = ~volatile & (week >= self.trend)
        exceptional = (
            trending
            & (strength == 1.0)
            & (month > self.trend)
            & (percentile < 1 / 3)
            & (carry < self.crowded)
        )
        excess = (percentile - self.volatile_above) / max(1.0 - self.volatile_above, 1e-9)
        leverage = np.where(volatile, 3.0 - excess, np.where(trending, 5.0 + 5.0 * strength, self.neutral))
        return np.where(exceptional, self.exceptional, leverage), state
