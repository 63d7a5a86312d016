"""Rules under every combination of direction, rebalancing and margin share: does a claim hold, and where?

One cell is a market under one set of settings. All rules of a cell are accounts of one Simulator; each stands beside
fixed leverage of the same average, fixed leverage of the same volatility, and circular shifts of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.backtest import asked_columns
from gearing.evaluation.batch import Accounts, all_decisions, play_sizes
from gearing.evaluation.inference import growth_difference, mean_interval, sharpe_difference
from gearing.evaluation.metrics import daily_log_growth, daily_returns, performance, years_between
from gearing.features import FeatureSet, FeatureTable
from gearing.market.data import MarketData
from gearing.policies.rules import FixedLeverage
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator

if TYPE_CHECKING:
    import pandas as pd

DIRECTIONS = {
    "long": "long",
    "long/short": "signal:momentum_side_30d",
    "long/flat": "signal:momentum_long_30d",
}
REBALANCING = ("every_decision", "on_change", "never")
_FIXED_SIZES = 48
_SMALLEST = 0.02
Progress = Callable[[str], None]


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
) -> pd.DataFrame:
    """Play all rules in all cells.

    Parameters
    ----------
    markets : mapping of name to MarketData
    rules : mapping of name to rule
        Rules that read columns of the market only.
    directions : mapping of name to ``direction``

    Returns
    -------
    DataFrame
        Indexed by contract, margin share, direction, rebalancing and rule; columns as told by `run_cell`.
    """
    import pandas as pd

    evidence = evidence or Evidence()
    parts = []
    for symbol, market in markets.items():
        table = _table(market, rules, list(directions.values()))
        for share in margin_shares:
            for way, direction in directions.items():
                for mode in rebalancing:
                    if progress is not None:
                        progress(f"{symbol}, margin share {share:g}, {way}, {mode}")
                    config = SimulationConfig(
                        direction=direction, margin_share=share, rebalance=mode, start="first", **settings
                    )
                    rows = run_cell(market, table, rules, config, evidence)
                    parts.append(
                        rows.assign(contract=symbol, margin_share=share, direction=way, rebalance=mode)
                    )
    names = ["contract", "margin_share", "direction", "rebalance", "rule"]
    return pd.concat(parts).reset_index().set_index(names)


def run_cell(
    market: MarketData,
    table: FeatureTable,
    rules: Mapping[str, Any],
    config: SimulationConfig,
    evidence: Evidence,
) -> pd.DataFrame:
    """All rules under one set of settings.

    Returns
    -------
    DataFrame
        Per rule: effective leverage, log growth with interval, volatility, Sharpe ratio, max drawdown, liquidations
        a year, ruined and when; Sharpe less the baseline's with interval; growth less that of the fixed twins with
        intervals; p-value among circular shifts.
    """
    import pandas as pd

    simulator = Simulator(market, table, config, len(rules))
    simulator.reset(seed=0)
    view, _ = all_decisions(simulator)
    sizes = np.stack([rule.predict(view, deterministic=True)[0] for rule in rules.values()])
    played = play_sizes(simulator, sizes)
    rows = [_own(name, played, i, evidence) for i, name in enumerate(rules)]
    moving = [i for i, rule in enumerate(rules.values()) if not isinstance(rule, FixedLeverage)]
    names = list(rules)
    if evidence.baseline in names:
        for i, row in enumerate(rows):
            row |= _against(played, i, names.index(evidence.baseline), evidence)
    for i, twins in zip(moving, _twins(market, table, config, played, moving), strict=True):
        rows[i] |= _beside(played, i, twins, evidence)
    if evidence.shifts:
        for i in moving:
            rows[i] |= _shifted(market, table, config, sizes[i], played, i, evidence)
    return pd.DataFrame(rows).set_index("rule")


def _own(name: str, played: Accounts, i: int, evidence: Evidence) -> dict[str, Any]:
    measured = performance(played.time, played.equity[i], bool(played.ruined[i]))
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
    for k, kind in enumerate(("same_leverage", "same_volatility")):
        other = daily_log_growth(fixed.time, fixed.equity[first + k])
        found = growth_difference(
            mine,
            other,
            seed=evidence.seed,
            mean_block=evidence.mean_block,
            replications=evidence.replications,
        )
        told |= {f"vs_{kind}": found.estimate, f"vs_{kind}_low": found.low, f"vs_{kind}_high": found.high}
        told[f"{kind}_liquidations"] = fixed.liquidations[first + k] / years_between(
            fixed.time[0], fixed.time[-1]
        )
        told[f"{kind}_ruined"] = bool(fixed.ruined[first + k])
    return told


def _shifted(
    market: MarketData,
    table: FeatureTable,
    config: SimulationConfig,
    sizes: np.ndarray,
    played: Accounts,
    i: int,
    evidence: Evidence,
) -> dict[str, Any]:
    count = len(sizes)
    by = np.random.default_rng(evidence.seed).integers(1, count, evidence.shifts)
    order = (np.arange(count)[None, :] - by[:, None]) % count
    shifted = play_sizes(_batch(market, table, config, evidence.shifts), sizes[order]).growth
    own = played.growth[i]
    return {
        "shift_p": (1 + np.count_nonzero(shifted >= own)) / (1 + evidence.shifts),
        "shift_median": float(np.median(shifted)),
    }


def _batch(market: MarketData, table: FeatureTable, config: SimulationConfig, n: int) -> Simulator:
    simulator = Simulator(market, table, config, n)
    simulator.reset(seed=0)
    return simulator


def _table(market: MarketData, rules: Mapping[str, Any], directions: list[str]) -> FeatureTable:
    from gearing.exchange.columns import ACCOUNT_COLUMNS, POSITION_COLUMNS

    names = [column for rule in rules.values() for column in rule.required_columns]
    names += [c for direction in directions for c in asked_columns(SimulationConfig(direction=direction))]
    own = (*POSITION_COLUMNS, *ACCOUNT_COLUMNS)
    chosen = [name for name in dict.fromkeys(names) if name not in own] or ["log_return"]
    return FeatureSet(chosen).compute(market)
