"""The largest leverage whose probability of liquidation, or of a loss, stays within a budget.

The event is a touch: of the liquidation price, or of the price at which a share of the margin is lost. How far the
price may go with the budget's probability is a column, of the law in `gearing.forecasters.excursion_law`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gearing.forecasters.excursion_law.law import check_promise, excursion_column
from gearing.policies.registry import rule
from gearing.policies.rules.rule import Columns, Rule, check_numbers, check_positive, values

EVENTS = ("liquidation", "drawdown")


def leverage_of_size(
    size: np.ndarray, side: int, event: str, drawdown: float, maintenance: float | np.ndarray
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


def adverse_size(distance: np.ndarray, side: int) -> np.ndarray:
    """Adverse move as a positive fraction of price, of a log distance."""
    return -np.expm1(-distance) if side > 0 else np.expm1(np.minimum(distance, 50.0))


@rule("excursion_budget")
@dataclass(frozen=True)
class ExcursionBudget(Rule):
    """Largest leverage whose probability of liquidation (or drawdown) within the horizon stays below a budget.

    The distance that the price exceeds with the budget's probability comes from the contract's volatility and from what
    followed such volatilities in a pool of contracts, calibrated online (`gearing.forecasters.excursion_law`). A
    position that is held longer never gets more leverage.

    When: the budget is to be met, also on contracts that nobody fitted on and in months to come; docs/promises.md has
    what was promised and what came. Weakness: a few years hold few crashes of the whole market, so budgets of 1 % over
    30 days are a stated floor for longs and refused for shorts. Funding within the horizon is left out.

    Parameters
    ----------
    probability : float
        Budget within one horizon, from 0.001 to 0.5.
    horizon : str
        Whole days from 1d to 30d: how long a position is held, or what the budget speaks of.
    event : {"liquidation", "drawdown"}
    drawdown : float
        Share of the margin whose loss is the event.
    side : {1, -1}
    maintenance : float
        Maintenance margin rate of the tier in use.
    max_leverage : float
    """

    probability: float = 0.01
    horizon: str = "1d"
    event: str = "liquidation"
    drawdown: float = 0.5
    side: int = 1
    maintenance: float = 0.005
    max_leverage: float = 20.0

    def __post_init__(self) -> None:
        check_numbers(self)
        check_positive(self, "max_leverage")
        check_event(self)
        if self.side not in (1, -1):
            raise ValueError(f"ExcursionBudget: side is {self.side}; it must be 1 or -1.")
        checked_promise(self, (self.side,))

    @property
    def required_columns(self) -> tuple[str, ...]:
        """The distance of the budget."""
        return (excursion_column(self.horizon, self.probability, self.side),)

    def choose(self, observation: Columns) -> np.ndarray:
        """Leverage whose event lies at the distance of the budget."""
        size = adverse_size(values(observation, self.required_columns[0]), self.side)
        leverage = leverage_of_size(size, self.side, self.event, self.drawdown, self.maintenance)
        return np.minimum(leverage, self.max_leverage)


def check_event(given: Any) -> None:
    """Refuse an unknown event, or a drawdown or maintenance rate outside their ranges."""
    name = type(given).__name__
    if given.event not in EVENTS:
        raise ValueError(f"{name}: event is {given.event!r}; it must be one of {', '.join(EVENTS)}.")
    if not 0.0 < given.drawdown <= 1.0:
        raise ValueError(f"{name}: drawdown is {given.drawdown}; it must be in (0, 1].")
    if not 0.0 <= given.maintenance < 1.0:
        raise ValueError(f"{name}: maintenance is {given.maintenance}; it must be a fraction in [0, 1).")


def checked_promise(given: Any, sides: tuple[int, ...]) -> None:
    """Refuse a budget that the law does not state, naming the rule or control."""
    try:
        for side in sides:
            check_promise(given.horizon, side, given.probability)
    except ValueError as error:
        raise ValueError(f"{type(given).__name__}: {error}") from None
