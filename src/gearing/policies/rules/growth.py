"""Leverage for growth (Kelly, Merton) and for a limited drawdown (CPPI)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gearing.market.timing import YEAR, parse_duration
from gearing.policies.registry import rule
from gearing.policies.rules.rule import (
    Columns,
    Rule,
    check_fraction,
    check_not_negative,
    check_numbers,
    check_ordered,
    check_positive,
    values,
    volatility,
)


@rule("kelly")
@dataclass(frozen=True)
class Kelly(Rule):
    """A fraction of the growth-optimal leverage (Kelly, 1956; Merton, 1969), with the drift estimated.

    leverage = fraction x (drift - funding) / volatility^2, between 0 and ``max_leverage``. The drift is what the
    window of the column ``drift`` earned a year, drawn towards ``prior`` as far as the window is uninformative: with
    T years in it its variance is volatility^2 / T against the ``prior_spread``^2 with which drifts differ. Merton's
    investor of risk aversion g holds the fraction 1 / g.

    When: as the benchmark of theory; half or a quarter of it in practice. Weakness: everything hangs on a drift that no
    window measures; ninety days know it to about twice the volatility.

    Parameters
    ----------
    fraction : float
        Part of full Kelly; 1 / risk aversion.
    prior, prior_spread : float
        Drift a year expected without data, and its standard deviation.
    side : {1, -1, 0}
        A long's, a short's, or (0, for direction "free") either, with a signed leverage.
    max_leverage : float
    drift : str
        Column of the log return over a window that its name ends with.
    column : str
        Annualised volatility: realised, forecast or implied.
    funding : str
        Annualised funding that a long pays.
    """

    fraction: float = 0.5
    prior: float = 0.0
    prior_spread: float = 0.6
    side: int = 1
    max_leverage: float = 10.0
    drift: str = "momentum_90d"
    column: str = "realized_volatility_30d"
    funding: str = "funding_carry_7d"
    reads: ClassVar[tuple[str, ...]] = ("drift", "column", "funding")

    def __post_init__(self) -> None:
        check_numbers(self)
        check_positive(self, "fraction", "prior_spread", "max_leverage")
        if self.side not in (1, -1, 0):
            raise ValueError(f"Kelly: side is {self.side}; it must be 1 (long), -1 (short) or 0 (either).")

    def choose(self, observation: Columns) -> np.ndarray:
        """A fraction of excess drift over variance."""
        variance = volatility(observation, self.column) ** 2
        excess = self.expected_drift(values(observation, self.drift), variance)
        signed = self.fraction * (excess - values(observation, self.funding)) / variance
        signed = np.clip(signed, -self.max_leverage, self.max_leverage)
        return signed if self.side == 0 else np.maximum(self.side * signed, 0.0)

    def expected_drift(self, log_return: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """Posterior mean of the drift a year (of price, not of its log)."""
        years = float(parse_duration(self.drift.rpartition("_")[2], None) / YEAR)
        measured = log_return / years + 0.5 * variance
        trust = self.prior_spread**2 / (self.prior_spread**2 + variance / years)
        return self.prior + trust * (measured - self.prior)


@rule("drawdown_controlled")
@dataclass(frozen=True)
class DrawdownControlled(Rule):
    """Leverage in proportion to what is left above a floor under the peak (CPPI; Grossman and Zhou, 1993).

    leverage = multiplier x (equity - floor) / equity with floor = (1 - max_drawdown) x peak, between ``least`` and
    ``max_leverage``. When: a drawdown limit is a condition of the job. Weakness: it sells into falls and buys into
    rises; after a fall to the floor only ``least`` is left to come back with; a jump beyond 1 / multiplier breaks
    the floor.

    Parameters
    ----------
    multiplier : float
        Leverage per unit of cushion; 1 / multiplier is the jump it survives between two decisions.
    max_drawdown : float
        Fraction below the peak where the floor lies.
    least, max_leverage : float
    """

    multiplier: float = 8.0
    max_drawdown: float = 0.5
    least: float = 0.2
    max_leverage: float = 10.0
    required_columns = ("effective_leverage", "drawdown")

    def __post_init__(self) -> None:
        check_numbers(self)
        check_positive(self, "multiplier", "max_leverage")
        check_fraction(self, "max_drawdown")
        check_not_negative(self, "least")
        check_ordered(self, "least", "max_leverage")

    def choose(self, observation: Columns) -> np.ndarray:
        """Multiplier times the cushion."""
        drawdown = np.minimum(values(observation, "drawdown"), 0.999)  # (n_accounts, 1)
        cushion = (self.max_drawdown - drawdown) / (1.0 - drawdown)
        leverage = np.clip(self.multiplier * cushion, self.least, self.max_leverage)
        return np.broadcast_to(leverage, observation["effective_leverage"].shape).copy()
