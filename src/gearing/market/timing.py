"""Bar lengths and time stamps: parsing and formatting."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
HOURS_A_YEAR = 8_760.0  # 365 days x 24 h, the convention of every annualised number
YEAR = np.timedelta64(365 * 86_400_000, "ms")


def duration(value: Any) -> np.timedelta64:
    """Read a length of time ("1h", "15m", "8h", "1d", timedelta, timedelta64) as timedelta64[ms].

    Raises
    ------
    ValueError
        If the text is not a number followed by s, m, h or d, or the length is not positive.
    """
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+)\s*(ms|s|min|m|h|d)", value.strip().lower())
        if match is None:
            raise ValueError(
                f"{value!r} is not a bar length; write a number and s, m, h or d, as in '15m' or '1h'."
            )
        result = np.timedelta64(int(match[1]) * MILLISECONDS[match[2]], "ms")
    else:
        result = np.timedelta64(value).astype("timedelta64[ms]")
    if result <= np.timedelta64(0, "ms"):
        raise ValueError(f"bar length {value!r} must be positive.")
    return result


def label(bar: np.timedelta64) -> str:
    """Write a bar length the way files name it: 1h, 15m, 1d."""
    ms = int(bar.astype("timedelta64[ms]").astype(np.int64))
    for unit in ("d", "h", "m", "s"):
        if ms % MILLISECONDS[unit] == 0:
            return f"{ms // MILLISECONDS[unit]}{unit}"
    return f"{ms}ms"


def stamp(value: Any) -> np.datetime64:
    """Read a moment as datetime64[ms] in UTC; aware datetimes are converted, naive ones are taken as UTC."""
    if getattr(value, "tzinfo", None) is not None:
        value = np.datetime64(round(value.timestamp() * 1000), "ms")
    if isinstance(value, str):
        value = value.strip().removesuffix("Z").removesuffix("+00:00").replace(" ", "T")
    try:
        return np.datetime64(np.asarray(value, "datetime64[ms]").item(), "ms")
    except ValueError:
        raise ValueError(f"{value!r} is not a date; write '2024-07-01' or '2024-07-01T08:00'.") from None


def text(moment: np.datetime64) -> str:
    """Write a moment to the minute, or to the millisecond where that matters."""
    whole = moment.astype("datetime64[ms]")
    minute = whole.astype("datetime64[m]")
    return str(minute if minute == whole else whole).replace("T", " ")
