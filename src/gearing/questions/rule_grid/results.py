"""Cells of rules, and what is left of their findings when all of them are judged together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.statistics.multiple_testing import family_of_means, family_of_shifts

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Cells:
    """Rules in cells: numbers, and the series that they came from.

    Attributes
    ----------
    rows : DataFrame
        A row per rule of a cell.
    days : DataFrame
        A row per rule of a cell and question (its name in ``rows``): what each day adds to the answer's mean. Columns
        are the days; NaN where a contract did not trade yet.
    shifts : DataFrame
        The same for circular shifts: what the rule reached, then what each shift did; larger is better.
    """

    rows: pd.DataFrame
    days: pd.DataFrame
    shifts: pd.DataFrame

    @classmethod
    def of(
        cls,
        rows: list[dict[str, Any]],
        days: Mapping[tuple[str, str], np.ndarray],
        first: np.datetime64,
        shifts: Mapping[tuple[str, str], np.ndarray],
    ) -> Cells:
        """One cell: rows that name their rule, series by rule and question, and the moment of the first decision."""
        import pandas as pd

        length = max((len(values) for values in days.values()), default=0)
        dates = (first + np.arange(length) * np.timedelta64(1, "D")).astype("datetime64[D]").astype(str)
        counts = [str(k) for k in range(max((len(values) for values in shifts.values()), default=0))]
        return cls(
            pd.DataFrame(rows).set_index("rule"), _by_question(days, dates), _by_question(shifts, counts)
        )

    def at(self, place: Mapping[str, Any]) -> Cells:
        """The same with the place of the cell in front of every index."""
        return Cells(*(_placed(table, place) for table in (self.rows, self.days, self.shifts)))


def joined(parts: Iterable[Cells]) -> Cells:
    """Cells one after another; days are put under days."""
    import pandas as pd

    parts = list(parts)
    return Cells(*(pd.concat([getattr(part, name) for part in parts]) for name in ("rows", "days", "shifts")))


def judged_together(
    cells: Cells, *, apart: Sequence[str] = (), seed: int = 0, replications: int = 2000
) -> pd.DataFrame:
    """The rows with ``..._p_family`` per question: the p-value that holds for all cells of the question together.

    Two-sided for differences of growth (``vs_...``), of liquidations (``fewer_...``) and of Sharpe ratios; one-sided
    for circular shifts (``shift_p_family``, ``shift_p_fewer_family``). See
    `gearing.evaluation.statistics.multiple_testing`.

    Parameters
    ----------
    apart : sequence of str
        Index levels whose values are families of their own, beside the question.
    """
    import pandas as pd

    days, shifts = cells.days.sort_index(axis=1), cells.shifts
    found = {
        f"{question}_p_family": [
            family_of_means(part, seed=seed, replications=replications).p_family for part in parts
        ]
        for question, parts in _families(days, apart)
    }
    found |= {
        f"{question}_family": [family_of_shifts(part) for part in parts]
        for question, parts in _families(shifts, apart)
    }
    return cells.rows.assign(**{name: pd.concat(parts) for name, parts in found.items()})


def _families(table: pd.DataFrame, apart: Sequence[str]) -> Iterable[tuple[str, list[pd.DataFrame]]]:
    for question in table.index.get_level_values("question").unique():
        rows: Any = table.xs(question, level="question")
        yield question, [part for _, part in rows.groupby(list(apart), sort=False)] if apart else [rows]


def _by_question(series: Mapping[tuple[str, str], np.ndarray], columns: Any) -> pd.DataFrame:
    import pandas as pd

    index = pd.MultiIndex.from_tuples(list(series), names=["rule", "question"]) if series else None
    if index is None:
        index = pd.MultiIndex.from_arrays([[], []], names=["rule", "question"])
    return pd.DataFrame(list(series.values()), index=index, columns=list(columns))


def _placed(table: pd.DataFrame, place: Mapping[str, Any]) -> pd.DataFrame:
    names = list(table.index.names)
    return table.assign(**place).reset_index().set_index([*place, *names])
