"""What a moving leverage achieves that a fixed one of the same average would not: liquidations and growth.

`gearing.questions.rule_grid.play` plays every rule beside its fixed twins and its circular shifts; here its cells are
counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gearing.evaluation.statistics.multiple_testing import LEVEL
from gearing.questions.rule_grid.play import KINDS

if TYPE_CHECKING:
    import pandas as pd


def over_cells(cells: pd.DataFrame, level: float = LEVEL) -> pd.DataFrame:
    """Each moving rule over its cells: how often it is surely better or worse than its fixed twins, and by how much.

    Parameters
    ----------
    cells : DataFrame
        Of `judged_together`, or the rows of `run_cells`.
    level : float
        Of p-values.

    Returns
    -------
    DataFrame
        Per rule: ``cells``, mean effective ``leverage``, ``liquidations`` a year and those of the twin of the same
        leverage (``twin_liquidations``), ``cut``: the share of the twin's that the rule avoids, over all cells;
        ``fees`` a year in parts of equity. Per kind of twin: median difference of growth; cells with surely fewer and
        more liquidations, surely higher and lower growth (95 % interval beside zero). Cells in which its moments beat
        shifted ones in liquidations and growth. The same counts with ``_family`` behind their names, where the cells
        were judged together: those that stand after correction for all tests of the question.
    """
    import pandas as pd

    moving = cells[cells.vs_same_leverage.notna()]
    groups = moving.groupby("rule", sort=False)
    mine, other = groups.liquidations.mean(), groups.same_leverage_liquidations.mean()
    some = other.where(other > 0.0)  # of none, nothing can be avoided
    told = {
        "cells": groups.size(),
        "leverage": groups.effective_leverage.mean(),
        "liquidations": mine,
        "twin_liquidations": other,
        "cut": 1.0 - mine / some,
        "fees": groups.fees.mean(),
        "ruined": groups.ruined.sum(),
        "twin_ruined": groups.same_leverage_ruined.sum(),
    }
    for kind in KINDS:
        told[f"growth_{kind}"] = groups[f"vs_{kind}"].median()
        told |= _sure(moving, f"fewer_{kind}", (f"fewer_{kind}", f"more_{kind}"), level)
        told |= _sure(moving, f"vs_{kind}", (f"better_{kind}", f"worse_{kind}"), level)
    for name, column in (("timed_liquidations", "shift_p_fewer"), ("timed_growth", "shift_p")):
        for ending in ("", "_family"):
            if f"{column}{ending}" in moving:
                told[f"{name}{ending}"] = _count(moving[f"{column}{ending}"] <= level)
    return pd.DataFrame(told)


def _sure(moving: pd.DataFrame, question: str, names: tuple[str, str], level: float) -> dict[str, Any]:
    """Cells of each rule whose interval lies above, and below zero; and those that stand in the family, too."""
    told = {}
    sides = moving[f"{question}_low"] > 0.0, moving[f"{question}_high"] < 0.0
    for name, sure in zip(names, sides, strict=True):
        told[name] = _count(sure)
        if f"{question}_p_family" in moving:
            told[f"{name}_family"] = _count(sure & (moving[f"{question}_p_family"] <= level))
    return told


def _count(found: Any) -> Any:
    return found.groupby(level="rule", sort=False).sum().astype(int)
