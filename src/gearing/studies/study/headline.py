"""A study in one table, one figure and one sentence: every policy on the same test days, agents over their seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gearing.drawing import REFERENCE, WIDTH, figure_style, intervals, legend_below, new_figure
from gearing.evaluation.reports.figures import draw_equity
from gearing.evaluation.reports.tables import number_text
from gearing.studies.experiment import Headline
from gearing.studies.study.config import StudyConfig
from gearing.studies.study.leaderboard import Entry, policy_rows

_SHOWN = {
    "lev.": ("effective_leverage", "{:.2f}"), "growth/y": ("log_growth", "{:+.2f}"),
    "max DD": ("max_drawdown", "{:.0%}"), "liq./y": ("liquidations", "{:.1f}"),
}  # fmt: skip
_VERSUS = ("versus", "versus_low", "versus_high")


def headline(config: StudyConfig, board: pd.DataFrame, entries: Sequence[Entry]) -> Headline:
    """Effective leverage, growth, drawdown, liquidations and the difference to the baseline of every policy.

    Parameters
    ----------
    board : DataFrame
        Of `gearing.studies.study.leaderboard.leaderboard`.
    entries : sequence of Entry
        What it was made of.
    """
    rows = policy_rows(board, entries)
    columns = [column for column, _ in _SHOWN.values()] + [name for name in _VERSUS if name in board]
    table = pd.DataFrame(
        {name: {key: row.get(key, np.nan) for key in columns} for name, row in rows.items()}
    ).T
    table = table.rename_axis("policy")
    seeds = {
        one.name: sum(other.name == one.name for other in entries) for one in entries if one.seed is not None
    }
    names = {name: f"{name}, {count} seed{'s' if count > 1 else ''}" for name, count in seeds.items()}
    return Headline(
        table, _printed(config, table).rename(index=names), _figure(config, table, entries, names),
        _sentence(config, table, entries),
    )  # fmt: skip


def _printed(config: StudyConfig, table: pd.DataFrame) -> pd.DataFrame:
    """The table as texts."""
    shown = {
        head: [number_text(form, value) for value in table[name]] for head, (name, form) in _SHOWN.items()
    }
    if _VERSUS[0] in table:
        level = f"{100.0 * config.statistics.level:g} %"
        shown[f"less {config.baseline} [{level}]"] = [_difference(row) for _, row in table.iterrows()]
    return pd.DataFrame(shown, index=table.index)


def _difference(row: pd.Series) -> str:
    value, low, high = (row[name] for name in _VERSUS)
    if isinstance(value, str) or value != value:
        return number_text("{}", value)
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def _is_known(row: pd.Series) -> bool:
    value = row.get(_VERSUS[0], np.nan)
    return not isinstance(value, str) and value == value


def _sentence(config: StudyConfig, table: pd.DataFrame, entries: Sequence[Entry]) -> str:
    """What the intervals allow to say of every policy against the baseline."""
    days = len(entries[0].result.daily_log_growth)
    rows = {str(name): row for name, row in table.iterrows() if _is_known(row)}
    better = [name for name, row in rows.items() if row[_VERSUS[1]] > 0.0]
    worse = [name for name, row in rows.items() if row[_VERSUS[2]] < 0.0]
    alike = [name for name in rows if name not in better and name not in worse]
    ruined = [str(name) for name, row in table.iterrows() if isinstance(row["log_growth"], str)]
    parts = [f"Significantly more than {config.baseline}: {', '.join(better) or 'no policy'}"]
    parts += [f"significantly less: {', '.join(worse)}"] if worse else []
    parts += [f"no difference shown: {', '.join(alike)}"] if alike else []
    parts += [f"ruined: {', '.join(ruined)}"] if ruined else []
    return f"Growth on {days} test days. {'; '.join(parts)}."


@figure_style
def _figure(config: StudyConfig, table: pd.DataFrame, entries: Sequence[Entry], names: dict[str, str]) -> Any:
    """Left: equity on the test days, agents as bands over their seeds. Right: growth less the baseline's."""
    lines = {
        names.get(name, name): [one.result for one in entries if one.name == name] for name in table.index
    }
    known = [name for name, row in table.iterrows() if _is_known(row)]
    figure = new_figure(WIDTH, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=[1.35, 1.0])
    draw_equity(left, lines)
    left.set_ylabel("equity [quote]")
    rows = table.reindex(columns=list(_VERSUS)).loc[known]  # a baseline that failed leaves no difference
    middle, low, high = (rows[name] for name in _VERSUS)
    intervals(
        right, [names.get(str(name), str(name)) for name in known], middle, low, high,
        f"log growth a year,\nless that of {config.baseline}", [list(table.index).index(name) for name in known],
    )  # fmt: skip
    right.axvline(0.0, **REFERENCE, ls="--")
    legend_below(figure)
    return figure
