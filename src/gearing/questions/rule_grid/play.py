"""Rules under every combination of direction, rebalancing and margin share: does a claim hold, and where?

One cell is a market under one set of settings. All rules of a cell are accounts of one Simulator; each stands beside
fixed leverage of the same average, fixed leverage of the same volatility, and circular shifts of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.accounts import Accounts, play_sizes
from gearing.evaluation.backtesting import backtest
from gearing.evaluation.columns import asked_columns, column_table
from gearing.evaluation.metrics import (
    DAYS_PER_YEAR,
    daily_log_growth,
    daily_returns,
    performance,
    years_between,
)
from gearing.evaluation.playing import all_decisions
from gearing.evaluation.statistics.bootstrap import block_mean
from gearing.evaluation.statistics.inference import (
    growth_difference,
    mean_interval,
    sharpe_contributions,
    sharpe_difference,
)
from gearing.exchange.observing import ACCOUNT_COLUMNS, POSITION_COLUMNS
from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.policies.rules import FixedLeverage
from gearing.questions.rule_grid.results import Cells, joined
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator

if TYPE_CHECKING:
    pass

DIRECTIONS = {
    "long": "long",
    "long/short": "signal:momentum_side_30d",
    "long/flat": "signal:momentum_long_30d",
}
REBALANCING = ("every_decision", "on_change", "never")
_FIXED_SIZES = 48
_SMALLEST = 0.02
# What a rule may read of its account and still answer all decisions at once: the shape of it, not the value.
_READ_OF_ACCOUNT = {*POSITION_COLUMNS, *ACCOUNT_COLUMNS} - {"effective_leverage"}
KINDS = ("same_leverage", "same_volatility")  # of fixed twins
Progress = Callable[[str], None]
Series = dict[tuple[str, str], np.ndarray]  # by rule and question


@dataclass(frozen=True)
class Evidence:
    """How sure the cells want to be.

    Parameters
    ----------
    baseline : str
        Rule whose Sharpe ratio the others are compared with.
    shifts : int
        Circular shifts per rule; 0 leaves them out.
    mean_block : float
        Of the bootstrap [days].
    """

    baseline: str = "fixed_10x"
    shifts: int = 300
    replications: int = 1000
    mean_block: float = 20.0
    seed: int = 0


def run_cells(
    markets: Mapping[str, MarketData],
    rules: Mapping[str, Any],
    *,
    directions: Mapping[str, str] = DIRECTIONS,
    rebalancing: Sequence[str] = REBALANCING,
    margin_shares: Sequence[float] = (1.0, 0.1),
    evidence: Evidence | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Cells:
    """Play all rules in all cells.

    Parameters
    ----------
    markets : mapping of name to MarketData
    rules : mapping of name to rule
    directions : mapping of name to ``direction``

    Returns
    -------
    Cells
        Indexed by contract, margin share, direction, rebalancing and rule; columns as told by `run_cell`.
    """
    evidence = evidence or Evidence()
    parts = []
    for symbol, market in markets.items():
        table = table_of(market, rules, list(directions.values()))
        for share in margin_shares:
            for way, direction in directions.items():
                for mode in rebalancing:
                    if progress is not None:
                        progress(f"{symbol}, margin share {share:g}, {way}, {mode}")
                    config = SimulationConfig(
                        direction=direction, margin_share=share, rebalance=mode, start="first", **settings
                    )
                    place = {
                        "contract": symbol,
                        "margin_share": share,
                        "direction": way,
                        "rebalance": mode,
                    }
                    parts.append(run_cell(market, table, rules, config, evidence).at(place))
    return joined(parts)


def run_cell(
    market: MarketData,
    table: FeatureTable,
    rules: Mapping[str, Any],
    config: SimulationConfig,
    evidence: Evidence,
) -> Cells:
    """All rules under one set of settings.

    Returns
    -------
    Cells
        Indexed by rule. ``rows``, per rule: effective leverage, log growth with interval, volatility, Sharpe ratio,
        max drawdown, liquidations a year, fees a year in parts of equity, ruined and when; Sharpe less the baseline's
        with interval. Per rule that moves: the fixed twins' liquidations a year; growth less theirs (``vs_...``), and
        the liquidations a year that the rule has fewer than they (``fewer_...``), with paired intervals; among
        circular shifts, the shares that grew at least as much (``shift_p``) and that were liquidated at most as often
        (``shift_p_fewer``).
    """
    simulator = Simulator(market, table, config, len(rules))
    simulator.reset(seed=0)
    sizes = _sizes(simulator, market, table, rules, config)
    played = play_sizes(simulator, sizes)
    rows = [_own(name, played, i, evidence) for i, name in enumerate(rules)]
    moving = [i for i, rule in enumerate(rules.values()) if not isinstance(rule, FixedLeverage)]
    names = list(rules)
    days: Series = {}
    shifts: Series = {}
    if evidence.baseline in names:
        base = names.index(evidence.baseline)
        for i, row in enumerate(rows):
            row |= _against(played, i, base, evidence)
            days |= _days_against(played, i, base, names[i])
    for i, twins in zip(moving, _twins(market, table, config, played, moving), strict=True):
        rows[i] |= _beside(played, i, twins, evidence)
        days |= _days_beside(played, i, twins, names[i])
    if evidence.shifts:
        for i in moving:
            told, drawn = _shifted(market, table, config, sizes[i], played, i, evidence)
            rows[i] |= told
            shifts |= {(names[i], question): row for question, row in drawn.items()}
    return Cells.of(rows, days, played.time[0], shifts)


def _sizes(
    simulator: Simulator,
    market: MarketData,
    table: FeatureTable,
    rules: Mapping[str, Any],
    config: SimulationConfig,
) -> np.ndarray:
    """Leverage magnitudes of every rule (n_rules, n_decisions, n_slots).

    What reads the market only answers all decisions at once; what reads its account is played.
    """
    view, sides = all_decisions(simulator)

    def of(rule: Any) -> np.ndarray:
        if not set(rule.required_columns) & _READ_OF_ACCOUNT:
            return rule.predict(view, deterministic=True)[0]
        settings = {name: getattr(config, name) for name in config.__dataclass_fields__}
        target = np.nan_to_num(backtest(rule, market, table, **settings).target)
        return np.divide(target, sides, out=np.zeros_like(target), where=sides != 0.0)

    return np.stack([of(rule) for rule in rules.values()])


def _own(name: str, played: Accounts, i: int, evidence: Evidence) -> dict[str, Any]:
    measured = performance(played.time, played.equity[i], bool(played.ruined[i]), played.drawdown[i])
    growth = daily_log_growth(played.time, played.equity[i])
    low, high = mean_interval(
        growth, seed=evidence.seed, mean_block=evidence.mean_block, replications=evidence.replications
    )
    return {
        "rule": name,
        "effective_leverage": float(played.leverage[i]),
        "log_growth": measured.log_growth,
        "growth_low": low,
        "growth_high": high,
        "volatility": measured.volatility,
        "sharpe": measured.sharpe,
        "max_drawdown": measured.max_drawdown,
        "liquidations": played.liquidations[i] / measured.years,
        "fees": float(played.fees[i] / measured.years),
        "ruined": bool(played.ruined[i]),
        "years_to_ruin": _lifetime(played, i),
    }


def _lifetime(played: Accounts, i: int) -> float:
    if not played.ruined[i]:
        return np.nan
    end = int(np.flatnonzero(played.equity[i] != played.equity[i, -1])[-1]) + 1
    return years_between(played.time[0], played.time[end])


def _against(played: Accounts, i: int, base: int, evidence: Evidence) -> dict[str, Any]:
    """Sharpe ratio less the baseline's; nothing where either was ruined."""
    if i == base or played.ruined[i] or played.ruined[base]:
        return {}
    mine, other = (daily_returns(played.time, played.equity[k]) for k in (i, base))
    found = sharpe_difference(
        mine, other, seed=evidence.seed, mean_block=evidence.mean_block, replications=evidence.replications
    )
    ratio = played.sharpe[i] / played.sharpe[base]
    return {
        "sharpe_ratio": ratio,
        "sharpe_gain": found.estimate,
        "sharpe_low": found.low,
        "sharpe_high": found.high,
    }


def _days_against(played: Accounts, i: int, base: int, name: str) -> Series:
    """What each day adds to the difference of Sharpe ratios."""
    if i == base or played.ruined[i] or played.ruined[base]:
        return {}
    returns = (daily_returns(played.time, played.equity[k]) for k in (i, base))
    return {(name, "sharpe"): sharpe_contributions(*returns)}


def _twins(
    market: MarketData, table: FeatureTable, config: SimulationConfig, played: Accounts, moving: list[int]
) -> list[tuple[Accounts, int, float]]:
    """Fixed accounts for each moving rule: two neighbours in one batch, the first of the same leverage."""
    if not moving:
        return []
    sizes = np.geomspace(_SMALLEST, config.max_leverage, _FIXED_SIZES)
    grid = play_sizes(_batch(market, table, config, _FIXED_SIZES), sizes[:, None, None])
    level = np.maximum.accumulate(grid.leverage), np.maximum.accumulate(grid.volatility)
    wanted = played.leverage[moving], played.volatility[moving]
    chosen = np.stack([np.interp(x, rising, sizes) for x, rising in zip(wanted, level, strict=True)], axis=1)
    fixed = play_sizes(_batch(market, table, config, chosen.size), chosen.reshape(-1)[:, None, None])
    return [(fixed, 2 * k, float(chosen[k, 0])) for k in range(len(moving))]


def _beside(
    played: Accounts, i: int, twins: tuple[Accounts, int, float], evidence: Evidence
) -> dict[str, Any]:
    fixed, first, _ = twins
    mine = daily_log_growth(played.time, played.equity[i])
    told: dict[str, Any] = {}
    for k, kind in enumerate(KINDS):
        other = daily_log_growth(fixed.time, fixed.equity[first + k])
        found = growth_difference(
            mine,
            other,
            seed=evidence.seed,
            mean_block=evidence.mean_block,
            replications=evidence.replications,
        )
        told |= {f"vs_{kind}": found.estimate, f"vs_{kind}_low": found.low, f"vs_{kind}_high": found.high}
        fewer = _fewer(played.hits[i], fixed.hits[first + k], played.time, evidence)
        told |= dict(zip((f"fewer_{kind}", f"fewer_{kind}_low", f"fewer_{kind}_high"), fewer, strict=True))
        told[f"{kind}_liquidations"] = fixed.liquidations[first + k] / years_between(
            fixed.time[0], fixed.time[-1]
        )
        told[f"{kind}_ruined"] = bool(fixed.ruined[first + k])
    return told


def _days_beside(played: Accounts, i: int, twins: tuple[Accounts, int, float], name: str) -> Series:
    """What each day adds to the difference of growth and of liquidations from both twins."""
    fixed, first, _ = twins
    mine = daily_log_growth(played.time, played.equity[i])
    day = ((played.time[:-1] - played.time[0]) // np.timedelta64(1, "D")).astype(int)
    told: Series = {}
    for k, kind in enumerate(KINDS):
        told[name, f"vs_{kind}"] = mine - daily_log_growth(fixed.time, fixed.equity[first + k])
        gap = np.bincount(day, fixed.hits[first + k] - played.hits[i], mine.size)
        told[name, f"fewer_{kind}"] = gap[: mine.size]
    return told


def _fewer(
    mine: np.ndarray, other: np.ndarray, time: np.ndarray, evidence: Evidence
) -> tuple[float, float, float]:
    """Liquidations a year that I have fewer than the other, paired interval by interval."""
    each = years_between(time[0], time[-1]) / mine.size
    block = max(1.0, evidence.mean_block / (each * DAYS_PER_YEAR))
    gap = (other - mine) / each
    return block_mean(gap, block, seed=evidence.seed, replications=evidence.replications)


def _shifted(
    market: MarketData,
    table: FeatureTable,
    config: SimulationConfig,
    sizes: np.ndarray,
    played: Accounts,
    i: int,
    evidence: Evidence,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Shares of circular shifts that did as well, and what the series itself and every shift did."""
    count = len(sizes)
    by = np.random.default_rng(evidence.seed).integers(1, count, evidence.shifts)
    order = (np.arange(count)[None, :] - by[:, None]) % count
    shifted = play_sizes(_batch(market, table, config, evidence.shifts), sizes[order])
    growth, own = shifted.growth, played.growth[i]
    as_few = np.count_nonzero(shifted.liquidations <= played.liquidations[i])
    told = {
        "shift_p": (1 + np.count_nonzero(growth >= own)) / (1 + evidence.shifts),
        "shift_median": float(np.median(growth)),
        "shift_p_fewer": (1 + as_few) / (1 + evidence.shifts),
    }
    spared = -np.append(played.liquidations[i], shifted.liquidations).astype(float)
    return told, {"shift_p": np.append(own, growth), "shift_p_fewer": spared}


def _batch(market: MarketData, table: FeatureTable, config: SimulationConfig, n: int) -> Simulator:
    simulator = Simulator(market, table, config, n)
    simulator.reset(seed=0)
    return simulator


def table_of(market: MarketData, rules: Mapping[str, Any], directions: list[str]) -> FeatureTable:
    """Columns that rules and directions read; forecast touch probabilities where a rule asks for them."""
    names = [column for rule in rules.values() for column in rule.required_columns]
    names += [c for direction in directions for c in asked_columns(SimulationConfig(direction=direction))]
    return column_table(names, market)
