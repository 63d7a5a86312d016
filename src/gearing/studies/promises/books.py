"""Books on cross margin: the leverage that `risk_limit` allowed at every daily start, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gearing.evaluation.risk.promises import realised
from gearing.forecasters.excursion_law.law import excursion_column
from gearing.forecasters.excursion_law.scale import days_of
from gearing.forecasters.excursion_law.starts import SIDES
from gearing.market import MarketData
from gearing.market.timing import DAY
from gearing.policies.controls import RiskLimit
from gearing.simulation.controls import Situation, no_guards
from gearing.studies.promises.config import EVENTS, PromisesConfig
from gearing.studies.promises.distances import distance_column
from gearing.studies.promises.tables import HALF, refusal

Array = NDArray[np.float64]
KINDS = {"long": (1,), "short": (-1,), "hedged": (1, -1)}  # sides of the contracts of a book, taken in turn
BEYOND = 1e4  # gross leverage that no budget allows


@dataclass(frozen=True)
class Path:
    """Marks of some contracts on common bars, each (n_bars, n_contracts); NaN where a contract has none."""

    close_time: NDArray[np.datetime64]
    close: Array
    low: Array
    high: Array

    @classmethod
    def of(cls, markets: Sequence[MarketData]) -> Path:
        """Align markets of one contract each."""
        bar = markets[0].bar
        first = min(market.close_time[0] for market in markets)
        last = max(market.close_time[-1] for market in markets)
        times = np.arange(first, last + bar, bar)
        parts = np.full((3, times.size, len(markets)), np.nan)
        for c, market in enumerate(markets):
            at = ((market.close_time - first) / bar).astype(np.int64)
            marks = (market.mark_close, market.mark_low, market.mark_high)
            parts[:, at, c] = [np.where(market.tradable[:, 0], mark[:, 0], np.nan) for mark in marks]
        return cls(times, *parts)


def book_table(
    config: PromisesConfig,
    stated: pd.DataFrame,
    markets: Mapping[str, MarketData],
    rates: Mapping[str, float],
) -> pd.DataFrame:
    """One row per kind and size of a book, event, horizon and budget: all books of that kind and size together.

    Parameters
    ----------
    stated : DataFrame
        Distances of the law, of `gearing.studies.promises.distances.stated`.
    rates : mapping of symbol to float
        Maintenance margin rate of each contract.

    Notes
    -----
    Every book holds its contracts in equal notional, without rebalancing. Within a bar the lows of all longs and the
    highs of all shorts come together, which is worse than what was.
    """
    names = [name for name in config.market.scored if name in set(stated.contract)]
    if len(names) < 2 or not config.books.sizes:
        return pd.DataFrame()
    path = Path.of([markets[name] for name in names])
    rate = np.array([rates[name] for name in names])
    rows: list[dict[str, Any]] = []
    for horizon in config.horizons:
        distances = _distances(config, stated, horizon, names)
        for size, members in _books(config.books.sizes, len(names)):
            for kind in KINDS:
                rows += _rows(config, path, distances, rate, horizon, kind, size, members)
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class BudgetDistances:
    """Days, and the distance of every budget, side, contract and day."""

    days: NDArray[np.datetime64]
    of: Mapping[tuple[float, int], Array]  # (n_days, n_contracts)


def _distances(
    config: PromisesConfig, stated: pd.DataFrame, horizon: str, names: list[str]
) -> BudgetDistances:
    part = stated[stated.horizon == horizon]
    days = np.unique(part.day.to_numpy("datetime64[D]"))
    found = {}
    for side in SIDES:
        mine = part[part.side == side]
        for budget in config.budgets:
            wide = mine.pivot(index="day", columns="contract", values=distance_column(budget))
            wide = wide.reindex(index=pd.DatetimeIndex(days), columns=names)
            found[budget, side] = wide.to_numpy(np.float64)
    return BudgetDistances(days, found)


def _books(sizes: Sequence[int], n: int) -> Iterator[tuple[str, list[list[int]]]]:
    """Label and members of the books of each size: contracts in their order; 0 is one book of all."""
    for size in sizes:
        if size == 0:
            yield "all", [list(range(n))]
        elif size <= n:
            yield str(size), [list(range(k, k + size)) for k in range(0, n - size + 1, size)]


def _rows(
    config: PromisesConfig,
    path: Path,
    distances: BudgetDistances,
    rate: Array,
    horizon: str,
    kind: str,
    size: str,
    members: list[list[int]],
) -> list[dict[str, Any]]:
    """Rows of a kind and size of book at a horizon."""
    sides = KINDS[kind]
    weights = [book_weights(distances, config.budgets[-1], kind, own, whole=size != "all") for own in members]
    moved = [worst_moves(path, distances.days, weight, rate, horizon) for weight in weights]
    found = []
    for budget in config.budgets:
        reasons = [reason for side in sides if (reason := refusal(horizon, side, budget))]
        for event in EVENTS:
            key = {"book": kind, "contracts": size, "event": event, "horizon": horizon, "budget": budget}
            if reasons:
                found.append({**key, "refused": reasons[0]})
                continue
            limit = RiskLimit(
                budget, horizon, event="liquidation" if event == EVENTS[0] else "drawdown", drawdown=HALF,
                sides=kind if kind in ("long", "short") else "both", margin_mode="cross",
                maintenance=float(rate.mean()),
            )  # fmt: skip
            allowed = [allowed_leverage(limit, distances, budget, weight) for weight in weights]
            hits = np.stack([events_of(event, a, m) for a, m in zip(allowed, moved, strict=True)])
            met = realised(hits, days_of(horizon), seed=config.seed, replications=config.replications)
            leverage = np.concatenate(allowed)[np.isfinite(hits).ravel()]
            found.append(
                {**key, "realised": met.frequency, "low": met.low, "high": met.high, "n": met.n,
                 "independent": met.independent, "mean_leverage": float(leverage.mean()) if leverage.size else np.nan,
                 "refused": None}
            )  # fmt: skip
    return found


def book_weights(distances: BudgetDistances, budget: float, kind: str, own: list[int], whole: bool) -> Array:
    """Signed shares of gross notional (n_days, n_contracts); zero on days on which a book is not there.

    A book of named contracts is there when all of them are, the book of all when two are.
    """
    sides = KINDS[kind]
    sign = np.array([sides[k % len(sides)] for k in range(len(own))], dtype=np.float64)
    table = distances.of[budget, 1]
    there = np.isfinite(table[:, own])
    count = there.sum(axis=1, keepdims=True)
    there &= count >= (len(own) if whole else 2)
    weight = np.zeros(table.shape)
    weight[:, own] = np.where(there, sign / np.maximum(count, 1), 0.0)
    return weight


def worst_moves(
    path: Path, days: NDArray[np.datetime64], weight: Array, rate: Array, horizon: str
) -> tuple[Array, Array]:
    """Largest loss, and loss with maintenance margin, within the horizon, per unit of gross notional (n_days,)."""
    bar = path.close_time[1] - path.close_time[0]
    n, first = int(days_of(horizon) * DAY / bar), path.close_time[0]
    loss, due = np.full(days.size, np.nan), np.full(days.size, np.nan)
    for k, start in enumerate(((days - first) / bar).astype(np.int64)):
        held = np.flatnonzero(weight[k])
        if not held.size or start + n >= len(path.close_time):
            continue
        w, ahead = weight[k, held], slice(start + 1, start + 1 + n)
        price = np.where(w > 0.0, path.low[ahead, held], path.high[ahead, held]) / path.close[start, held]
        lost = (1.0 - price) @ w
        loss[k], due[k] = lost.max(), (lost + price @ (np.abs(w) * rate[held])).max()
    return loss, due


def allowed_leverage(limit: RiskLimit, distances: BudgetDistances, budget: float, weight: Array) -> Array:
    """Gross leverage that the control leaves of a book with the same shares and far too much of it (n_days,)."""
    n, slots = weight.shape
    columns = {
        excursion_column(limit.horizon, budget, side): np.where(
            weight != 0.0, distances.of[budget, side], 0.0
        )
        for side in SIDES
    }
    now = Situation(
        columns={**columns, "effective_leverage": np.zeros((n, slots))},
        time=distances.days.astype("datetime64[ms]"),
        equity=np.full(n, 1.0),
        liquidated=np.zeros((n, slots), bool),
        begins=np.ones(n, bool),
        margin_share=np.full(slots, 1.0 / slots),
    )
    targets = BEYOND * slots * weight
    decided, _, _ = limit.apply(targets, no_guards((n, slots)), now, None)
    return np.abs(decided).sum(axis=1) / slots


def events_of(event: str, leverage: Array, worst: tuple[Array, Array]) -> Array:
    """1 where the event followed, 0 where not, NaN without a book or an outcome (n_days,)."""
    loss, due = worst
    met = leverage * due >= 1.0
    if event != EVENTS[0]:
        met |= leverage * loss >= HALF
    return np.where(np.isfinite(due) & (leverage > 0.0), met, np.nan)
