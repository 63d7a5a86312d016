"""Rules under every combination of direction, rebalancing and margin share.

One cell is a market under one set of settings. All rules of a cell are accounts of one Simulator; each is compared
with a baseline rule, with fixed leverage of the same mean, with fixed leverage of the same volatility, and with
circular shifts of its own leverages.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from gearing.evaluation.accounts import Accounts, play_sizes
from gearing.evaluation.backtesting import backtest
from gearing.evaluation.columns import column_table, settings_columns
from gearing.evaluation.comparisons.matched_fixed import GRID_SIZE, FixedGrid
from gearing.evaluation.metrics import DAYS_PER_YEAR, years_between
from gearing.evaluation.playing import all_decisions
from gearing.evaluation.statistics.inference import (
    growth_difference,
    mean_interval,
    sharpe_contributions,
    sharpe_difference,
)
from gearing.exchange.observing import ACCOUNT_COLUMNS, POSITION_COLUMNS
from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.market.timing import DAY
from gearing.policies.rules import FixedLeverage
from gearing.questions.question import Bootstrap
from gearing.questions.rule_grid.cells import KINDS, Cells, joined
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator

DIRECTIONS = {
    "long": "long",
    "long/short": "signal:momentum_side_30d",
    "long/flat": "signal:momentum_long_30d",
}
REBALANCING = ("every_decision", "on_change", "never")
_BOOTSTRAP = Bootstrap(replications=1000)
# What a rule may read of its account and still return all targets at once: the shape of it, not the value.
_READ_OF_ACCOUNT = {*POSITION_COLUMNS, *ACCOUNT_COLUMNS} - {"effective_leverage"}
_AGAINST_FIXED = [
    *(f"{what}_{kind}{part}" for kind in KINDS for what in ("vs", "fewer") for part in ("", "_low", "_high")),
    *(f"{kind}_{part}" for kind in KINDS for part in ("liquidations", "ruined")),
]
Progress = Callable[[str], None]
Row = dict[str, Any]
Series = dict[str, np.ndarray]  # by column of the rows: what each day, or each shift, adds


@dataclass(frozen=True)
class Evidence:
    """What the rules of a cell are compared with, and how.

    Parameters
    ----------
    baseline : str
        Rule whose Sharpe ratio the others are compared with.
    shifts : int
        Circular shifts per rule; 0 leaves them out.
    bootstrap : Bootstrap
    mean_block : float
        Of the bootstrap [days].
    """

    baseline: str = "fixed_10x"
    shifts: int = 300
    bootstrap: Bootstrap = _BOOTSTRAP
    mean_block: float = 20.0

    @property
    def resampling(self) -> dict[str, Any]:
        """Arguments of the paired comparisons in `gearing.evaluation.statistics.inference`."""
        return {"mean_block": self.mean_block, **self.bootstrap.settings}


EVIDENCE = Evidence()


def run_cells(
    markets: Mapping[str, MarketData],
    rules: Mapping[str, Any],
    *,
    directions: Mapping[str, str] = DIRECTIONS,
    rebalancing: Sequence[str] = REBALANCING,
    margin_shares: Sequence[float] = (1.0, 0.1),
    evidence: Evidence = EVIDENCE,
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
        Indexed by contract, margin share, direction, rebalancing and rule; columns as in `run_cell`.
    """
    parts = []
    for symbol, market in markets.items():
        table = table_of(market, rules, list(directions.values()))
        for share, (way, direction), mode in product(margin_shares, directions.items(), rebalancing):
            if progress is not None:
                progress(f"{symbol}, margin share {share:g}, {way}, {mode}")
            own = {"margin_share": share, "direction": direction, "rebalance": mode, "start": "first"}
            config = SimulationConfig(**{**own, **settings})
            cell = run_cell(market, table, rules, config, evidence)
            place = {"contract": symbol, "margin_share": share, "direction": way, "rebalance": mode}
            parts.append(cell.at(place))
    return joined(parts)


@dataclass(frozen=True, eq=False)
class _Setting:
    """The market and the settings of one cell."""

    market: MarketData
    table: FeatureTable
    config: SimulationConfig

    def simulator(self, n_accounts: int) -> Simulator:
        simulator = Simulator(self.market, self.table, self.config, n_accounts)
        simulator.reset(seed=0)
        return simulator

    def play(self, sizes: np.ndarray) -> Accounts:
        """Leverage magnitudes, an account each."""
        return play_sizes(self.simulator(len(sizes)), sizes)


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
        max drawdown, liquidations a year, fees a year as a share of equity, ruined and when; Sharpe less the baseline's
        with interval. Per rule that moves its leverage: the liquidations a year of matched fixed leverage; growth less
        its growth (``vs_...``), and the liquidations a year that the rule has fewer (``fewer_...``), with paired
        intervals; among circular shifts, the shares that grew at least as much (``shift_p``) and that were liquidated
        at most as often (``shift_p_fewer``).
    """
    setting, names = _Setting(market, table, config), list(rules)
    sizes = _sizes(setting, rules)
    accounts = setting.play(sizes)
    rows = [{"rule": name, **_own(accounts, i, evidence)} for i, name in enumerate(names)]
    days: dict[tuple[str, str], np.ndarray] = {}
    shifts: dict[tuple[str, str], np.ndarray] = {}

    def add(i: int, found: tuple[Row, Series], series: dict[tuple[str, str], np.ndarray]) -> None:
        rows[i] |= found[0]
        series.update({(names[i], column): values for column, values in found[1].items()})

    if evidence.baseline in names:
        base = names.index(evidence.baseline)
        for i in range(len(names)):
            add(i, _against_baseline(accounts, i, base, evidence), days)
    moving = [i for i, rule in enumerate(rules.values()) if not isinstance(rule, FixedLeverage)]
    fixed = _matched_fixed(setting, accounts, moving) if moving else accounts
    for k, i in enumerate(moving):
        add(i, _against_fixed(accounts, i, fixed, k * len(KINDS), evidence), days)
        if evidence.shifts:
            add(i, _against_shifts(setting, sizes[i], accounts, i, evidence), shifts)
    for row in rows:  # the columns are there even where no rule moves its leverage
        row |= {name: np.nan for name in _AGAINST_FIXED if name not in row}
    return Cells.of(rows, days, accounts.time[0], shifts)


def _sizes(setting: _Setting, rules: Mapping[str, Any]) -> np.ndarray:
    """Leverage magnitudes of every rule (n_rules, n_decisions, n_slots).

    What reads the market only returns all targets at once; what reads its account is played.
    """
    view, sides = all_decisions(setting.simulator(1))

    def of(rule: Any) -> np.ndarray:
        if not set(rule.required_columns) & _READ_OF_ACCOUNT:
            return rule.predict(view, deterministic=True)[0]
        settings = vars(setting.config)
        target = np.nan_to_num(backtest(rule, setting.market, setting.table, **settings).target)
        return np.divide(target, sides, out=np.zeros_like(target), where=sides != 0.0)

    return np.stack([of(rule) for rule in rules.values()])


def _own(accounts: Accounts, i: int, evidence: Evidence) -> Row:
    ruined = bool(accounts.ruined[i])
    measured = accounts.performance(i)
    low, high = mean_interval(accounts.daily_log_growth[i], **evidence.resampling)
    return {
        "effective_leverage": float(accounts.leverage[i]),
        # Of a ruined account it would be that of a floor, spread over years without an account.
        "log_growth": np.nan if ruined else measured.log_growth,
        "growth_low": np.nan if ruined else low,
        "growth_high": np.nan if ruined else high,
        "volatility": measured.volatility,
        "sharpe": measured.sharpe,
        "max_drawdown": measured.max_drawdown,
        "liquidations": accounts.liquidations[i] / measured.years,
        "fees": float(accounts.fees[i] / measured.years),
        "ruined": ruined,
        "years_to_ruin": _lifetime(accounts, i) if ruined else np.nan,
    }


def _lifetime(accounts: Accounts, i: int) -> float:
    """Years until the equity of a ruined account changed for the last time."""
    end = int(np.flatnonzero(accounts.equity[i] != accounts.equity[i, -1])[-1]) + 1
    return years_between(accounts.time[0], accounts.time[end])


def _against_baseline(accounts: Accounts, i: int, base: int, evidence: Evidence) -> tuple[Row, Series]:
    """Sharpe ratio less the baseline's, and what each day adds to it; nothing where either was ruined."""
    if i == base or accounts.ruined[i] or accounts.ruined[base]:
        return {}, {}
    own, other = accounts.daily_returns[[i, base]]
    found = sharpe_difference(own, other, **evidence.resampling)
    row = {
        "sharpe_ratio": accounts.sharpe[i] / accounts.sharpe[base],
        "sharpe_gain": found.estimate,
        "sharpe_low": found.low,
        "sharpe_high": found.high,
    }
    return row, {"sharpe": sharpe_contributions(own, other)}


def _matched_fixed(setting: _Setting, accounts: Accounts, moving: list[int]) -> Accounts:
    """Fixed leverage of the same mean, then of the same volatility, for each moving rule in turn."""
    grid = FixedGrid.play(setting.simulator(GRID_SIZE))
    chosen = [
        grid.matched_size("leverage", accounts.leverage[moving]),
        grid.matched_size("volatility", accounts.volatility[moving]),
    ]
    return setting.play(np.stack(chosen, axis=1).reshape(-1)[:, None, None])


def _against_fixed(
    accounts: Accounts, i: int, fixed: Accounts, first: int, evidence: Evidence
) -> tuple[Row, Series]:
    """Growth and liquidations less those of both matched fixed accounts, and what each day adds to them."""
    own = accounts.daily_log_growth[i]
    day = ((accounts.time[:-1] - accounts.time[0]) // DAY).astype(int)
    each = years_between(accounts.time[0], accounts.time[-1]) / accounts.hits.shape[1]
    block = max(1.0, evidence.mean_block / (each * DAYS_PER_YEAR))
    row: Row = {}
    days: Series = {}
    for k, kind in enumerate(KINDS, start=first):
        other = fixed.daily_log_growth[k]
        found, fewer = growth_difference(own, other, **evidence.resampling), fixed.hits[k] - accounts.hits[i]
        row |= {f"vs_{kind}": found.estimate, f"vs_{kind}_low": found.low, f"vs_{kind}_high": found.high}
        row |= evidence.bootstrap.mean(f"fewer_{kind}", fewer / each, block)
        row[f"{kind}_liquidations"] = fixed.liquidations[k] / years_between(fixed.time[0], fixed.time[-1])
        row[f"{kind}_ruined"] = bool(fixed.ruined[k])
        days[f"vs_{kind}"] = own - other
        days[f"fewer_{kind}"] = np.bincount(day, fewer, own.size)[: own.size]
    return row, days


def _against_shifts(
    setting: _Setting, sizes: np.ndarray, accounts: Accounts, i: int, evidence: Evidence
) -> tuple[Row, Series]:
    """Shares of circular shifts that did as well, and what the series itself and every shift did."""
    count, n = len(sizes), evidence.shifts
    by = np.random.default_rng(evidence.bootstrap.seed).integers(1, count, n)
    order = (np.arange(count)[None, :] - by[:, None]) % count
    shifted = setting.play(sizes[order])
    growth, own = shifted.growth, accounts.growth[i]
    as_few = np.count_nonzero(shifted.liquidations <= accounts.liquidations[i])
    row = {
        "shift_p": (1 + np.count_nonzero(growth >= own)) / (1 + n),
        "shift_median": float(np.median(growth)),
        "shift_p_fewer": (1 + as_few) / (1 + n),
    }
    hits = np.append(accounts.liquidations[i], shifted.liquidations).astype(float)
    return row, {"shift_p": np.append(own, growth), "shift_p_fewer": -hits}


def table_of(market: MarketData, rules: Mapping[str, Any], directions: Sequence[str]) -> FeatureTable:
    """Columns that rules and directions read; forecast touch probabilities where a rule asks for them."""
    names = [column for rule in rules.values() for column in rule.required_columns]
    names += [c for direction in directions for c in settings_columns(SimulationConfig(direction=direction))]
    return column_table(names, market)
