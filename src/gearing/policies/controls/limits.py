"""Controls of the whole account: daily loss limit, pause after a liquidation, portfolio limits."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gearing.market.timing import parse_duration
from gearing.policies.controls.guards import Decision
from gearing.policies.registry import control
from gearing.policies.rules.portfolio import portfolio_volatility
from gearing.policies.rules.rule import check_fraction, check_numbers, volatility
from gearing.simulation.controls import Situation


@control("daily_loss_limit")
@dataclass(frozen=True)
class DailyLossLimit:
    """Flat for the rest of the UTC day once equity has lost ``limit`` since the day's first decision.

    It acts at decisions; inside an interval only resting orders do: combine it with a stop where decisions are daily.

    Parameters
    ----------
    limit : float
        Fraction of the equity at the day's first decision.
    """

    limit: float = 0.05
    required_columns: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_numbers(self)
        check_fraction(self, "limit")

    def apply(self, targets: np.ndarray, guards: np.recarray, now: Situation, memory: Any) -> Decision:
        """Zero for accounts that have lost too much today."""
        day = now.time.astype("datetime64[D]").astype(np.int64)
        last_day, start, over = memory or (day - 1, now.equity, np.zeros(day.size, np.bool_))
        new = (day != last_day) | now.begins
        start = np.where(new, now.equity, start)
        over = (over & ~new) | (now.equity <= (1.0 - self.limit) * start)
        return np.where(over[:, None], 0.0, targets), guards, (day, start, over)


@control("cool_down")
@dataclass(frozen=True)
class CoolDown:
    """Stay flat for a while after a liquidation.

    Parameters
    ----------
    pause : str
        Duration from the first decision after the liquidation.
    whole_account : bool
        Whether all positions pause, or the liquidated one only.
    """

    pause: str = "24h"
    whole_account: bool = True
    required_columns: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_numbers(self)
        parse_duration(self.pause, None)

    def apply(self, targets: np.ndarray, guards: np.recarray, now: Situation, memory: Any) -> Decision:
        """Zero until the pause is over."""
        never = np.full(targets.shape, np.datetime64(0, "ms"))
        until = np.where(now.begins[:, None], never, memory[0] if memory else never)
        hit = now.liquidated
        if self.whole_account:
            hit = np.broadcast_to(hit.any(axis=1, keepdims=True), hit.shape)
        until = np.where(hit, now.time[:, None] + parse_duration(self.pause), until)
        paused = now.time[:, None] < until
        return np.where(paused, 0.0, targets), guards, (until,)


@control("portfolio_limit")
@dataclass(frozen=True)
class PortfolioLimit:
    """Scale all positions down together until the account is within its limits.

    Parameters
    ----------
    gross, net : float, optional
        Largest sum of absolute, and absolute sum of signed, notionals over equity.
    volatility : float, optional
        Largest annualised volatility of equity, with the correlation taken into account: longs and shorts hedge.
    column : str
        Annualised volatility of the contracts.
    correlation : float
        Of every pair.
    """

    gross: float | None = None
    net: float | None = None
    volatility: float | None = None
    column: str = "realized_volatility_7d"
    correlation: float = 0.7

    def __post_init__(self) -> None:
        check_numbers(self)
        limits = {name: getattr(self, name) for name in ("gross", "net", "volatility")}
        given = [value for value in limits.values() if value is not None]
        if not given or min(given) <= 0.0:
            raise ValueError(f"PortfolioLimit: the limits are {limits}; give at least one, positive.")

    @property
    def required_columns(self) -> tuple[str, ...]:
        """The volatility, if it is limited."""
        return ("effective_leverage",) if self.volatility is None else ("effective_leverage", self.column)

    def apply(self, targets: np.ndarray, guards: np.recarray, now: Situation, memory: Any) -> Decision:
        """All targets times the smallest of limit over present value, where that is below one."""
        wanted = np.where(np.isnan(targets), now.leverage, targets)
        exposure = wanted * now.margin_share
        share = np.ones((len(targets), 1))
        for limit, value in self._measured(exposure, now):
            share = np.minimum(share, limit / np.maximum(value, 1e-12))
        return np.where(share < 1.0, share * wanted, targets), guards, memory

    def _measured(self, exposure: np.ndarray, now: Situation) -> list[tuple[float, np.ndarray]]:
        found = []
        if self.gross is not None:
            found.append((self.gross, np.abs(exposure).sum(axis=1, keepdims=True)))
        if self.net is not None:
            found.append((self.net, np.abs(exposure.sum(axis=1, keepdims=True))))
        if self.volatility is not None:
            sigma = volatility(now.columns, self.column)
            legs = exposure.reshape(len(exposure), sigma.shape[1], -1).sum(axis=2)
            rho = np.full((len(exposure), 1), self.correlation)
            found.append((self.volatility, portfolio_volatility(legs, sigma, rho)))
        return found
