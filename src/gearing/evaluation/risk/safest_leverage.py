"""How much leverage is safe today? The largest whose probability of an event within a horizon is within a budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gearing.contracts import Contract
from gearing.evaluation.risk.distances import HORIZONS, law_for
from gearing.evaluation.risk.inputs import (
    SIDE_OF,
    check_account,
    check_question,
    moment_of,
    one_market,
    pool_of_markets,
    symbol_of,
)
from gearing.evaluation.risk.promises import Realised, block_of, realised
from gearing.evaluation.statistics.bootstrap import resamples
from gearing.forecasters.excursion_law.law import ExcursionLaw, check_promise
from gearing.forecasters.excursion_law.scale import Array, Scale, days_of, mixed_scale
from gearing.forecasters.excursion_law.starts import SIDES, daily_starts
from gearing.forecasters.excursion_law.tails import upper_quantiles
from gearing.market.data import MarketData
from gearing.policies.rules.excursion_budget import EVENTS, adverse_size, leverage_of_size
from gearing.simulation.config import SimulationConfig

MODEL = (
    "law of the largest adverse move: pooled multiples of a volatility mixture, generalised Pareto tail, log budgets "
    "calibrated online"
)
_YOUNG = 30.0  # days
_REPLICATIONS = 200
_DEFAULT = SimulationConfig()


@dataclass(frozen=True)
class SafestLeverage:
    """The largest leverage at which the probability of an event is within a budget.

    Attributes
    ----------
    contract, event, direction, horizon, max_probability
        The promise.
    at : datetime64[D]
        Midnight (UTC) that it is made at; positions are opened there.
    leverage : float
        Notional over the equity that stands behind the position; 0 where the promise is refused.
    low, high : float
        95 % interval from resampled days of the pool.
    maintenance : float
        Maintenance margin rate of the tier that the position falls in.
    realised : Realised
        What the same promise, made on every past day, came to on this contract.
    mean_leverage : float
        Mean of the leverage that it allowed on those days.
    pool : tuple of str
        Contracts that the law was fitted on.
    independent : int
        Independent events of the pool beyond its 1 % distance.
    span : str
        First and last day of the pool.
    refused : str or None
        Why no leverage is promised.
    warnings : tuple of str
    """

    contract: str
    event: str
    direction: str
    horizon: str
    max_probability: float
    at: np.datetime64
    leverage: float
    low: float
    high: float
    maintenance: float
    realised: Realised
    mean_leverage: float
    pool: tuple[str, ...]
    independent: int
    span: str
    refused: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def cautious(self) -> float:
        """The lower bound of the leverage."""
        return self.low

    @property
    def promise(self) -> str:
        """The promise in words."""
        return f"{self.event} of a {self.direction} within {self.horizon} below {self.max_probability:.3g}"

    def __str__(self) -> str:
        if self.refused is not None:
            return f"{self.contract}: no leverage is promised to keep {self.promise}: {self.refused}"
        lines = [
            f"{self.contract} on {self.at}: {self.leverage:.2f}x [{self.low:.2f}, {self.high:.2f}] keeps "
            f"{self.promise}",
            f"  so far     {self.realised}",
            f"  model      {MODEL}",
            f"  data       {', '.join(self.pool)}, {self.span}; {self.independent} independent events beyond the 1 % "
            "distance",
        ]
        return "\n".join([*lines, *(f"  warning    {text}" for text in self.warnings)])


@dataclass(frozen=True)
class Checked:
    """What a promise came to, and the mean leverage that it allowed."""

    realised: Realised
    leverage: float


def safest_leverage(
    market: MarketData,
    event: str = "liquidation",
    horizon: str = "30d",
    max_probability: float = 0.05,
    *,
    direction: str = "long",
    contract: str | None = None,
    pool: Sequence[MarketData] = (),
    at: Any = None,
    drawdown: float = 0.5,
    initial_equity: float = _DEFAULT.initial_equity,
    scale: Scale = mixed_scale,
    seed: int = 0,
) -> SafestLeverage:
    """Largest leverage whose probability of an event within the horizon stays within a budget.

    Parameters
    ----------
    market : MarketData
    event : {"liquidation", "drawdown"}
        Liquidation, or the loss of a share of the equity behind the position (``drawdown=0.5``).
    horizon : str
        Whole days from 1d to 30d.
    max_probability : float
        From 0.001 to 0.5.
    direction : {"long", "short"}
    contract : str, optional
        Default: the market's only one.
    pool : sequence of MarketData
        Further contracts. The law is fitted on the market's other contracts and these, or on the contract's own past
        where there are none.
    at : time, optional
        UTC; nothing later is used. Default: the market's last midnight.
    drawdown : float
    initial_equity : float
        Decides the margin tier.
    scale : callable
        Source of volatility, see `gearing.forecasters.excursion_law.scale.mixed_scale`.
    seed : int
        Of the interval.

    Examples
    --------
    >>> print(safest_leverage(market, event="liquidation", horizon="7d", max_probability=0.01))  # doctest: +SKIP
    """
    made = Promiser(
        market, contract=contract, pool=pool, horizons=[horizon], at=at, drawdown=drawdown,
        initial_equity=initial_equity, scale=scale, seed=seed,
    )  # fmt: skip
    return made.promise(event, horizon, max_probability, direction)


class Promiser:
    """Promises of one contract: the law is fitted once and answers for any event, horizon, budget and side.

    Parameters
    ----------
    horizons : iterable of str
        Those that will be promised.
    drawdown, initial_equity, scale, seed
        See `safest_leverage`.

    Attributes
    ----------
    law : ExcursionLaw
    starts : DailyStarts
        The contract's own.
    """

    def __init__(
        self,
        market: MarketData,
        *,
        contract: str | None = None,
        pool: Sequence[MarketData] = (),
        horizons: Iterable[str] = HORIZONS,
        at: Any = None,
        drawdown: float = 0.5,
        initial_equity: float = _DEFAULT.initial_equity,
        scale: Scale = mixed_scale,
        seed: int = 0,
    ):
        check_account(drawdown, initial_equity, seed)
        markets = [one_market(market), *pool_of_markets(pool)]
        symbol = symbol_of(market, contract)
        self.contract: Contract = market.contracts[market.symbols.index(symbol)]
        days = {f"{days_of(horizon):g}d" for horizon in (*HORIZONS, *horizons)}
        every = daily_starts(markets, sorted(days, key=days_of), scale)
        every = every if at is None else every.until(moment_of(at, market))
        self.law: ExcursionLaw = law_for(symbol, every, {})
        self.pool, self.starts = every.of(self.law.symbols), every.of([symbol])
        self.drawdown, self.equity, self.seed = drawdown, initial_equity, seed
        known = np.flatnonzero(np.isfinite(self.starts.scale[0, 0]))
        if not known.size:
            raise ValueError(
                f"{symbol} has no bars before {every.days[-1] if every.days.size else at}; give a later at=."
            )
        self._last = int(known[-1])
        self._moments = self.starts.days.astype("datetime64[ms]")
        self._scaled = self.law.scaled(self._moments, self.starts.scale[:, 0], self.starts.age[0])

    @property
    def at(self) -> np.datetime64:
        """Midnight at which promises are made."""
        return self.starts.days[self._last]

    def promise(self, event: str, horizon: str, probability: float, direction: str) -> SafestLeverage:
        """The largest leverage within a budget."""
        check_question(event, probability, direction)
        side, (h, horizon) = SIDE_OF[direction], self._horizon(horizon)
        s = SIDES.index(side)
        refused = self.law.refusal(horizon, side, probability)
        distances = self.distances(horizon, probability, side)
        distance = float(distances[self._last])
        if refused is None:
            refused = self._unknown(distance)
        low, high = (1.0, 1.0) if refused else self._spread(h, s, probability)
        leverage, cautious, bold = self._leverages(
            distance * np.array([1.0, high, low]), side, event
        ).tolist()
        hits = np.where(np.isfinite(distances), self.starts.excursion[h, s, 0] >= distances, np.nan)
        hits = np.where(np.isfinite(self.starts.excursion[h, s, 0]), hits, np.nan)
        past = self._leverages(distances[np.isfinite(hits)], side, event)
        answer = SafestLeverage(
            self.contract.symbol, event, direction, horizon, probability, self.at, leverage, cautious, bold,
            maintenance=self._tier(leverage).rate,
            realised=realised(hits, days_of(horizon), seed=self.seed),
            mean_leverage=float(past.mean()) if past.size else np.nan,
            pool=self.law.symbols,
            independent=int(self.law.events[-1, h, s]),
            span=f"{self.law.days[0]} to {self.law.days[-1]}",
            refused=refused,
            warnings=self._warnings(),
        )  # fmt: skip
        return answer if refused is None else replace(answer, leverage=0.0, low=0.0, high=0.0)

    def distances(self, horizon: str, probability: float, side: int) -> Array:
        """Distance of a budget on every day (n_days,), as it was known then."""
        h, s = self._horizon(horizon)[0], SIDES.index(side)
        return self.law.distance(self._moments, self._scaled, probability)[h, s]

    def _horizon(self, horizon: str) -> tuple[int, str]:
        """Place of a horizon in the law, and its name in days."""
        name = f"{days_of(horizon):g}d"
        if name not in self.law.horizons:
            raise ValueError(
                f"horizon is {name}; this one promises over {', '.join(self.law.horizons)}. Name others as horizons=."
            )
        return self.law.horizons.index(name), name

    def _unknown(self, distance: float) -> str | None:
        """Why a distance is none; None where it is one."""
        pool = ", ".join(self.law.symbols)
        if not np.isfinite(distance):
            return f"the pool ({pool}) has too few starts that ended by {self.at}"
        if distance <= 0.0:
            return f"the prices of the pool ({pool}) did not move, so that nothing is known of moves"
        return None

    def checked(
        self, split: np.datetime64, event: str, horizon: str, probability: float, direction: str
    ) -> Checked:
        """The law as it stood at a moment, against what followed the later days; volatility is that of each day.

        Raises
        ------
        ValueError
            Where the law makes no such promise, or no later day has its outcome.
        """
        check_question(event, probability, direction)
        side, (h, horizon) = SIDE_OF[direction], self._horizon(horizon)
        check_promise(horizon, side, probability)
        s = SIDES.index(side)
        law = self.law.frozen(split)
        scaled = law.scaled(self._moments, self.starts.scale[:, 0], self.starts.age[0])
        distances = law.distance(self._moments, scaled, probability)[h, s]
        excursion = self.starts.excursion[h, s, 0]
        later = (self._moments >= split) & np.isfinite(excursion) & np.isfinite(distances)
        if later.sum() < 2:
            raise ValueError(
                f"{self.contract.symbol} has {later.sum()} starts after {split} whose {horizon} are known, and whose "
                f"law had a past; the data end on {self.at}. Give an earlier date or a longer history."
            )
        leverage = self._leverages(distances[later], side, event)
        hits = (excursion >= distances)[later].astype(np.float64)
        return Checked(realised(hits, days_of(horizon), seed=self.seed), float(leverage.mean()))

    def _tier(self, leverage: float) -> Any:
        """Margin tier of the newest schedule that a position of this leverage falls in."""
        tiers = self.contract.schedule_at(self.at).tiers
        notional = leverage * self.equity
        return next((tier for tier in tiers if notional < tier.cap), tiers[-1])

    def _leverages(self, distances: Array, side: int, event: str) -> Array:
        """Largest leverage whose event lies at each distance (n,), as the contract's tiers allow it.

        Fees cancel: an order that posts all equity is smaller by its fee. A tier's amount is equity that it gives back.
        """
        size = adverse_size(np.where(np.isfinite(distances), distances, 1.0), side)
        best = np.zeros(size.shape)
        for tier in self.contract.schedule_at(self.at).tiers:
            found = leverage_of_size(size, side, event, self.drawdown, tier.rate)
            if event == EVENTS[0]:
                found = found * (1.0 + tier.amount / self.equity)
            top = np.minimum(found, min(tier.max_leverage, tier.cap / self.equity))
            best = np.where(top * self.equity >= tier.floor, np.maximum(best, top), best)
        return np.where(np.isfinite(distances), best, 0.0)

    def _spread(self, h: int, s: int, probability: float) -> tuple[float, float]:
        """95 % interval of the pool's distance over its estimate, from resampled days."""
        with np.errstate(divide="ignore", invalid="ignore"):
            multiple = self.pool.excursion[h, s] / self.pool.scale[h]
        multiple = np.where(self.pool.age >= _YOUNG, multiple, np.nan)
        multiple = multiple[:, np.isfinite(multiple).any(axis=0)]
        level, block = np.array([probability]), block_of(days_of(self.law.horizons[h]))
        found = []
        for rows in resamples(multiple.shape[1], block, _REPLICATIONS, self.seed):
            for days in rows:
                sample = multiple[:, days]
                found.append(upper_quantiles(sample[np.isfinite(sample)], level)[0])
        low, high = (
            np.quantile(found, [0.025, 0.975]) / upper_quantiles(multiple[np.isfinite(multiple)], level)[0]
        )
        return float(min(low, 1.0)), float(max(high, 1.0))

    def _warnings(self) -> tuple[str, ...]:
        found = []
        symbol, scale = self.contract.symbol, float(self.starts.scale[0, 0, self._last])
        if self.law.symbols == (symbol,):
            found.append(f"fitted on the past of {symbol} alone: give other contracts as pool")
        if self.starts.age[0, self._last] < _YOUNG:
            found.append(
                f"{symbol} is {self.starts.age[0, self._last]:.0f} days old: its volatility is blended with the pool's"
            )
        if not self.law.seen[0] <= scale <= self.law.seen[1]:
            found.append(
                f"a daily volatility of {scale:.2%} is outside the range that the law has seen, "
                f"{self.law.seen[0]:.2%} to {self.law.seen[1]:.2%}"
            )
        return tuple(found)
