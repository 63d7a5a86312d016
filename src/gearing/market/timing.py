"""Durations, bar lengths and moments: reading and writing them.

A duration is a whole number and a unit: ``ms``, ``s``, ``m`` or ``min``, ``h``, ``d``, ``w`` (seven days) or ``bar``
(bars of the market at hand), as in "15m", "24h", "7d" or "3bar". Spaces and capitals do not matter, except in names of
columns. Wherever a duration is expected, a ``timedelta`` or ``timedelta64`` will do as well.
"""

import re
from datetime import timedelta
from functools import lru_cache
from typing import Any

import numpy as np

from gearing.market.moments import EARLIEST, END, UnreadableError, milliseconds
from gearing.names import shown
from gearing.storage.text import row_name

LONGEST = 365_000 * 86_400_000  # milliseconds of a duration
MILLISECONDS = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "min": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
HOURS_A_YEAR = 8_760.0  # 365 days x 24 h, the convention of every annualised number
HOUR = np.timedelta64(3_600_000, "ms")
DAY = np.timedelta64(86_400_000, "ms")
YEAR = np.timedelta64(365 * 86_400_000, "ms")
_DURATION = re.compile(rf"(\d+)({'|'.join(MILLISECONDS)}|bar)")


def is_duration(text: str) -> bool:
    """Whether a part of a column's name is a duration, such as "24h" in "log_variance_24h"."""
    return _DURATION.fullmatch(text) is not None


def parse_duration(value: Any, bar: np.timedelta64 | None = None) -> np.timedelta64:
    """Length of a duration [ms]; "3bar" needs the length of a bar.

    Raises
    ------
    ValueError
        If the text is not a whole number and a unit.
    """
    if isinstance(value, np.timedelta64 | timedelta):
        return np.timedelta64(value).astype("timedelta64[ms]")
    if not isinstance(value, str):
        raise ValueError(
            f"{shown(value)} is not a duration; write a whole number and s, m, h, d, w or bar, like '24h'."
        )
    return _parsed(value, bar)


@lru_cache(maxsize=4096)  # a live process asks for the same ones at every decision
def _parsed(value: str, bar: np.timedelta64 | None) -> np.timedelta64:
    match = _DURATION.fullmatch("".join(value.split()).lower())
    if match is None:
        raise ValueError(
            f"{value!r} is not a duration; write a whole number and s, m, h, d, w or bar, like '24h'."
        )
    count, unit = int(match[1]), match[2]
    if unit != "bar":
        one = MILLISECONDS[unit]
    elif bar is not None:
        one = int(bar.astype("timedelta64[ms]").astype(np.int64))
    else:
        raise ValueError(f"{value!r} counts bars, but no bar length is known here; write it in m, h, d or w.")
    milliseconds = count * one
    if milliseconds > LONGEST:
        raise ValueError(f"{value!r} is not a duration of at most 1,000 years; write a shorter one.")
    return np.timedelta64(milliseconds, "ms")


def positive_duration(value: Any) -> np.timedelta64:
    """Length of a bar, or of anything else that takes time [ms].

    Raises
    ------
    ValueError
        If it is not a duration, or not positive.
    """
    length = parse_duration(value)
    if length <= np.timedelta64(0, "ms"):
        raise ValueError(f"{value!r} is not positive; give a positive duration such as '24h'.")
    return length


@lru_cache(maxsize=4096)  # features ask at every bar of a live process
def bars_in(text: str, bar: np.timedelta64) -> int:
    """Bars that cover a duration, rounded up; a duration shorter than a bar is one bar, "0h" none."""
    length = parse_duration(text, bar).astype(np.int64)
    return int(-(-length // bar.astype("timedelta64[ms]").astype(np.int64)))


@lru_cache(maxsize=4096)
def bars_per_day(bar: np.timedelta64) -> float:
    """Bars in 24 hours."""
    return float(DAY / bar)


@lru_cache(maxsize=4096)
def bars_per_year(bar: np.timedelta64) -> float:
    """Bars in 365 days; trading never stops, so annual figures count every hour."""
    return float(YEAR / bar)


def label(bar: np.timedelta64) -> str:
    """Write a bar length the way files name it: 1h, 15m, 1d."""
    ms = int(bar.astype("timedelta64[ms]").astype(np.int64))
    for unit in ("d", "h", "m", "s"):
        if ms % MILLISECONDS[unit] == 0:
            return f"{ms // MILLISECONDS[unit]}{unit}"
    return f"{ms}ms"


_FIRST, _END = np.datetime64(EARLIEST, "ms"), np.datetime64(END, "ms")


def stamp(value: Any, name: str = "") -> np.datetime64:
    """Read one moment as datetime64[ms], UTC; a year or a month alone ("2024", "2024-07") means its first day.

    Parameters
    ----------
    value : str, number, date, datetime or datetime64
    name : str
        What the value is, for the message ("start", "--now").

    Raises
    ------
    ValueError
        For what is no moment, is empty, or lies outside 2009 to 2100.
    """
    if isinstance(value, np.datetime64) and _FIRST <= value < _END:
        return value.astype("datetime64[ms]")
    written = str(value).strip() if isinstance(value, str | int) else ""
    if re.fullmatch(r"\d{4}(-\d\d)?", written, re.ASCII):
        value = f"{written}-01-01"[:10]
    try:
        return _checked(milliseconds([value], None), [value])[0]
    except UnreadableError as error:
        raise ValueError(
            f"{name + ': ' if name else ''}{error} Write a UTC time like '2024-07-01' or '2024-07-01T08:00'."
        ) from None


def stamps(values: Any, name: str = "time", date_format: str | None = None) -> np.ndarray:
    """Read a column of moments.

    Parameters
    ----------
    values : sequence, array or pandas Series, shape (n,)
        Each row may be written in another way. The index of a Series gives the lines of its file, where it is
        named "line".
    name : str
        File and column, for messages.
    date_format : {"day-first", "month-first"} or strptime format, optional
        How 01/02/2025 is read. By default the whole column decides: the order that is valid in every row, else the one
        in which the moments follow each other in equal steps.

    Returns
    -------
    datetime64[ms] array, shape (n,), UTC; finer parts than milliseconds are cut off

    Raises
    ------
    ValueError
        Naming the row, for what is no moment, is empty, lies outside 2009 to 2100, or can be read in two ways.
    """
    try:
        return _checked(milliseconds(values, date_format), values)
    except UnreadableError as error:
        raise ValueError(f"{name}, {row_name(values, error.row)}: {error}") from None


def _checked(found: np.ndarray, values: Any) -> np.ndarray:
    outside = (found < EARLIEST) | (found >= END)
    if outside.any():
        row = int(outside.argmax())
        moment = str(found[row].astype("datetime64[ms]")).replace("T", " ")
        hint = "" if moment > "2009" else " Dates made from numbers need the right unit; give the numbers."
        raise UnreadableError(row, f"{moment} is outside the years 2009 to 2100.{hint}")
    return found.astype("datetime64[ms]")


def text(moment: np.datetime64) -> str:
    """Write a moment to the minute, or to the millisecond where that matters."""
    whole = moment.astype("datetime64[ms]")
    minute = whole.astype("datetime64[m]")
    return str(minute if minute == whole else whole).replace("T", " ")
