"""Is dynamic leverage better for most traders? One trader per week, contract, side and appetite for leverage.

A trader holds the market for a year and either keeps one leverage or lets a rule move it around the same average. Both
accounts of a trader start together, pay the same fees and funding, and differ in their moments only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.playing import all_decisions
from gearing.evaluation.statistics.bootstrap import block_mean
from gearing.evaluation.statistics.multiple_testing import family_of_means
from gearing.features import FeatureTable, parse_duration
from gearing.market.data import MarketData
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator

if TYPE_CHECKING:
    import pandas as pd

APPETITES = (1.0, 2.0, 5.0, 10.0)
_SAME = 1e-3  # of the start equity: differences below it are a tie
FEW_DECIDED = 0.9  # share of ties beyond which the rest says nothing of most traders
_EVERY = 7  # decisions between two traders' starts


def trader_outcomes(
    market: MarketData,
    table: FeatureTable,
    rules: Mapping[str, Any],
    *,
    appetites: Sequence[float] = APPETITES,
    directions: Sequence[str] = ("long", "short"),
    horizon: str = "365d",
    **settings: Any,
) -> pd.DataFrame:
    """End equity of every trader with a moving and with a fixed leverage.

    Parameters
    ----------
    market : MarketData
        One contract.
    table : FeatureTable
        Columns of the rules, which read nothing of their account.
    rules : mapping of name to rule
        Each one's leverages are scaled so that their mean over the trader's horizon is the appetite, at most the
        ``max_leverage`` of the settings: the average is the same, only the moments differ.
    **settings
        Of the simulation.

    Returns
    -------
    DataFrame
        Columns direction, appetite, rule, start (number of the trader), ``dynamic`` and ``fixed`` (end equity in parts
        of the start), ``dynamic_ruined``, ``fixed_ruined``.
    """
    import pandas as pd

    parts = []
    for direction in directions:
        config = SimulationConfig(**{"direction": direction, "start": "first", **settings})
        probe = Simulator(market, table, config)
        probe.reset(seed=0)
        count = int(parse_duration(horizon) // probe.interval)
        starts = np.arange(0, probe.n_decisions - count + 1, _EVERY)
        if not starts.size:
            raise ValueError(f"{market!r} has no start with {horizon} behind it; give a shorter horizon.")
        view, _ = all_decisions(probe)
        side = -1.0 if direction == "short" else 1.0
        for appetite in appetites:
            fixed = np.full((starts.size, count, 1), appetite)
            base = _end(market, table, config, starts, side * fixed)
            for name, rule in rules.items():
                sizes = np.asarray(rule.predict(view, deterministic=True)[0], float)
                played = _levelled(sizes, starts, count, appetite, config.max_leverage)
                mine = _end(market, table, config, starts, side * played)
                parts.append(
                    pd.DataFrame(
                        {
                            "direction": direction, "appetite": appetite, "rule": name,
                            "start": np.arange(starts.size), "dynamic": mine, "fixed": base,
                            "dynamic_ruined": mine < config.ruin_fraction, "fixed_ruined": base < config.ruin_fraction,
                        }
                    )
                )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _levelled(sizes: np.ndarray, starts: np.ndarray, count: int, level: float, top: float) -> np.ndarray:
    """Each trader's stretch of the series with ``level`` as its mean, none above ``top`` (n_starts, count, 1)."""
    stretch = sizes[starts[:, None] + np.arange(count)[None, :]]
    for _ in range(20):  # what the cap cuts is spread over the rest, until nothing is left to spread
        mean = stretch.mean(axis=1, keepdims=True)
        stretch = np.minimum(stretch * np.divide(level, mean, out=np.ones_like(mean), where=mean > 0.0), top)
    return stretch


def _end(
    market: MarketData, table: FeatureTable, config: SimulationConfig, starts: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    simulator = Simulator(market, table, config, starts.size)
    simulator.begin(starts, targets.shape[1])
    simulator.run(targets, record_steps=False)
    return simulator.accounts.equity / config.initial_equity


def better_for_most(
    outcomes: pd.DataFrame, by: Sequence[str] = ("rule",), *, seed: int = 0, replications: int = 1000
) -> pd.DataFrame:
    """Share of traders who ended with more by moving their leverage, with its 95 % interval.

    Traders who start in the same weeks share their market: all of a week are resampled together, in blocks of a year.

    Parameters
    ----------
    outcomes : DataFrame
        Of `trader_outcomes`, of one or several contracts.
    by : sequence of str
        Columns to tell apart.

    Returns
    -------
    DataFrame
        ``better``, ``low``, ``high``: share with more equity, among traders whose two accounts did not end alike;
        ``tied``: share that ended alike, or both ruined; shares ruined with either; median of the end equities;
        ``verdict`` of those who did not tie: "most are better off", "most are worse off" or "not shown"; "nearly all
        end alike" where more than nine in ten do. ``p_family``: of no majority either way, for all rows together.
    """
    import pandas as pd

    block = 365.0 / _EVERY
    rows: dict[Any, dict[str, Any]] = {}
    margins: dict[Any, Any] = {}
    for key, group in outcomes.groupby(list(by), sort=False):
        gap = group.dynamic - group.fixed
        decided = (gap.abs() > _SAME) & ~(group.dynamic_ruined & group.fixed_ruined)
        told = pd.DataFrame({"won": decided & (gap > 0.0), "decided": decided, "start": group.start})
        weeks = told.groupby("start")[["won", "decided"]].sum().astype(float)
        margins[key] = weeks["won"] - 0.5 * weeks["decided"]
        better, low, high = block_mean(
            weeks["won"].to_numpy(),
            block,
            weights=weeks["decided"].to_numpy(),
            seed=seed,
            replications=replications,
        )
        rows[key] = {
            "traders": len(group), "better": better, "low": low, "high": high,
            "tied": float(1.0 - decided.mean()), "dynamic_ruined": float(group.dynamic_ruined.mean()),
            "fixed_ruined": float(group.fixed_ruined.mean()), "dynamic_median": float(group.dynamic.median()),
            "fixed_median": float(group.fixed.median()), "verdict": _verdict(1.0 - decided.mean(), low, high),
        }  # fmt: skip
    index: Any = pd.MultiIndex.from_tuples(list(rows), names=list(by))
    index = index if len(by) > 1 else index.get_level_values(0)
    together = family_of_means(
        pd.DataFrame(list(margins.values())), seed=seed, mean_block=block, replications=replications
    )
    told = pd.DataFrame(list(rows.values()), index=index)
    return told.assign(p_family=together.p_family.to_numpy())


def _verdict(tied: float, low: float, high: float) -> str:
    if tied > FEW_DECIDED:
        return "nearly all end alike"
    if low > 0.5:
        return "most are better off"
    return "most are worse off" if high < 0.5 else "not shown"
