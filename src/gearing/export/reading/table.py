"""Tables of a decision's inputs as columns of arrays: from files, from mappings, from pandas, from venues' answers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gearing.export.bundle.files import BundleError
from gearing.export.reading.answers import as_columns
from gearing.market.timing import stamps
from gearing.storage.cells import numbers
from gearing.storage.columns import columns_of_rows, read_columns


class Table:
    """Columns of one length by name.

    Parameters
    ----------
    columns : mapping of name to sequence
    """

    def __init__(self, columns: Mapping[str, Any]):
        self.columns = dict(columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def get(self, name: str) -> Any:
        """A column, or None."""
        return self.columns.get(name)

    def __getitem__(self, name: str) -> Any:
        return self.columns[name]

    def where(self, rows: np.ndarray) -> Table:
        """Some rows: a mask, or their numbers in order."""
        return Table({name: values[rows] for name, values in self.columns.items()})

    def stacked(self, names: Sequence[str]) -> np.ndarray:
        """Some columns side by side (n, n_names) float64."""
        return np.column_stack([self.columns[name] for name in names])

    def with_(self, name: str, values: Any) -> Table:
        """One more column, or another one of that name."""
        return Table({**self.columns, name: values})


def read_given(given: Any, what: str, clock: str) -> Table:
    """The table that was given: a pandas table, a mapping of columns, rows, or the path of a file.

    The column ``source`` of a data folder's own files is left out.

    Parameters
    ----------
    what : str
        What it is, for messages: "bars" or "funding".
    clock : str
        Column of its times; that of a pandas table may be its index.
    """
    if hasattr(given, "columns") and hasattr(given, "index"):  # of pandas, which may not be installed
        columns = _of_pandas(given, clock)
    elif isinstance(given, Mapping):
        columns = dict(given)
        _check_lengths(columns, what)
    else:
        columns = _of_file_or_rows(given, what)
    columns = as_columns(columns, what)
    columns.pop("source", None)
    if not all(isinstance(name, str) for name in columns):
        raise BundleError(
            f"{what}: a column is named {next(n for n in columns if not isinstance(n, str))!r}; name it."
        )
    return Table(columns)


def _of_file_or_rows(given: Any, what: str) -> dict[Any, Any]:
    try:
        if isinstance(given, str | os.PathLike):
            return dict(read_columns(Path(given)))
        if isinstance(given, list | tuple):
            return columns_of_rows(given, "the rows given")
    except ValueError as error:
        raise BundleError(f"{what}: {error}") from error
    raise BundleError(f"{what}: {str(given)[:80]!r} is neither a table nor the path of one.")


def _of_pandas(given: Any, clock: str) -> dict[str, Any]:
    if type(given.index).__name__ == "DatetimeIndex" and clock not in given:
        given = given.rename_axis(clock).reset_index()
    twice = given.columns[given.columns.duplicated()]
    if len(twice):
        raise BundleError(f"the column {twice[0]!r} stands twice; keep one of them.")
    return {name: given[name] for name in given.columns}


def _check_lengths(columns: Mapping[Any, Any], what: str) -> None:
    lengths = set()
    for name, values in columns.items():
        if not isinstance(values, Sequence | np.ndarray) or isinstance(values, str):
            raise BundleError(f"{what}: the column {name!r} is {str(values)[:60]!r}; give a list of values.")
        lengths.add(len(values))
    if len(lengths) > 1:
        raise BundleError(
            f"{what}: the columns have {', '.join(map(str, sorted(lengths)))} values; give as many of each."
        )


def as_numbers(table: Table, what: str, but: Sequence[str]) -> Table:
    """The table with all columns but some as numbers."""
    try:
        made = {name: numbers(table[name], f"{what}: {name}") for name in table.columns if name not in but}
    except ValueError as error:
        raise BundleError(str(error)) from error
    return Table({**table.columns, **made})


def moments(values: Any, what: str) -> np.ndarray:
    """A column of moments."""
    try:
        return stamps(values, what)
    except ValueError as error:
        raise BundleError(str(error)) from error


def with_contract(table: Table, symbols: Sequence[str], what: str) -> Table:
    """The table with a column ``contract``; rows of other contracts are refused."""
    if "contract" not in table:
        if len(symbols) > 1:
            raise BundleError(f"{what}: the bundle decides on {', '.join(symbols)}; add a column 'contract'.")
        return table.with_("contract", np.full(len(table), symbols[0], object))
    given = np.array(list(table["contract"]), object)
    unknown = sorted({one for one in given.tolist() if one not in symbols}, key=str)
    if unknown:
        raise BundleError(
            f"{what}: contract {unknown[0]!r} is not in this bundle, which has {', '.join(symbols)}."
        )
    return table.with_("contract", given)
