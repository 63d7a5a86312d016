"""Cells of tables: what separates them, which are empty, and numbers in them."""

from typing import Any

import numpy as np

from gearing.storage.text import row_name

SEPARATORS = ",;\t|"
EMPTY = ("", "nan", "none", "null", "na", "n/a", "<na>")


def numbers(values: Any, name: str) -> np.ndarray:
    """A column as float64, shape (n,); empty cells are NaN.

    Parameters
    ----------
    values : Series or sequence
    name : str
        File and column, for messages.

    Raises
    ------
    ValueError
        Naming the line or row that is not a number.
    """
    raw = np.asarray(values)
    if raw.dtype.kind in "iuf":
        return raw.astype(np.float64)
    found = np.full(len(raw), np.nan)
    for row, value in enumerate(raw):
        if value is None or str(value).strip().lower() in EMPTY:
            continue
        try:
            if isinstance(value, bool | np.bool_ | np.datetime64) or "_" in str(value):
                raise ValueError
            found[row] = float(value)
        except (ValueError, TypeError, OverflowError):
            raise ValueError(f"{name}, {row_name(values, row)}: {value!r:.60} is not a number.") from None
    return found
