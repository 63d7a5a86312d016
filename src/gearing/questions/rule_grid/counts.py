"""Counts over cells: what a moving leverage achieves that a fixed one of the same mean does not, and its figure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.reports.figures import new_figure
from gearing.evaluation.statistics.multiple_testing import LEVEL
from gearing.questions.question import levels
from gearing.questions.rule_grid.play import KINDS


def over_cells(cells: pd.DataFrame, level: float = LEVEL) -> pd.DataFrame:
    """Each moving rule over its cells: how often it is significantly better or worse than matched fixed leverage.

    Parameters
    ----------
    cells : DataFrame
        Of `corrected`, or the rows of `run_cells`.
    level : float
        Of p-values.

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
        found |= _significant(moving, f"fewer_{kind}", (f"fewer_{kind}", f"more_{kind}"), level)
        found |= _significant(moving, f"vs_{kind}", (f"better_{kind}", f"worse_{kind}"), level)
    for name, column in (("timed_liquidations", "shift_p_fewer"), ("timed_growth", "shift_p")):
        for ending in ("", "_family"):
            if f"{column}{ending}" in moving:
                found[f"{name}{ending}"] = _count(moving[f"{column}{ending}"] <= level)
    return pd.DataFrame(found)


def _significant(
    moving: pd.DataFrame, question: str, names: tuple[str, str], level: float
) -> dict[str, pd.Series]:
    """Cells of each rule whose interval lies above, and below zero; and those that remain after correction."""
    found = {}
    sides = moving[f"{question}_low"] > 0.0, moving[f"{question}_high"] < 0.0
    for name, significant in zip(names, sides, strict=True):
        found[name] = _count(significant)
        if f"{question}_p_family" in moving:
            found[f"{name}_family"] = _count(significant & (moving[f"{question}_p_family"] <= level))
    return found


def _count(found: Any) -> pd.Series:
    return found.groupby(level="rule", sort=False).sum().astype(int)


def difference_figure(cells: pd.DataFrame) -> Any:
    """Each rule's cells against fixed leverage of the same mean: liquidations avoided, and growth."""
    moving = cells[cells.vs_same_leverage.notna()]
    rules = levels(moving, "rule")
    figure = new_figure(12, 0.42 * len(rules) + 2.2)
    left, right = figure.subplots(1, 2, sharey=True)
    left.set_title("Liquidations a year fewer than fixed leverage\nof the same mean")
    right.set_title("Log growth a year more than fixed leverage\nof the same mean")
    for panel, column in ((left, "fewer_same_leverage"), (right, "vs_same_leverage")):
        for k, rule in enumerate(rules):
            _draw(panel, k, moving.xs(rule, level="rule"), column)
        panel.axvline(0.0, color="0.3", lw=0.8)
        panel.grid(alpha=0.3, axis="x")
    left.set_yticks(range(len(rules)), rules)
    left.invert_yaxis()
    figure.suptitle(
        "One line per cell (contract and side), 95 % interval; coloured where it excludes zero: green better, red worse"
    )
    return figure


def _draw(panel: Any, k: int, rows: pd.DataFrame, column: str) -> None:
    values = rows[[column, f"{column}_low", f"{column}_high"]].to_numpy()
    at = k + np.linspace(-0.3, 0.3, len(rows))
    for y, (value, low, high) in zip(at, values, strict=True):
        excludes_zero = low > 0.0 or high < 0.0
        color = "0.65" if not excludes_zero else ("C2" if value > 0.0 else "C3")
        panel.plot([low, high], [y, y], color=color, lw=1.0)
        panel.plot(value, y, ".", color=color, ms=5)
