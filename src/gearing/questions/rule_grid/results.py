"""Cells of rules, what is left of their findings after correction for all tests, and counts over cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.statistics.multiple_testing import family_of_means, family_of_shifts
from gearing.questions.question import DAY
from gearing.studies.work import Work

SeriesOfRules = Mapping[tuple[str, str], np.ndarray]  # by rule and question
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
