"""Durations as people write them ("24h", "7d", "5m", "1bar"), and how many bars they hold."""

from __future__ import annotations

import re

import numpy as np

_MILLISECONDS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PATTERN = re.compile(r"(\d+)(m|h|d|w|bar)")
YEAR = np.timedelta64(365 * 86_400_000, "ms")


def is_duration(text: str) -> bool:
    """Whether ``text`` reads as a duration such as "24h"."""
    return _PATTERN.fullmatch(text) is not None


def parse_duration(text: str, bar: np.timedelta64 | None = None) -> np.timedelta64:
    """Length of a duration [ms]; "3bar" needs the length of a bar.

    Raises
    ------
    ValueError
        If the text is not a whole number followed by m, h, d, w or bar.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not a duration; write a whole number and m, h, d, w or bar, like '24h'."
        )
    count, unit = int(match[1]), match[2]
    if unit != "bar":
        return np.timedelta64(count * _MILLISECONDS[unit], "ms")
    if bar is None:
        raise ValueError(f"{text!r} counts bars, but no bar length is known here; write it in m, h, d or w.")
    return count * bar.astype("timedelta64[ms]")


def bars_in(text: str, bar: np.timedelta64) -> int:
    """Bars that cover a duration, rounded up; a duration shorter than a bar is one bar, "0h" none."""
    length = parse_duration(text, bar).astype(np.int64)
    return int(-(-length // bar.astype("timedelta64[ms]").astype(np.int64)))


def bars_per_year(bar: np.timedelta64) -> float:
    """Bars in 365 days; trading never stops, so annual figures count every hour."""
    return float(YEAR / bar)
