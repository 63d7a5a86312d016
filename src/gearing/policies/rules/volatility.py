"""Leverage that falls with volatility.

The volatility column is the user's choice: realised (``realized_volatility_24h``), forecast
(``forecast_volatility``) or implied (``implied_volatility``), all annualised.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gearing.policies.registry import rule
from gearing.policies.rules.rule import (
    Columns,
    Rule,
    check_not_negative,
    check_numbers,
    check_ordered,
    check_positive,
    values,
    volatility,
)


@rule("volatility_weighted")
@dataclass(frozen=True)
class VolatilityWeighted(Rule):
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

    def __post_init__(self) -> None:
        check_numbers(self)
        check_not_negative(self, "low")
        check_ordered(self, "low", "high")

    def choose(self, observation: Columns) -> np.ndarray:
        """Linear in the percentile."""
        return self.high - (self.high - self.low) * values(observation, self.column)


@rule("volatility_target")
@dataclass(frozen=True)
class VolatilityTarget(Rule):
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

    def __post_init__(self) -> None:
        check_numbers(self)
        check_positive(self, "target", "max_leverage")

    def choose(self, observation: Columns) -> np.ndarray:
        """Target over volatility."""
        return np.minimum(self.target / volatility(observation, self.column), self.max_leverage)


@rule("inverse_variance")
@dataclass(frozen=True)
class InverseVariance(Rule):
    """Leverage inversely proportional to variance (Moreira and Muir, 2017).

    leverage = base x (usual / volatility)^2, at most ``max_leverage``: ``base`` at the usual volatility, a quarter of
    it where volatility is twice that. When: if one believes that expected return does not rise with variance, it is the
    growth-optimal shape. Weakness: in calm markets it asks for very much, and errors of the volatility count twice.

    Parameters
    ----------
    base : float
        Leverage at the usual volatility.
    usual : float
        Annualised volatility that counts as usual.
    max_leverage : float
    column : str
        Annualised volatility: realised, forecast or implied.
    """

    base: float = 3.0
    usual: float = 0.6
    max_leverage: float = 10.0
    column: str = "forecast_volatility"

    def __post_init__(self) -> None:
        check_numbers(self)
        check_positive(self, "base", "usual", "max_leverage")

    def choose(self, observation: Columns) -> np.ndarray:
        """Base times the squared ratio of volatilities."""
        ratio = self.usual / volatility(observation, self.column)
        return np.minimum(self.base * ratio**2, self.max_leverage)


@rule("inverse_atr")
@dataclass(frozen=True)
class InverseATR(Rule):
    """Leverage at which a move of ``multiple`` average true ranges costs ``risk`` of the margin.

    leverage = risk / (multiple x ATR / price), at most ``max_leverage``. When: the usual position sizing of
    discretionary traders, with the ATR multiple of their stop. Weakness: ATR belongs to a bar length, so the
    same numbers mean another risk on other bars; and a stop is not always filled where it rests.

    Parameters
    ----------
    risk : float
        Part of the margin that the move may cost.
    multiple : float
        Average true ranges to the stop. On hourly bars, 5 is about a day's range.
    max_leverage : float
    column : str
        Average true range as a fraction of the close.
    """

    risk: float = 0.2
    multiple: float = 5.0
    max_leverage: float = 10.0
    column: str = "atr_24h"

    def __post_init__(self) -> None:
        check_numbers(self)
        check_positive(self, "risk", "multiple", "max_leverage")

    def choose(self, observation: Columns) -> np.ndarray:
        """Risk over the distance."""
        return np.minimum(
            self.risk / (self.multiple * volatility(observation, self.column)), self.max_leverage
        )


@rule("dynamic_atr")
@dataclass(frozen=True)
class DynamicATR(Rule):
    """Leverage by how the range of the last day compares with that of the last weeks.

    leverage = base x usual ATR / present ATR, between ``low`` and ``high``. When: to step back while ranges expand,
    and come back when they contract, whatever the level of volatility. Weakness: in a market that has been
    violent for weeks it thinks violence is usual.

    Parameters
    ----------
    base : float
        Leverage when the present range is the usual one.
    low, high : float
    now, usual : str
        Columns of the present and the usual average true range, fractions of the close.
    """

    base: float = 4.0
    low: float = 1.0
    high: float = 8.0
    now: str = "atr_24h"
    usual: str = "atr_14d"
    reads: ClassVar[tuple[str, ...]] = ("now", "usual")

    def __post_init__(self) -> None:
        check_numbers(self)
        check_not_negative(self, "low")
        check_ordered(self, "low", "base", "high")

    def choose(self, observation: Columns) -> np.ndarray:
        """Base times the ratio, bounded."""
        ratio = volatility(observation, self.usual) / volatility(observation, self.now)
        return np.clip(self.base * ratio, self.low, self.high)


@rule("dynamic_bollinger")
@dataclass(frozen=True)
class DynamicBollinger(Rule):
    """Leverage by the width of the Bollinger bands, and ``low`` where the price has left them.

    leverage falls from ``high`` at a width of ``narrow`` to ``low`` at ``wide``, linearly in between. When: to use
    quiet ranges and step back from expansions. Weakness: a squeeze is what large moves start from, and then it
    holds the most leverage.

    Parameters
    ----------
    low, high : float
    narrow, wide : float
        Band widths as fractions of the middle (four standard deviations of price).
    outside : float
        Half widths from the middle beyond which the price counts as having left the bands.
    width, position : str
        Columns.
    """

    low: float = 2.0
    high: float = 8.0
    narrow: float = 0.08
    wide: float = 0.40
    outside: float = 1.0
    width: str = "bollinger_width_20d"
    position: str = "bollinger_position_20d"
    reads: ClassVar[tuple[str, ...]] = ("width", "position")

    def __post_init__(self) -> None:
        check_numbers(self)
        check_positive(self, "narrow", "outside")
        check_not_negative(self, "low")
        check_ordered(self, "low", "high")
        check_ordered(self, "narrow", "wide")

    def choose(self, observation: Columns) -> np.ndarray:
        """Linear in the width."""
        width, position = values(observation, self.width), values(observation, self.position)
        leverage = np.interp(width, (self.narrow, self.wide), (self.high, self.low))
        return np.where(np.abs(position) > self.outside, self.low, leverage)
