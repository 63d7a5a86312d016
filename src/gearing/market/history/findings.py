"""One finding of a check."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gearing.market.timing import text


@dataclass(frozen=True)
class Finding:
    """A problem of a series, or a note on it.

    Parameters
    ----------
    level : {"error", "warning", "note"}
    file : str
        Path inside the data folder, or the contract's folder.
    rule : str
    first, last : str
        Where it begins and ends, UTC; "" if it concerns the whole series.
    count : int
        How many rows, steps or settlements.
    detail : str
    """

    level: str
    file: str
    rule: str
    first: str = ""
    last: str = ""
    count: int = 1
    detail: str = ""


def span(first: np.datetime64, last: np.datetime64) -> tuple[str, str]:
    """Both moments as text."""
    return text(first), text(last)
