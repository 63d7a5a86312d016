"""Cells of rules, what is left of their findings after correction for all tests, and counts over cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from gearing.drawing import BAD, GOOD, NEUTRAL, REFERENCE, WIDTH, figure_style, new_figure
from gearing.evaluation.statistics.multiple_testing import LEVEL, family_of_means, family_of_shifts
from gearing.market.timing import DAY
from gearing.questions.question import levels
from gearing.studies.work import Work

SeriesOfRules = Mapping[tuple[str, str], np.ndarray]  # by rule and question
KINDS = ("same_leverage", "same_volatility")  # of matched fixed leverage
_TABLES = ("rows", "days", "shifts")


@dataclass(frozen=True, eq=False)
class Cells:
    """Rules in cells: numbers, and the series that they came from.

    Attributes
    ----------
    rows : DataFrame
        A row per rule of a cell.
    days : DataFrame
        A row per rule of a cell and question (its name in ``rows``): what each day adds to its mean. Columns are the
        days; NaN where a contract did not trade yet.
    shifts : DataFrame
        The same for circular shifts: what the rule reached, then what each shift did; larger is better.
    """

    rows: pd.DataFrame
    days: pd.DataFrame
    shifts: pd.DataFrame

    @classmethod
    def of(
        cls, rows: list[dict[str, Any]], days: SeriesOfRules, first: np.datetime64, shifts: SeriesOfRules
    ) -> Cells:
        """One cell: rows that name their rule, series by rule and question, and the time of the first decision."""
        dates = (first + np.arange(_longest(days)) * DAY).astype("datetime64[D]").astype(str).tolist()
        counts = [str(k) for k in range(_longest(shifts))]
        return cls(
            pd.DataFrame(rows).set_index("rule"), _by_question(days, dates), _by_question(shifts, counts)
        )

    @classmethod
    def part(cls, work: Work, name: str, play: Callable[[], Cells]) -> Cells:
        """Cells that are played once: rows, days and shifts are parts of the experiment."""
        played = cache(play)

        def table(kind: str) -> pd.DataFrame:
            return work.part(f"{name}-{kind}", lambda: getattr(played(), kind))

        return cls(*map(table, _TABLES))

    def at(self, place: Mapping[str, Any]) -> Cells:
        """The same with the place of the cell in front of every index."""
        return Cells(*(_placed(getattr(self, name), place) for name in _TABLES))


def joined(parts: Iterable[Cells]) -> Cells:
    """Cells one after another; days are put under days."""
    parts = list(parts)
    return Cells(*(pd.concat([getattr(part, name) for part in parts]) for name in _TABLES))


def corrected(
    cells: Cells, *, apart: Sequence[str] = (), seed: int = 0, replications: int = 2000
) -> pd.DataFrame:
    """The rows with ``..._p_family`` per question: the p-value that holds for all cells of the question together.

    Two-sided for differences of growth (``vs_...``), of liquidations (``fewer_...``) and of Sharpe ratios; one-sided
    for circular shifts (``shift_p_family``, ``shift_p_fewer_family``). See
    `gearing.evaluation.statistics.multiple_testing`.

    Parameters
    ----------
    apart : sequence of str
        Index levels whose values are families of their own, as are the questions.
    """
    found = {
        f"{question}_p_family": [
            family_of_means(part, seed=seed, replications=replications).p_family for part in parts
        ]
        for question, parts in _families(cells.days.sort_index(axis=1), apart)
    }
    found |= {
        f"{question}_family": [family_of_shifts(part) for part in parts]
        for question, parts in _families(cells.shifts, apart)
    }
    return cells.rows.assign(**{name: pd.concat(parts) for name, parts in found.items()})


def _families(table: pd.DataFrame, apart: Sequence[str]) -> Iterable[tuple[str, list[pd.DataFrame]]]:
    for question in table.index.get_level_values("question").unique():
        rows: Any = table.xs(question, level="question")
        yield question, [part for _, part in rows.groupby(list(apart), sort=False)] if apart else [rows]


def _longest(series: SeriesOfRules) -> int:
    return max((len(values) for values in series.values()), default=0)


def _by_question(series: SeriesOfRules, columns: Sequence[str]) -> pd.DataFrame:
    keys: Any = list(zip(*series, strict=True)) or [[], []]
    index = pd.MultiIndex.from_arrays(keys, names=["rule", "question"])
    return pd.DataFrame(list(series.values()), index=index, columns=list(columns))


def _placed(table: pd.DataFrame, place: Mapping[str, Any]) -> pd.DataFrame:
    names = list(table.index.names)
    return table.assign(**place).reset_index().set_index([*place, *names])


def over_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """Each moving rule over its cells: how often it is significantly better or worse than matched fixed leverage.

    Parameters
    ----------
    cells : DataFrame
        Of `corrected`, or the rows of `run_cells`.

    Returns
    -------
    DataFrame
        Per rule: ``cells``, mean effective ``leverage``, ``liquidations`` a year and those of fixed leverage of the
        same mean (``fixed_liquidations``), ``cut``: the share of the latter that the rule avoids, over all cells;
        ``fees`` a year as a share of equity; cells in which the rule and fixed leverage were ``ruined``. Per kind of
        matched fixed leverage: median difference of growth; cells with significantly fewer and more liquidations,
        significantly higher and lower growth (95 % interval excludes zero). Cells in which its timing beats circular
        shifts in liquidations and growth. The same counts with ``_family`` behind their names, where the cells were
        corrected: those that remain after correction for all tests of the question.
    """
    moving = cells[cells.vs_same_leverage.notna()]
    groups = moving.groupby("rule", sort=False)
    own, fixed = groups.liquidations.mean(), groups.same_leverage_liquidations.mean()
    found = {
        "cells": groups.size(),
        "leverage": groups.effective_leverage.mean(),
        "liquidations": own,
        "fixed_liquidations": fixed,
        "cut": 1.0 - own / fixed.where(fixed > 0.0),  # of none, nothing can be avoided
        "fees": groups.fees.mean(),
        "ruined": groups.ruined.sum(),
        "fixed_ruined": groups.same_leverage_ruined.sum(),
    }
    for kind in KINDS:
        found[f"growth_{kind}"] = groups[f"vs_{kind}"].median()
        found |= _significant(moving, f"fewer_{kind}", (f"fewer_{kind}", f"more_{kind}"))
        found |= _significant(moving, f"vs_{kind}", (f"better_{kind}", f"worse_{kind}"))
    for name, column in (("timed_liquidations", "shift_p_fewer"), ("timed_growth", "shift_p")):
        for ending in ("", "_family"):
            if f"{column}{ending}" in moving:
                found[f"{name}{ending}"] = _count(moving[f"{column}{ending}"] <= LEVEL)
    return pd.DataFrame(found)


def _significant(moving: pd.DataFrame, question: str, names: tuple[str, str]) -> dict[str, pd.Series]:
    """Cells of each rule whose interval lies above, and below zero; and those that remain after correction."""
    found = {}
    sides = moving[f"{question}_low"] > 0.0, moving[f"{question}_high"] < 0.0
    for name, significant in zip(names, sides, strict=True):
        found[name] = _count(significant)
        if f"{question}_p_family" in moving:
            found[f"{name}_family"] = _count(significant & (moving[f"{question}_p_family"] <= LEVEL))
    return found


def _count(found: Any) -> pd.Series:
    return found.groupby(level="rule", sort=False).sum().astype(int)


@figure_style
def difference_figure(cells: pd.DataFrame) -> Any:
    """Each rule's cells against fixed leverage of the same mean: liquidations avoided, and growth."""
    moving = cells[cells.vs_same_leverage.notna()]
    rules = levels(moving, "rule")
    figure = new_figure(WIDTH, 0.42 * len(rules) + 2.2)
    left, right = figure.subplots(1, 2, sharey=True)
    left.set_title("Liquidations a year, fewer\nthan fixed of the same mean")
    right.set_title("Log growth a year, more\nthan fixed of the same mean")
    for panel, column in ((left, "fewer_same_leverage"), (right, "vs_same_leverage")):
        for k, rule in enumerate(rules):
            _draw(panel, k, moving.xs(rule, level="rule"), column)
        panel.axvline(0.0, **REFERENCE)
        panel.grid(visible=False, axis="y")
    left.set_yticks(range(len(rules)), rules)
    left.set_ylim(len(rules) - 0.5, -0.5)
    figure.suptitle(
        "One line per cell (contract and side): 95 % interval;\ngreen: better than zero, red: worse"
    )
    return figure


def _draw(panel: Any, k: int, rows: pd.DataFrame, column: str) -> None:
    values = rows[[column, f"{column}_low", f"{column}_high"]].to_numpy()
    at = k + np.linspace(-0.3, 0.3, len(rows))
    for y, (value, low, high) in zip(at, values, strict=True):
        excludes_zero = low > 0.0 or high < 0.0
        color = NEUTRAL if not excludes_zero else (GOOD if value > 0.0 else BAD)
        panel.plot([low, high], [y, y], color=color, lw=1.0)
        panel.plot(value, y, ".", color=color, ms=5)
