"""What a study of books says: sentences of what can be concluded, and the figure of growth against drawdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gearing.drawing import BAD, REFERENCE, SMALL, WIDTH, colour, figure_style, intervals, new_figure, percent
from gearing.evaluation.metrics import DAYS_PER_YEAR
from gearing.evaluation.risk.drawdown_budget import equal_risk_scale, realised_drawdown
from gearing.studies.portfolio.config import PortfolioConfig
from gearing.studies.portfolio.judging import Books, at_budget
from gearing.studies.portfolio.variants import ALL

WITHIN = (0.9, 1.15)  # realised over promised drawdown of a promise that was met
_CURVE = np.linspace(0.0, 1.6, 17)  # scales of a policy's curve, 1 being the budget
_GAP = 0.06  # least distance of two labels, a share of the axis


def sentences(config: PortfolioConfig, table: pd.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What can be concluded of the main policy, its promise and its variants, and what cannot."""
    can: list[str] = []
    cannot: list[str] = []
    for budget in config.budget:
        row = table.loc[(ALL, budget, config.main_name)]
        where = f"At a budget of {budget:.0%}"
        _promise(config, row, where, can, cannot)
        if config.main_name != config.base_name:
            _compare(config, row, f"{where} {config.main_name} against {config.base_name}", can, cannot)
        can += [_of_variant(config, table, name, budget) for name in config.variants]
    return tuple(can), tuple(cannot)


def _promise(config: PortfolioConfig, row: Any, where: str, can: list[str], cannot: list[str]) -> None:
    """Add whether the promised drawdown came, and whether chance alone explains that it did not."""
    ratio = row.realised_over_promised
    met = WITHIN[0] <= ratio <= WITHIN[1]
    said = f"{where} the realised mean largest drawdown of {config.main_name} was {ratio:.2f} of the promise"
    if not met:
        said += f", outside {WITHIN[0]:g} to {WITHIN[1]:g}"
    if np.isfinite(row.chance_low):
        said += f"; chance alone puts an exact promise between {row.chance_low:.2f} and {row.chance_high:.2f}"
    (can if met else cannot).append(f"{said}.")


def _compare(config: PortfolioConfig, row: Any, where: str, can: list[str], cannot: list[str]) -> None:
    """Add what the difference to the base says."""
    found = f"{row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}] a year at equal realised risk"
    if row.low > 0.0 or row.high < 0.0:
        can.append(f"{where}: {found}; the interval excludes zero.")
    else:
        cannot.append(f"{where}: {found}; which of the two grows faster is open.")
    if row.not_inferior:
        can.append(f"{where}: {found}; not more than {config.margin:g} a year below it.")


def _of_variant(config: PortfolioConfig, table: pd.DataFrame, name: str, budget: float) -> str:
    """A sentence on the main policy, or on the base where the main one takes no part."""
    rows, whole = table.loc[(name, budget)], table.loc[(ALL, budget)]
    policy = config.main_name if config.main_name in rows.index else config.base_name
    row, before = rows.loc[policy], whole.loc[policy]
    against = "" if policy == config.base_name else (
        f", {row.difference:+.2f} [{row.low:+.2f}, {row.high:+.2f}] against {config.base_name}"
    )  # fmt: skip
    where = f"At a budget of {budget:.0%} {config.variants[name].words} ({name})"
    grew = f"{policy} grew {row.growth_equal_risk:+.2f} a year at equal realised risk instead of"
    return (
        f"{where} {grew} {before.growth_equal_risk:+.2f}{against}; realised over promised "
        f"{row.realised_over_promised:.2f}."
    )


@figure_style
def frontier_figure(config: PortfolioConfig, table: pd.DataFrame, played: Books) -> Any:
    """For each budget: growth against realised drawdown, and differences to the base at equal realised risk.

    A line through a policy is what its daily returns make at other scales, in hindsight; it is drawn for the base and
    the main policy.
    """
    count = len(config.budget)
    figure = new_figure(WIDTH, 7.6 * count)
    panels = figure.subplots(2 * count, 1, height_ratios=(1.25, 1.0) * count)
    for k, budget in enumerate(config.budget):
        frontier, difference = panels[2 * k : 2 * k + 2]
        rows = table.loc[(ALL, budget)]
        books = at_budget(played, budget)
        for name in dict.fromkeys((config.base_name, config.main_name)):
            place = list(rows.index).index(name)
            frontier.plot(*_curve(books[name].returns, budget), color=colour(place), alpha=0.5, zorder=1)
        _points(frontier, config, rows, budget)
        names = [str(name) for name in rows.index]
        label = f"growth less that of {config.base_name}, a year, at equal realised risk"
        intervals(difference, names, rows.difference, rows.low, rows.high, label)
        difference.axvline(0.0, **REFERENCE)
        difference.axvline(-config.margin, color=BAD, lw=1.0, ls=":")
        difference.set_title(f"{config.statistics.level:.0%} intervals; dotted: margin of non-inferiority")
    return figure


def _points(axis: Any, config: PortfolioConfig, rows: pd.DataFrame, budget: float) -> None:
    """Every policy as a point with its name at the right edge, joined by a thin line."""
    left, right = min(rows.mdd.min(), budget), max(rows.mdd.max(), budget)
    width = max(right - left, 1e-3)
    axis.set_xlim(left - 0.08 * width, right + 0.6 * width)
    low, high = min(rows.growth.min(), 0.0), max(rows.growth.max(), 0.01)
    axis.set_ylim(low - 0.08 * (high - low), high + 0.12 * (high - low))
    axis.axvline(budget, **REFERENCE, ls="--")
    axis.axhline(0.0, color="0.8", lw=0.8, zorder=0)
    gap = _GAP * (axis.get_ylim()[1] - axis.get_ylim()[0])
    places = _spread(rows.growth.to_numpy(float), gap)
    for k, ((name, row), place) in enumerate(zip(rows.iterrows(), places, strict=True)):
        role = " (main)" if name == config.main_name else " (base)" if name == config.base_name else ""
        axis.plot(
            row.mdd, row.growth, "D" if role else "o", color=colour(k), ms=8 if role else 6, mec="white"
        )
        line = {"arrowstyle": "-", "color": colour(k), "lw": 0.6, "alpha": 0.6, "shrinkA": 1, "shrinkB": 4}
        axis.annotate(
            f"{name}{role}", (row.mdd, row.growth), (right + 0.1 * width, place), fontsize=SMALL, va="center",
            color=colour(k), weight="bold" if role else "normal", arrowprops=line,
        )  # fmt: skip
    percent(axis.xaxis)
    axis.set_xlabel("realised: mean largest drawdown of 365 days (dashed: promised)")
    axis.set_ylabel("log growth a year")
    axis.set_title(f"drawdown budget of {budget:.0%}")


def _curve(returns: np.ndarray, budget: float) -> tuple[list[float], list[float]]:
    """Drawdown and growth of daily returns at scales around that of the budget."""
    scales = _CURVE * equal_risk_scale(returns, budget)
    left = [np.maximum(scale * returns, -0.999) for scale in scales]
    return [realised_drawdown(one) for one in left], [
        float(np.log1p(one).mean() * DAYS_PER_YEAR) for one in left
    ]


def _spread(wanted: Sequence[float], gap: float) -> np.ndarray:
    """Places as near as possible to the wanted ones, in their order, at least ``gap`` apart."""
    values = np.asarray(wanted, float)
    order = np.argsort(values, kind="stable")
    groups: list[tuple[float, int]] = []  # sum of wanted places less their offsets, and size
    for k in order:
        groups.append((values[k], 1))
        while len(groups) > 1 and groups[-1][0] / groups[-1][1] < _after(groups[-2], gap):
            (total, count), (more, number) = groups[-2], groups.pop()
            groups[-1] = (total + more - number * count * gap, count + number)
    places = np.concatenate([total / count + gap * np.arange(count) for total, count in groups])
    found = np.empty(values.size)
    found[order] = places
    return found


def _after(group: tuple[float, int], gap: float) -> float:
    """The first free place after a group of labels."""
    total, count = group
    return total / count + gap * count
