"""A policy under other conditions: higher costs, laxer rules, larger accounts.

* ``stress_grid``: higher costs (evaluation protocol, section 7)
* ``counterfactuals``: laxer rules of other simulators
* ``capacity``: larger accounts
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from gearing.contracts import TierSchedule
from gearing.evaluation.backtesting import run_account
from gearing.evaluation.columns import policy_table
from gearing.evaluation.metrics import RUINED
from gearing.evaluation.result import BacktestResult
from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.market.timing import DAY
from gearing.simulation.config import SimulationConfig, Slippage
from gearing.simulation.hooks import hooks_of
from gearing.simulation.policy import Policy
from gearing.simulation.simulator import Simulator

FEES = (0.0, 2e-4, 5e-4, 10e-4)
SLIPPAGES = (0.0, 2e-4, 5e-4)
FUNDINGS = (0.0, 2.0, 3.0)
SHOCK, SHOCK_DAYS = 3e-4, 30
EQUITIES = (1e4, 1e5, 1e6, 1e7, 1e8)
COLUMNS = (
    "log_growth",
    "sharpe",
    "max_drawdown",
    "effective_leverage",
    "liquidations",
    "ruined",
    "fees",
    "funding",
)


@dataclass(frozen=True, eq=False)
class Scenario:
    """One change of the market, the table or the settings."""

    name: str
    market: MarketData
    table: FeatureTable
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Setup:
    """A policy with its market, table and settings."""

    policy: Policy
    market: MarketData
    table: FeatureTable
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, policy: Policy, market: MarketData, features: Any, settings: Mapping[str, Any]) -> _Setup:
        given = {**hooks_of(policy).settings, **settings}
        return cls(policy, market, policy_table(policy, market, features, SimulationConfig(**given)), given)

    @property
    def config(self) -> SimulationConfig:
        return SimulationConfig(**self.settings)

    def scenario(self, name: str, market: MarketData | None = None, **changes: Any) -> Scenario:
        return Scenario(name, market or self.market, self.table, changes)

    def play(self, scenario: Scenario) -> BacktestResult:
        config = SimulationConfig(**{"start": "first", **self.settings, **scenario.changes})
        return run_account(self.policy, Simulator(scenario.market, scenario.table, config), scenario.name)

    def taker(self, fee: float) -> dict[str, Any]:
        return {"venue": replace(self.config.profile(self.market.venue), taker_fee=fee), "fee_level": None}

    def table_of(self, scenarios: Iterable[Scenario]) -> pd.DataFrame:
        """The base and every scenario, one row each, with the change of growth against the base."""
        base = self.play(self.scenario("as is"))
        results = [base, *(self.play(scenario) for scenario in scenarios)]
        rows = pd.concat([result.table for result in results])[list(COLUMNS)]
        gained = [one.performance.log_growth - base.performance.log_growth for one in results]
        ruined = [base.ruined or one.ruined for one in results]
        rows.insert(1, "change", np.where(ruined, np.nan, gained))
        return rows.rename_axis("scenario")


def stress_grid(policy: Policy, market: MarketData, features: Any = None, **settings: Any) -> pd.DataFrame:
    """Fees x slippage, funding multiplied and shocked, one bar of latency, twice the maintenance margin.

    The policy observes the unchanged features: costs change results, not observations.

    Returns
    -------
    DataFrame
        A row per scenario. ``change`` is NaN where an account was ruined. ``sign_holds``: growth has the same sign as
        in the base, a ruin counted as a loss. A result is robust if it holds at a taker fee of 10 bp.
    """
    world = _Setup.of(policy, market, features, settings)
    rows = world.table_of(_stresses(world))
    signs = np.sign([-1.0 if growth == RUINED else growth for growth in rows["log_growth"]])
    rows["sign_holds"] = signs == signs[0]
    return rows


def _stresses(world: _Setup) -> Iterator[Scenario]:
    for fee in FEES:
        for slippage in SLIPPAGES:
            name = f"fee {1e4 * fee:g} bp, slippage {1e4 * slippage:g} bp"
            changed = replace(world.config.slippage, constant=slippage)
            yield world.scenario(name, slippage=changed, **world.taker(fee))
    for times in FUNDINGS:
        yield world.scenario(f"funding x {times:g}", market=with_funding(world.market, times))
    yield world.scenario(
        f"funding + {1e4 * SHOCK:g} bp for {SHOCK_DAYS} d", market=_shocked(world.market, world.table)
    )
    yield Scenario("one bar late", world.market, late(world.table))
    yield world.scenario("maintenance x 2", market=with_maintenance(world.market, 2.0))


def counterfactuals(
    policy: Policy, market: MarketData, features: Any = None, **settings: Any
) -> pd.DataFrame:
    """The same policy under laxer rules, one by one and all together.

    ``change`` is the log growth a year that a backtest gains by the simplification.
    """
    world = _Setup.of(policy, market, features, settings)
    flat, free = with_one_tier(market), with_funding(market, 0.0)
    changes: dict[str, dict[str, Any]] = {
        "liquidated on the last price": {"liquidation_series": "last"},
        "liquidated at closes only": {"walk": "close"},
        "no funding": {"market": free},
        "one margin tier": {"market": flat},
        "no slippage": {"slippage": 0.0},
        "no fees": world.taker(0.0),
    }
    lax = {"liquidation_series": "last", "walk": "close", "slippage": 0.0, **world.taker(0.0)}
    every = world.scenario("all of these", market=with_one_tier(free), **lax)
    return world.table_of([*(world.scenario(name, **change) for name, change in changes.items()), every])


def capacity(
    policy: Policy,
    market: MarketData,
    features: Any = None,
    *,
    equities: Iterable[float] = EQUITIES,
    impact: float = 1.0,
    **settings: Any,
) -> pd.DataFrame:
    """Growth and liquidations by the size of the account, under margin tiers and square-root impact.

    Parameters
    ----------
    equities : iterable of float
        Initial equity [settle coin].
    impact : float
        Factor of the square-root law, see ``Slippage``.

    Returns
    -------
    DataFrame
        A row per size; ``capped`` counts orders that the tier's largest notional reduced.
    """
    world = _Setup.of(policy, market, features, settings)
    slippage: Slippage = replace(world.config.slippage, impact=impact)
    rows = [
        world.play(world.scenario(f"{equity:,.0f}", initial_equity=float(equity), slippage=slippage)).table
        for equity in equities
    ]
    return pd.concat(rows)[[*COLUMNS, "capped"]].rename_axis("initial equity")


def with_funding(market: MarketData, times: float) -> MarketData:
    """The market with every funding rate multiplied."""
    settlements = market.settlements.copy()
    settlements["rate"] = times * settlements["rate"] + 0.0  # no negative zero
    return replace(market, settlements=settlements)


def _shocked(market: MarketData, table: FeatureTable) -> MarketData:
    """Funding raised for 30 days after the first third of the decisions' span."""
    first = table.close_time[table.first_complete]
    start = first + (market.close_time[-1] - first) // 3
    settlements = market.settlements.copy()
    inside = (settlements["time"] >= start) & (settlements["time"] < start + SHOCK_DAYS * DAY)
    settlements["rate"][inside] += SHOCK
    return replace(market, settlements=settlements)


def late(table: FeatureTable) -> FeatureTable:
    """Every row one bar later: a policy decides on the observation of the previous bar."""
    values = np.concatenate([np.full_like(table.values[:1], np.nan), table.values[:-1]])
    stamps = {name: np.concatenate([stamp[:1], stamp[:-1]]) for name, stamp in table.fitted_until.items()}
    return replace(table, values=values, fitted_until=stamps)


def with_maintenance(market: MarketData, times: float) -> MarketData:
    """The market with maintenance margin rates multiplied (below 1), amounts following."""

    def multiplied(schedule: TierSchedule) -> TierSchedule:
        rates = [min(times * tier.rate, 0.98) for tier in schedule.tiers]
        leverages = [min(t.max_leverage, 1.0 / rate) for t, rate in zip(schedule.tiers, rates, strict=True)]
        return _rebuilt(schedule, [t.floor for t in schedule.tiers], rates, leverages, schedule.tiers[-1].cap)

    return _with_schedules(market, multiplied)


def with_one_tier(market: MarketData) -> MarketData:
    """The market with the first tier for every size."""

    def first_tier(schedule: TierSchedule) -> TierSchedule:
        tier = schedule.tiers[0]
        return _rebuilt(schedule, [0.0], [tier.rate], [tier.max_leverage], np.inf)

    return _with_schedules(market, first_tier)


def _rebuilt(
    schedule: TierSchedule, floors: list[float], rates: list[float], leverages: list[float], cap: float
) -> TierSchedule:
    made = TierSchedule.from_rates(floors, rates, leverages, cap)
    return replace(made, as_of=schedule.as_of, source=schedule.source)


def _with_schedules(market: MarketData, change: Any) -> MarketData:
    contracts = (replace(one, schedules=tuple(map(change, one.schedules))) for one in market.contracts)
    return replace(market, contracts=tuple(contracts))
