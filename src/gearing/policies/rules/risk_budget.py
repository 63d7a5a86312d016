"""The largest leverage whose probability of liquidation, or of a loss, stays within a budget.

The event is a touch: of the liquidation price, or of the price at which a share of the margin is lost. Its
probability within the horizon comes from a volatility by the reflection principle, or from columns of forecast touch
probabilities.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from gearing.market.timing import YEAR, parse_duration
from gearing.policies.registry import rule
from gearing.policies.rules.rule import (
    Columns,
    Rule,
    check_fraction,
    check_numbers,
    check_positive,
    put_numbers,
    values,
    volatility,
)

EVENTS = ("liquidation", "drawdown")
SIZES = (0.01, 0.02, 0.03, 0.05, 0.075, 0.10, 0.15)  # moves with forecast touch probabilities


def touch_column(size: float, side: int) -> str:
    """Name of the column with the probability of an adverse move of ``size``: ``touch_down_5``, ``touch_up_7_5``."""
    way = "down" if side > 0 else "up"
    return f"touch_{way}_{100.0 * size:g}".replace(".", "_")


def leverage_of_size(
    size: np.ndarray, side: int, event: str, drawdown: float, maintenance: float
) -> np.ndarray:
    """Leverage whose event happens at an adverse move of ``size``, a positive fraction of price.

    A long of leverage L has equity 1/L - size per unit of entry value and is liquidated where that meets the
    maintenance m (1 - size), so L = 1 / (m + size (1 - m)); for a short the mark has risen, m (1 + size). A loss of the
    fraction ``drawdown`` of the margin needs L = drawdown / size, unless the position is liquidated first.
    """
    liquidated = 1.0 / (maintenance + size * (1.0 - side * maintenance))
    if event == "liquidation":
        return liquidated
    return np.minimum(drawdown / np.maximum(size, 1e-9), liquidated)


@rule("risk_budget")
@dataclass(frozen=True)
class RiskBudget(Rule):
    """Largest leverage whose probability of liquidation (or drawdown) within the horizon stays below a budget.

    The mark of standard deviation s = volatility x sqrt(horizon) touches a log distance d with probability
    2 P(Z > d / s) (reflection principle), so the budget p asks for d = s x z(1 - p/2), and leverage is what has its
    liquidation price (or loses ``drawdown`` of its margin) at that distance.

    When: "at most one liquidation in a hundred days" is how the risk is agreed. Weakness: returns have fatter tails
    than the reflection principle knows, so small budgets are exceeded (BTC, ETH and ADA, 2021 to 2025, with a HAR
    forecast: 1 % promised, 3 to 4 % realised); ``tail`` widens the distance, and
    ``excursion_budget`` uses probabilities fitted on what followed past forecasts. Funding and fees within the
    horizon are left out.

    Parameters
    ----------
    probability : float
        Budget within one horizon, between 0 and 1.
    horizon : str
        Duration until the next decision or whatever the budget speaks of.
    event : {"liquidation", "drawdown"}
    drawdown : float
        Part of the margin whose loss is the event.
    side : {1, -1}
    maintenance : float
        Maintenance margin rate of the tier in use.
    tail : float
        Factor of the distance.
    max_leverage : float
    column : str
        Annualised volatility of the horizon: forecast, realised or implied.
    """

    probability: float = 0.01
    horizon: str = "24h"
    event: str = "liquidation"
    drawdown: float = 0.5
    side: int = 1
    maintenance: float = 0.005
    tail: float = 1.0
    max_leverage: float = 20.0
    column: str = "forecast_volatility"

    def __post_init__(self) -> None:
        check_positive(self, "tail")
        parse_duration(self.horizon, None)
        _check_budget(self)

    def choose(self, observation: Columns) -> np.ndarray:
        """Leverage at the distance of the budget."""
        years = float(parse_duration(self.horizon, None) / YEAR)
        z = NormalDist().inv_cdf(1.0 - 0.5 * self.probability)
        distance = self.tail * z * volatility(observation, self.column) * np.sqrt(years)
        return _leverage_at(self, distance)


@rule("excursion_budget")
@dataclass(frozen=True)
class ExcursionBudget(Rule):
    """The risk budget from forecast touch probabilities of a few sizes, one column each.

    Between the sizes, and beyond them, the normal quantile of the probability runs straight in the log distance:
    exact for a Gaussian walk, and a curve fitted on past excursions bends it for fat tails. ``join_excursions`` of
    ``gearing.evaluation`` makes the columns; their horizon is the budget's.

    When: the budget is to be kept, not only named (same data: 1 % promised, 0.7 to 1.3 % realised).
    Weakness: beyond the largest size it extrapolates, and
    probabilities far below one in the number of past excursions are guesses.

    Parameters
    ----------
    probability, event, drawdown, side, maintenance, max_leverage
        As in ``risk_budget``.
    sizes : tuple of float
        Moves, ascending, whose columns ``touch_down_5`` (side 1) or ``touch_up_5`` (side -1) are read.
    """

    probability: float = 0.01
    event: str = "liquidation"
    drawdown: float = 0.5
    side: int = 1
    maintenance: float = 0.005
    max_leverage: float = 20.0
    sizes: tuple[float, ...] = SIZES

    def __post_init__(self) -> None:
        put_numbers(self, "sizes")
        _check_budget(self)
        if len(self.sizes) < 2 or list(self.sizes) != sorted(set(self.sizes)):
            raise ValueError(f"ExcursionBudget: sizes are {self.sizes}; give at least two, ascending.")

    @property
    def required_columns(self) -> tuple[str, ...]:
        """One column per size."""
        return tuple(touch_column(size, self.side) for size in self.sizes)

    def choose(self, observation: Columns) -> np.ndarray:
        """Leverage at the distance whose touch probability is the budget."""
        probability = np.stack([values(observation, name) for name in self.required_columns], axis=-1)
        size = np.asarray(self.sizes)
        distance = -np.log1p(-size) if self.side > 0 else np.log1p(size)
        wanted = distance_of_budget(probability, distance, self.probability)
        return _leverage_at(self, wanted)


def distance_of_budget(probability: np.ndarray, distance: np.ndarray, budget: float) -> np.ndarray:
    """Log distance at which the touch probability equals the budget.

    Parameters
    ----------
    probability : (..., n_sizes)
        Of a touch at each distance; made to fall with distance where it does not.
    distance : (n_sizes,)
        Ascending.
    """
    from scipy.special import ndtri

    falling = np.minimum.accumulate(np.clip(probability, 1e-12, 1.0 - 1e-9), axis=-1)
    z = -ndtri(0.5 * falling)  # rises with distance from 0
    wanted = -float(ndtri(0.5 * budget))
    z = np.concatenate([np.zeros_like(z[..., :1]), z], axis=-1)
    d = np.concatenate([[0.0], distance])
    k = np.clip((z < wanted).sum(axis=-1) - 1, 0, len(d) - 2)
    low, high = (np.take_along_axis(z, (k + step)[..., None], axis=-1)[..., 0] for step in (0, 1))
    slope = np.where(high - low > 1e-9, (d[k + 1] - d[k]) / np.maximum(high - low, 1e-9), 1e3)
    return d[k] + np.maximum(wanted - low, 0.0) * slope


def _leverage_at(budget: RiskBudget | ExcursionBudget, distance: np.ndarray) -> np.ndarray:
    """Leverage whose event happens at an adverse log distance."""
    size = -np.expm1(-distance) if budget.side > 0 else np.expm1(np.minimum(distance, 50.0))
    leverage = leverage_of_size(size, budget.side, budget.event, budget.drawdown, budget.maintenance)
    return np.minimum(leverage, budget.max_leverage)


def _check_budget(given: RiskBudget | ExcursionBudget) -> None:
    name = type(given).__name__
    check_numbers(given)
    check_positive(given, "max_leverage")
    check_fraction(given, "probability")
    if not 0.0 < given.drawdown <= 1.0:
        raise ValueError(f"{name}: drawdown is {given.drawdown}; it must be in (0, 1].")
    if given.event not in EVENTS:
        raise ValueError(f"{name}: event is {given.event!r}; it must be one of {', '.join(EVENTS)}.")
    if given.side not in (1, -1):
        raise ValueError(f"{name}: side is {given.side}; it must be 1 or -1.")
