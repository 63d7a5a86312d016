"""Figures of a comparison; a policy has the same colour in all of them, agents are solid lines and rules dashed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pandas as pd

from gearing.drawing import (
    REFERENCE,
    SMALL,
    WIDTH,
    band,
    colour,
    figure_style,
    intervals,
    legend_below,
    line,
    new_figure,
    short_numbers,
)
from gearing.evaluation.comparisons.scores import AXES, POLICY, SCORE, TASK

_LABELS = {
    "iqm": "interquartile mean",
    "median": "median",
    "mean": "mean",
    "optimality_gap": "optimality gap",
}


class Comparison(Protocol):
    """What the figures read of a comparison."""

    scores: pd.DataFrame
    baseline: str
    level: float
    policies: list[str]
    tasks: list[str]
    unit: str
    learned: dict[str, bool]
    aggregates: pd.DataFrame
    improvement: pd.DataFrame
    profiles: pd.DataFrame
    growth: pd.DataFrame
    regret: pd.DataFrame
    ranks: pd.DataFrame

    def learning(self, by: str = "decisions") -> pd.DataFrame: ...


def _height(rows: int) -> float:
    return 1.0 + 0.34 * rows


@figure_style
def scores_figure(comparison: Comparison) -> Any:
    """Every score of every policy, task and seed as a dot, and the mean of the middle half as a bar."""
    names, figure = comparison.policies, new_figure(WIDTH, _height(len(comparison.policies)) + 0.3)
    axis, rng = figure.subplots(), np.random.default_rng(0)
    own = comparison.scores[comparison.scores[TASK].isin(comparison.tasks)]
    for k, name in enumerate(names):
        rows = own[own[POLICY] == name]
        at = len(names) - 1 - k
        spread = rng.uniform(-0.22, 0.22, len(rows)) if len(rows) > 1 else [0.0]
        axis.plot(rows[SCORE], at + np.asarray(spread), "o", color=colour(k), ms=3.5, alpha=0.55, mec="none")
        axis.plot(
            [_number(comparison.aggregates["iqm"][name])] * 2, [at - 0.32, at + 0.32], color=colour(k), lw=2.2
        )
    axis.set_yticks(range(len(names)), names[::-1])
    axis.set_xlabel(f"{comparison.unit} (dots: runs, bar: interquartile mean)")
    axis.grid(visible=False, axis="y")
    return figure


@figure_style
def aggregates_figure(comparison: Comparison) -> Any:
    """Interquartile mean, median, mean and optimality gap with their intervals."""
    table = comparison.aggregates
    shown = [name for name in _LABELS if name in table]
    figure = new_figure(WIDTH, _height(len(table)) + 0.5)
    axes = np.atleast_1d(figure.subplots(1, len(shown), sharey=True))
    for axis, name in zip(axes, shown, strict=True):
        _rows(axis, table, name, "")
        axis.set_title(_LABELS[name])
    figure.supxlabel(f"{comparison.unit}, {comparison.level:.0%} intervals over training seeds")
    return figure


@figure_style
def improvement_figure(comparison: Comparison) -> Any:
    """Probability that each policy's run beats one of each other policy, as a matrix."""
    names, table = comparison.policies, comparison.improvement
    figure = new_figure(WIDTH, 2.2 + 0.45 * len(names))
    axis = figure.subplots()
    axis.grid(visible=False)
    values = np.array([[np.nan if i == j else table.probability[i, j] for j in names] for i in names])
    # The ends of the colour map are left out: they are so dark that no number can be read on them.
    image = axis.imshow(values, cmap="RdBu", vmin=-0.3, vmax=1.3, aspect="auto")
    for i, one in enumerate(names):
        for j, other in enumerate(names):
            if i != j:
                row = table.loc[(one, other)]
                certain = row.low > 0.5 or row.high < 0.5
                style = {"weight": "bold" if certain else "normal", "fontsize": SMALL}
                axis.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", **style)
    axis.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(names)), names)
    axis.set_xlabel("over this policy")
    scale = figure.colorbar(image, ax=axis, shrink=0.8, label="probability of improvement")
    scale.ax.set_ylim(0.0, 1.0)
    axis.set_title(f"bold: the {comparison.level:.0%} interval excludes one half")
    return figure


@figure_style
def profiles_figure(comparison: Comparison) -> Any:
    """Share of runs above each score."""
    figure = new_figure(WIDTH, 4.0)
    axis = figure.subplots()
    for k, name in enumerate(comparison.policies):
        rows = comparison.profiles.loc[name]
        axis.plot(
            rows.index, rows.share, label=name, drawstyle="steps-post", **line(k, comparison.learned[name])
        )
        band(axis, rows.index, rows.low, rows.high, k)
    axis.set_ylim(-0.02, 1.02)
    axis.set_xlabel(comparison.unit)
    axis.set_ylabel("share of runs above")
    legend_below(figure)
    return figure


@figure_style
def learning_figure(comparison: Comparison) -> Any:
    """Score on validation by decisions and by CPU seconds, a band over the seeds of each agent."""
    figure = new_figure(WIDTH, 3.8)
    axes = figure.subplots(1, 2, sharey=True)
    for axis, (by, label) in zip(axes, AXES.items(), strict=True):
        table = comparison.learning(by)
        for k, name in enumerate(comparison.policies):
            if name in table.index.get_level_values(POLICY):
                rows: Any = table.loc[name]
                axis.plot(rows.index, rows.score, label=name, **line(k, True))
                band(axis, rows.index, rows.low, rows.high, k)
        axis.locator_params(axis="x", nbins=5)
        short_numbers(axis.xaxis)  # decisions have six digits and more
        axis.set_xlabel(f"{label} of training")
    axes[0].set_ylabel(f"{comparison.unit}\non validation, IQM")
    legend_below(figure)
    return figure


@figure_style
def growth_figure(comparison: Comparison) -> Any:
    """Growth of every policy less the baseline's, and less that of fixed leverage with the same mean."""
    table = comparison.growth
    titles = {
        "versus": f"less {comparison.baseline}",
        "versus_fixed": "less fixed leverage\nof the same mean",
    }
    shown = [name for name in titles if name in table]
    figure = new_figure(WIDTH, _height(len(table)) + 0.7)
    axes = np.atleast_1d(figure.subplots(1, len(shown) + 1, sharey=True))
    for axis, name in zip(axes, ("growth", *shown), strict=True):
        _rows(axis, table, name, "")
        axis.axvline(0.0, **REFERENCE)
        axis.set_title(titles.get(name, "growth"))
    figure.supxlabel(f"log growth a year, {comparison.level:.0%} intervals over blocks of days and seeds")
    return figure


@figure_style
def regret_figure(comparison: Comparison) -> Any:
    """Growth that every policy lacks of the known optimum: mean, best and worst seed."""
    table = comparison.regret
    figure = new_figure(WIDTH, _height(len(table)))
    axis = figure.subplots()
    label = (
        f"regret: log growth a year below the optimum's {table.optimum.iloc[0]:.3f} (bar: best to worst seed)"
    )
    single = table.seeds < 2
    low, high = table.best_seed.mask(single), table.worst_seed.mask(single)
    intervals(axis, list(table.index), table.regret, low, high, label)
    axis.axvline(0.0, **REFERENCE)
    return figure


@figure_style
def ranks_figure(comparison: Comparison) -> Any:
    """Probability of each rank of each policy."""
    table = comparison.ranks
    shares = table[[name for name in table if str(name).startswith("rank_")]].to_numpy()
    figure = new_figure(WIDTH, _height(len(table)) + 0.4)
    axis = figure.subplots()
    at = np.arange(len(table))[::-1]
    shades = np.linspace(0.15, 0.85, shares.shape[1])
    for rank in range(shares.shape[1]):
        left = shares[:, :rank].sum(axis=1)
        bar = {"color": f"{shades[rank]:.2f}", "edgecolor": "white", "lw": 0.6}
        axis.barh(at, shares[:, rank], left=left, height=0.7, label=f"{rank + 1}", **bar)
    for y, (mean, low, high) in zip(at, table[["mean_rank", "low", "high"]].to_numpy(), strict=True):
        interval = f" [{low:.1f}, {high:.1f}]" if np.isfinite(low) else ""
        axis.text(1.01, y, f"mean {mean:.1f}{interval}", va="center", fontsize=SMALL)
    axis.set_yticks(at, list(table.index))
    axis.set_xlim(0.0, 1.3)
    axis.set_xticks(np.linspace(0.0, 1.0, 6))
    axis.set_xlabel("probability of rank (1, the best, is darkest)")
    return figure


FIGURES: dict[str, Callable[[Any], Any]] = {
    "aggregates": aggregates_figure, "growth": growth_figure, "regret": regret_figure, "learning": learning_figure,
    "improvement": improvement_figure, "profiles": profiles_figure, "ranks": ranks_figure, "scores": scores_figure,
}  # fmt: skip


def _rows(axis: Any, table: pd.DataFrame, name: str, xlabel: str) -> None:
    middle, low, high = ([_number(x) for x in table[f"{name}{end}"]] for end in ("", "_low", "_high"))
    words = [str(value) if isinstance(value, str) else "" for value in table[name]]
    intervals(axis, list(map(str, table.index)), middle, low, high, xlabel)
    for k, word in enumerate(words):
        if word:  # in the middle of the panel, since a word has no place on the axis
            axis.text(0.5, len(words) - 1 - k, word, va="center", ha="center", fontsize=SMALL, color=colour(k),
                      transform=axis.get_yaxis_transform())  # fmt: skip


def _number(value: Any) -> float:
    """A number; NaN in place of a word."""
    return float("nan") if isinstance(value, str) else float(value)
