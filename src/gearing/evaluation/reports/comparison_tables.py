"""Tables of a comparison as text, an estimate and its interval in one cell."""

from __future__ import annotations

from typing import Any

import pandas as pd

from gearing.evaluation.comparisons.comparison import Comparison
from gearing.evaluation.reports.tables import number_text

_FORMAT = "{:+.2f}"
_AGGREGATES = {
    "interquartile mean": "iqm", "median": "median", "mean": "mean", "optimality gap": "optimality_gap",
}  # fmt: skip


def comparison_tables(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """The tables that a reader looks at, by heading."""
    tables = {"Growth": growth_text(comparison), "Scores": aggregates_text(comparison)}
    if comparison.optimum is not None:
        tables["Regret"] = regret_text(comparison)
    if len(comparison.policies) > 1:
        tables |= {
            "Ranks": ranks_text(comparison),
            "Probability of improvement": improvement_text(comparison),
        }
    return {heading: table for heading, table in tables.items() if not table.empty}


def growth_text(comparison: Comparison) -> pd.DataFrame:
    """Growth of every policy against the baseline, fixed leverage with the same mean, and the placebo."""
    table = comparison.growth
    if table.empty:
        return table
    shown = {"log growth/y": _intervals(table, "growth")}
    titles = {f"less {comparison.baseline}": "versus", "less fixed, same mean": "versus_fixed"}
    shown |= {title: _intervals(table, name) for title, name in titles.items() if name in table}
    if "detectable" in table:
        shown["detectable"] = [number_text("{:.2f}", value) for value in table["detectable"]]
    if "placebo" in table:
        shown["timing"] = [number_text(_FORMAT, value) for value in table["placebo"]]
        shown["p of timing"] = [number_text("{:.3f}", value) for value in table["placebo_p"]]
    shown["days"] = list(map(str, table["days"]))
    return pd.DataFrame(shown, index=table.index)


def aggregates_text(comparison: Comparison) -> pd.DataFrame:
    """Aggregates of the scores over seeds and tasks."""
    table = comparison.aggregates
    shown: dict[str, Any] = {"seeds": _seeds(table), "tasks": list(map(str, table["tasks"]))}
    shown["runs"] = list(map(str, table["runs"]))
    shown["ruined"] = list(map(str, table["ruined"]))
    shown |= {title: _intervals(table, name) for title, name in _AGGREGATES.items() if name in table}
    return pd.DataFrame(shown, index=table.index)


def regret_text(comparison: Comparison) -> pd.DataFrame:
    """Growth that is missing to the optimum."""
    table = comparison.regret
    shown = {
        name: [number_text("{:.3f}", value) for value in table[name]]
        for name in ("regret", "best_seed", "worst_seed")
    }
    shown["share of the optimum"] = _intervals(table, "score", "{:.3f}")
    return pd.DataFrame(shown, index=table.index).rename(
        columns={"best_seed": "best seed", "worst_seed": "worst seed"}
    )


def ranks_text(comparison: Comparison) -> pd.DataFrame:
    """Mean rank and the probability of each."""
    table = comparison.ranks
    mean = table.rename(columns={"low": "mean_rank_low", "high": "mean_rank_high"})
    shares = {
        name.replace("_", " "): [f"{value:.0%}" for value in table[name]]
        for name in table
        if str(name)[:5] == "rank_"
    }
    return pd.DataFrame({"mean rank": _intervals(mean, "mean_rank", "{:.2f}"), **shares}, index=table.index)


def improvement_text(comparison: Comparison) -> pd.DataFrame:
    """Probability that a run of the row's policy beats one of the column's."""
    table, names = comparison.improvement, comparison.policies
    cells = [
        ["" if one == other else _probability(table.loc[(one, other)]) for other in names] for one in names
    ]
    return pd.DataFrame(
        cells, index=pd.Index(names, name="policy"), columns=[f"over {name}" for name in names]
    )


def _probability(row: Any) -> str:
    interval = "" if row.low != row.low else f" [{row.low:.2f}, {row.high:.2f}]"
    return f"{row.probability:.2f}{interval}"


def _seeds(table: pd.DataFrame) -> list[str]:
    pairs = zip(table["seeds"], table["most_seeds"], strict=True)
    return ["-" if not most else str(most) if few == most else f"{few}-{most}" for few, most in pairs]


def _intervals(table: pd.DataFrame, name: str, form: str = _FORMAT) -> list[str]:
    return [interval_text(row, name, form) for _, row in table.iterrows()]


def interval_text(row: Any, name: str, form: str = _FORMAT) -> str:
    """An estimate with its interval; a word, or "-", where it has none."""
    value, low, high = (row.get(f"{name}{end}", float("nan")) for end in ("", "_low", "_high"))
    text = number_text(form, value)
    if isinstance(value, str) or low != low:
        return text
    return f"{text} [{number_text(form, low)}, {number_text(form, high)}]"
