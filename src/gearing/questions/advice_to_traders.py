"""Is dynamic leverage better for most traders? One trader per week, contract, side and appetite for leverage.

A trader holds the market for a year and either keeps one leverage or lets a rule move it around the same mean. Both
accounts of a trader start together, pay the same fees and funding, and differ in their timing only.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gearing.drawing import REFERENCE, WIDTH, colour, figure_style, legend_below, new_figure, percent
from gearing.evaluation.playing import all_decisions, play
from gearing.evaluation.statistics.multiple_testing import family_of_means
from gearing.features import FeatureTable, parse_duration
from gearing.market.data import MarketData
from gearing.questions.question import Bootstrap, levels
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator

APPETITES = (1.0, 2.0, 5.0, 10.0)
MOST_ARE_BETTER = "most are better off"
_SAME = 1e-3  # of the start equity: differences below it are a tie
_FEW_DECIDED = 0.9  # share of ties beyond which the rest says nothing of most traders
_EVERY = 7  # decisions between two traders' starts
_BOOTSTRAP = Bootstrap(replications=1000)


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
        ``max_leverage`` of the settings: the mean is the same, only the timing differs.
    **settings
        Of the simulation.

    Returns
    -------
    DataFrame
        Columns direction, appetite, rule, start (number of the trader), ``dynamic`` and ``fixed`` (end equity as a
        share of the start), ``dynamic_ruined``, ``fixed_ruined``.
    """
    parts = []
    for direction in directions:
        config = SimulationConfig(**{"direction": direction, "start": "first", **settings})
        probe = Simulator(market, table, config)
        probe.reset(seed=0)
        count = int(parse_duration(horizon) // probe.interval)
        starts = np.arange(0, probe.n_decisions - count + 1, _EVERY)
        if not starts.size:
            raise ValueError(
                f"{market!r} has no start followed by {horizon} of data; give a shorter horizon."
            )
        view, _ = all_decisions(probe)
        leverages = {n: np.asarray(r.predict(view, deterministic=True)[0], float) for n, r in rules.items()}
        simulator = Simulator(market, table, config, starts.size)
        for appetite in appetites:
            fixed = _end(simulator, starts, np.full((starts.size, count, 1), appetite))
            for name, sizes in leverages.items():
                scaled = scaled_to_mean(sizes, starts, count, appetite, config.max_leverage)
                found = {"dynamic": _end(simulator, starts, scaled), "fixed": fixed}
                ruined = {f"{kind}_ruined": equity < config.ruin_fraction for kind, equity in found.items()}
                key = {"direction": direction, "appetite": appetite, "rule": name}
                parts.append(pd.DataFrame({**key, "start": np.arange(starts.size), **found, **ruined}))
    return pd.concat(parts, ignore_index=True)


def scaled_to_mean(sizes: np.ndarray, starts: np.ndarray, count: int, mean: float, top: float) -> np.ndarray:
    """Each trader's stretch of the series with this mean, none above ``top`` (n_starts, count, 1)."""
    stretch = sizes[starts[:, None] + np.arange(count)[None, :]]
    for _ in range(20):  # what the cap cuts is spread over the rest, until nothing is left to spread
        own = stretch.mean(axis=1, keepdims=True)
        stretch = np.minimum(stretch * np.divide(mean, own, out=np.ones_like(own), where=own > 0.0), top)
    return stretch


def _end(simulator: Simulator, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """End equity as a share of the start, of an account per start (n_starts,)."""
    simulator.begin(starts, sizes.shape[1])
    play(simulator, sizes)
    return simulator.accounts.equity / simulator.config.initial_equity


def better_for_most(
    outcomes: pd.DataFrame, by: Sequence[str] = ("rule",), bootstrap: Bootstrap = _BOOTSTRAP
) -> pd.DataFrame:
    """Share of traders who ended with more by moving their leverage, with its 95 % interval.

    Traders who start in the same weeks share their market: all of a week are resampled together, in blocks of a year.

    Parameters
    ----------
    outcomes : DataFrame
        Of `trader_outcomes`, of one or several contracts.
    by : sequence of str
        Columns to group by.

    Returns
    -------
    DataFrame
        ``better``, ``better_low``, ``better_high``: share with more equity, among traders whose two accounts did not
        end alike; ``tied``: share that ended alike, or both ruined; shares ruined with either; median of the end
        equities; ``verdict`` of those who did not tie: "most are better off", "most are worse off" or "not shown";
        "nearly all end alike" where more than nine in ten do. ``p_family``: of no majority either way, for all rows
        together.
    """
    block = 365.0 / _EVERY
    rows, margins = {}, []
    for key, group in outcomes.groupby(list(by), sort=False):
        gap = group.dynamic - group.fixed
        decided = (gap.abs() > _SAME) & ~(group.dynamic_ruined & group.fixed_ruined)
        counts = pd.DataFrame({"won": decided & (gap > 0.0), "decided": decided, "start": group.start})
        weeks = counts.groupby("start")[["won", "decided"]].sum().astype(float)
        margins.append(weeks["won"] - 0.5 * weeks["decided"])
        share = bootstrap.mean("better", weeks["won"].to_numpy(), block, weights=weeks["decided"].to_numpy())
        tied = float(1.0 - decided.mean())
        rows[key] = {
            "traders": len(group), **share, "tied": tied, "dynamic_ruined": float(group.dynamic_ruined.mean()),
            "fixed_ruined": float(group.fixed_ruined.mean()), "dynamic_median": float(group.dynamic.median()),
            "fixed_median": float(group.fixed.median()), "verdict": _verdict(tied, share),
        }  # fmt: skip
    index = pd.MultiIndex.from_tuples(list(rows), names=list(by))
    found = pd.DataFrame(list(rows.values()), index=index if len(by) > 1 else index.get_level_values(0))
    family = family_of_means(pd.DataFrame(margins), mean_block=block, **bootstrap.settings)
    return found.assign(p_family=family.p_family.to_numpy())


def _verdict(tied: float, share: Mapping[str, float]) -> str:
    if tied > _FEW_DECIDED:
        return "nearly all end alike"
    if share["better_low"] > 0.5:
        return MOST_ARE_BETTER
    return "most are worse off" if share["better_high"] < 0.5 else "not shown"


@figure_style
def majority_figure(found: pd.DataFrame) -> Any:
    """Share of traders better off by moving their leverage, by rule and appetite, against one half."""
    rules, appetites = levels(found, "rule"), levels(found, "appetite")
    figure = new_figure(WIDTH, 0.45 * len(rules) + 2.2)
    panel = figure.subplots()
    for k, appetite in enumerate(appetites):
        rows = found.xs(appetite, level="appetite")
        rows = rows[rows.tied <= _FEW_DECIDED].reindex(rules)
        at = np.arange(len(rules)) + (k - 0.5 * (len(appetites) - 1)) * 0.18
        panel.hlines(at, rows.better_low, rows.better_high, color=colour(k), lw=1.4)
        label = f"{appetite:g}x" if rows.better.notna().any() else None  # no entry for what has no point
        panel.plot(rows.better, at, "o", color=colour(k), ms=5, label=label)
    panel.axvline(0.5, **REFERENCE)
    panel.set_xlim(0.0, 1.0)
    percent(panel.xaxis)
    panel.set_yticks(range(len(rules)), rules)
    panel.invert_yaxis()
    panel.grid(visible=False, axis="y")
    panel.set_xlabel("share of traders, 95 % interval; ties and pairs of ruined accounts left out")
    legend_below(figure, 6, title="average leverage")
    figure.suptitle("Traders who ended a year with more than with fixed leverage of the same average")
    return figure
