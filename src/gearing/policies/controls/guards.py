"""Controls that cap leverage, and controls of one position: its funding cost and its distance to liquidation."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gearing.market.timing import YEAR, parse_duration
from gearing.policies.registry import control
from gearing.policies.rules.excursion_budget import leverage_of_size
from gearing.policies.rules.rule import check_fraction, check_numbers, check_positive, put_numbers
from gearing.simulation.controls import Situation

Decision = tuple[np.ndarray, np.recarray, Any]


class LeverageLimit:
    """A control without memory that caps the size of targets and of held positions.

    A position that would be held (target NaN) is cut to the cap where it exceeds it.
    """

    def cap(self, side: np.ndarray, now: Situation) -> np.ndarray:
        """Largest leverage of each position whose side is ``side`` (-1, 0, 1); infinite where there is no limit."""
        raise NotImplementedError

    def apply(self, targets: np.ndarray, guards: np.recarray, now: Situation, memory: Any) -> Decision:
        """Targets within the cap."""
        wanted = np.where(np.isnan(targets), now.leverage, targets)
        cap = self.cap(np.sign(wanted), now)
        over = np.abs(wanted) > cap
        return np.where(over, np.copysign(cap, wanted), targets), guards, memory


@control("funding_guard")
@dataclass(frozen=True)
class FundingGuard:
    """Cut a position while funding charges it more than ``limit`` a year of its notional.

    Parameters
    ----------
    limit : float
        Annualised carry; 0.5 is about 0.046 % per 8 hours.
    keep : float
        Fraction of the leverage kept, 0 to close.
    column : str
        Annualised funding that a long pays.
    """

    limit: float = 0.5
    keep: float = 0.0
    column: str = "funding_carry_7d"

    def __post_init__(self) -> None:
        check_numbers(self)
        if not 0.0 <= self.keep < 1.0:
            raise ValueError(f"FundingGuard: keep is {self.keep}; it must be in [0, 1).")

    @property
    def required_columns(self) -> tuple[str, ...]:
        """The carry."""
        return (self.column,)

    def apply(self, targets: np.ndarray, guards: np.recarray, now: Situation, memory: Any) -> Decision:
        """Targets that pay too much, cut."""
        wanted = np.where(np.isnan(targets), now.leverage, targets)
        paid = np.sign(wanted) * now.of(self.column)
        # A held position is closed or left unchanged: a fraction would be cut again at every decision.
        cut = (paid > self.limit) & (~np.isnan(targets) | (self.keep == 0.0))
        return np.where(cut, self.keep * wanted, targets), guards, memory


@control("liquidation_guard")
@dataclass(frozen=True)
class LiquidationGuard(LeverageLimit):
    """Keep the liquidation price at least ``deviations`` forecast standard deviations of the mark away.

    Parameters
    ----------
    deviations : float
    horizon : str
        Duration over which the standard deviation is taken.
    maintenance : float
        Maintenance margin rate of the tier in use.
    column : str
        Annualised volatility: forecast, realised or implied.
    """

    deviations: float = 3.0
    horizon: str = "24h"
    maintenance: float = 0.005
    column: str = "realized_volatility_24h"

    def __post_init__(self) -> None:
        check_numbers(self)
        check_positive(self, "deviations")
        parse_duration(self.horizon, None)

    @property
    def required_columns(self) -> tuple[str, ...]:
        """The volatility, and how far away liquidation is now."""
        return (self.column, "liquidation_distance")

    def needed(self, side: np.ndarray, now: Situation) -> np.ndarray:
        """Relative move that the position must survive."""
        spread = now.of(self.column) * np.sqrt(float(parse_duration(self.horizon) / YEAR))
        move = np.minimum(self.deviations * spread, 50.0)
        return np.where(side >= 0.0, -np.expm1(-move), np.expm1(move))

    def cap(self, side: np.ndarray, now: Situation) -> np.ndarray:
        """Leverage with its liquidation price at that distance."""
        size = self.needed(side, now)
        long, short = (leverage_of_size(size, s, "liquidation", 1.0, self.maintenance) for s in (1, -1))
        return np.where(side >= 0.0, long, short)

    def apply(self, targets: np.ndarray, guards: np.recarray, now: Situation, memory: Any) -> Decision:
        """Targets within the cap; a held position too close to liquidation is reduced to it."""
        held = np.where(np.isnan(targets), now.leverage, 0.0)
        side = np.sign(held)
        near = now.of("liquidation_distance") < np.minimum(self.needed(side, now), 1.0)
        exposed = (held != 0.0) & near
        targets = np.where(exposed, side * np.minimum(np.abs(held), self.cap(side, now)), targets)
        return super().apply(targets, guards, now, memory)


@control("auto_deleverage")
@dataclass(frozen=True)
class AutoDeleverage(LeverageLimit):
    """Reduce a position once its margin ratio is high, instead of waiting for the exchange to do it.

    Parameters
    ----------
    margin_ratio : float
        Maintenance over margin balance from which it acts; 1 is liquidation.
    keep : float
        Fraction of the current position that is kept.
    """

    margin_ratio: float = 0.5
    keep: float = 0.5
    required_columns: ClassVar[tuple[str, ...]] = ("margin_ratio", "effective_leverage")

    def __post_init__(self) -> None:
        check_numbers(self)
        check_fraction(self, "margin_ratio", "keep")

    def cap(self, side: np.ndarray, now: Situation) -> np.ndarray:
        """The kept fraction of a strained position."""
        strained = (now.of("margin_ratio") >= self.margin_ratio) & (now.leverage != 0.0)
        return np.where(strained, self.keep * np.abs(now.leverage), np.inf)


@control("notional_cap")
@dataclass(frozen=True)
class NotionalCap(LeverageLimit):
    """Less leverage for larger positions: a table like the exchange's, with the trader's own numbers.

    Parameters
    ----------
    up_to : tuple of float
        Notional, ascending, up to which each leverage is allowed [settle coin]; nothing larger than the last is held.
    leverage : tuple of float
        Descending.
    """

    up_to: tuple[float, ...] = (50_000.0, 250_000.0, 1_000_000.0)
    leverage: tuple[float, ...] = (20.0, 10.0, 5.0)
    required_columns: ClassVar[tuple[str, ...]] = ("effective_leverage",)

    def __post_init__(self) -> None:
        check_numbers(self)
        put_numbers(self, "up_to", "leverage")
        falling = list(self.leverage) == sorted(self.leverage, reverse=True)
        if len(self.up_to) != len(self.leverage) or list(self.up_to) != sorted(self.up_to) or not falling:
            raise ValueError(
                f"NotionalCap: up_to is {self.up_to} and leverage {self.leverage}; give as many of both, sizes "
                "ascending and leverage descending."
            )

    def cap(self, side: np.ndarray, now: Situation) -> np.ndarray:
        """Largest leverage whose notional its row still allows."""
        budget = np.maximum(now.equity[:, None] * now.margin_share, 1e-9)
        rows = [np.minimum(most, size / budget) for size, most in zip(self.up_to, self.leverage, strict=True)]
        return np.maximum.reduce(rows)
