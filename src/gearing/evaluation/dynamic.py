"""What a moving leverage achieves that a fixed one of the same average would not: liquidations and growth.

`gearing.evaluation.cells` plays every rule beside its fixed twins and its circular shifts; here its cells are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("same_leverage", "same_volatility")


def over_cells(cells: pd.DataFrame, level: float = 0.05) -> pd.DataFrame:
    """Each moving rule over its cells: how often it is surely better or worse than its fixed twins, and by how much.

    Parameters
    ----------
    cells : DataFrame
        Of `run_cells`.
    level : float
        Of the p-values among circular shifts.

    Returns
    -------
    DataFrame
        Per rule: ``cells``, mean effective ``leverage``, ``liquidations`` a year and those of the twin of the same
        leverage (``twin_liquidations``), ``cut``: the share of the twin's that the rule avoids, over all cells;
        ``fees`` a year in parts of equity. Per kind of twin: median difference of growth; cells with surely fewer and
        more liquidations, surely higher and lower growth (95 % interval beside zero). Cells in which its moments beat
        shifted ones in liquidations and growth.
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
        told |= {
            f"fewer_{kind}": _count(groups, f"fewer_{kind}_low", lambda x: x > 0.0),
            f"more_{kind}": _count(groups, f"fewer_{kind}_high", lambda x: x < 0.0),
            f"growth_{kind}": groups[f"vs_{kind}"].median(),
            f"better_{kind}": _count(groups, f"vs_{kind}_low", lambda x: x > 0.0),
            f"worse_{kind}": _count(groups, f"vs_{kind}_high", lambda x: x < 0.0),
        }
    if "shift_p" in moving:
        told["timed_liquidations"] = _count(groups, "shift_p_fewer", lambda p: p <= level)
        told["timed_growth"] = _count(groups, "shift_p", lambda p: p <= level)
    return pd.DataFrame(told)


def _count(groups: Any, column: str, test: Callable[[Any], Any]) -> Any:
    return groups[column].agg(lambda values: int(test(values).sum()))
