"""Read moments: one reader for everything that users bring in, whatever its units and notation.

A moment may be a number since 1970 in seconds, milliseconds, microseconds or nanoseconds (its size decides, row by row:
between 2009 and 2100 the four ranges do not overlap), one of Excel's days (45658.5), digits (20250131,
20250131080000), ISO text, a date with slashes, dots or the month's name, or a Python, NumPy or pandas date, also as
text. Dates with a zone are converted to UTC, others are taken as UTC. Anything outside 2009 to 2100 is refused: a wrong
unit lands there, and no coin was traded before.

:mod:`gearing.market.timing` is what callers use. Standard library and numpy only.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from numbers import Integral, Real
from typing import Any

import numpy as np

DAY_FIRST, MONTH_FIRST = "day-first", "month-first"
EARLIEST, END = (int(np.datetime64(day, "ms").astype(np.int64)) for day in ("2009-01-01", "2101-01-01"))
_SCALES = (
    (1_000, 1),
    (1, 1),
    (1, 1_000),
    (1, 1_000_000),
)  # seconds to nanoseconds in milliseconds: times, over
_DAY_MS = 86_400_000
_FARTHEST = 14 * 60  # minutes of any zone from UTC
_EXCEL = 25_569  # Excel's number of 1970-01-01
_DIGITS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?|\d{1,3}(,\d{3})+")
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?))?(?:Z| ?UTC|\+00:?00)?", re.ASCII
)
_DATE = re.compile(
    r"""(?:[A-Za-z]{3,9},\ +)?  # a weekday
    (?: (?P<year>\d{4})(?P<mark>[-/.])(?P<month>\d{1,2})(?P=mark)(?P<day>\d{1,2})
      | (?P<one>\d{1,2})(?P<sign>[-/.])(?P<two>\d{1,2})(?P=sign)(?P<year_last>\d{4})
      | (?P<day_named>\d{1,2})[-\ ](?P<name>[A-Za-z]{3,9})[-,\ ]+(?P<year_named>\d{4})
      | (?P<name_first>[A-Za-z]{3,9})\ +(?P<day_second>\d{1,2}),?\ +(?P<year_third>\d{4})
    )(?P<rest>.*)""",
    re.VERBOSE | re.ASCII,
)
_CLOCK = re.compile(
    r"(?:[T,\s]\s*(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<part>\d+))?)?\s*(?P<half>[AaPp][Mm])?)?"
    r"\s*(?:Z|(?:UTC|GMT)?(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d)?|UTC|GMT)?",
    re.ASCII,
)


class UnreadableError(Exception):
    """A value that is no moment: its row and what is wrong with it."""

    def __init__(self, row: int, problem: str):
        super().__init__(problem)
        self.row = row


def milliseconds(values: Any, date_format: str | None) -> np.ndarray:
    """Milliseconds since 1970, (n,) int64, of a column of moments; see :func:`gearing.market.timing.stamps`.

    Raises
    ------
    UnreadableError
        For what is no moment, is empty, or can be read in two ways.
    """
    if date_format not in (None, DAY_FIRST, MONTH_FIRST) and "%" not in date_format:
        raise ValueError(
            f"the date format is {date_format!r}; give day-first, month-first, or a format like '%d/%m/%Y %H:%M'."
        )
    if getattr(getattr(values, "dtype", None), "tz", None) is not None:
        values = np.asarray(values, "datetime64[ms]")  # pandas converts to UTC
    if isinstance(values, list):  # whose types NumPy would make one
        return _objects(values, date_format)
    given = np.asarray(values)
    if given.ndim != 1:
        raise UnreadableError(0, f"a column of times has one dimension, shape {given.shape} was given.")
    kind = given.dtype.kind
    if kind == "M":
        if (empty := np.isnat(given)).any():
            raise UnreadableError(int(empty.argmax()), "the time is empty.")
        return given.astype("datetime64[ms]").astype(np.int64)
    if kind in "iuf":
        return _numbers(given)
    if kind == "b" and given.size:
        raise UnreadableError(0, f"{bool(given[0])} is not a date.")
    return _objects(list(given), date_format)


def _objects(values: list[Any], date_format: str | None) -> np.ndarray:
    """Rows of any type; texts are read together, because they may have to agree on the order of day and month."""
    found = np.zeros(len(values), np.int64)
    texts = [row for row, value in enumerate(values) if isinstance(value, str)]
    for row, value in enumerate(values) if len(texts) < len(values) else ():
        if not isinstance(value, str):
            found[row] = _object(row, value)
    if texts:
        try:
            found[texts] = _texts([values[row].strip() for row in texts], date_format)
        except UnreadableError as error:
            raise UnreadableError(texts[error.row], str(error)) from None
    return found


def _object(row: int, value: Any) -> int:
    if value is None or str(value) in ("NaT", "nan", "<NA>"):
        raise UnreadableError(row, "the time is empty.")
    if isinstance(value, datetime):
        since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
        return int(since // timedelta(milliseconds=1))
    if isinstance(value, np.datetime64 | date):
        return int(np.asarray(value, "datetime64[ms]").astype(np.int64))
    if isinstance(value, Real | Decimal) and not isinstance(value, bool | np.bool_):
        try:
            number = (
                np.array([int(value)], np.int64) if isinstance(value, Integral) else np.array([float(value)])
            )
            return int(_numbers(number)[0])
        except (UnreadableError, OverflowError):
            raise UnreadableError(row, _no_moment(value)) from None
    raise UnreadableError(row, f"{value!r:.60} is not a date.")


def _numbers(raw: np.ndarray) -> np.ndarray:
    """Numbers of any unit; the range that they fall into decides."""
    found = np.zeros(raw.size, np.int64)
    known = np.zeros(raw.size, bool)
    whole = raw.dtype.kind in "iu"
    for times, over in _SCALES:
        here = (raw >= EARLIEST * over // times) & (raw < END * over // times)
        part = raw[here]
        if whole:
            found[here] = part.astype(np.int64) * times // over
        else:  # nanoseconds do not fit a float: it is off by up to 128
            found[here] = (
                np.rint(part * times) if times > 1 else np.floor(part / over + (over > 1_000) * 1e-3)
            )
        known |= here
    days = (raw >= EARLIEST / _DAY_MS + _EXCEL) & (raw < END / _DAY_MS + _EXCEL)
    found[days] = _from_excel(raw[days].astype(np.float64))
    known |= days
    for row in np.flatnonzero(~known):
        found[row] = _digits(int(row), raw[row])
    return found


def _from_excel(days: np.ndarray) -> np.ndarray:
    """Excel's days; five decimals or fewer are 0.4 seconds at best, so these mean whole seconds."""
    since = (days - _EXCEL) * (_DAY_MS / 1_000)
    coarse = np.abs(days - np.round(days, 5)) < 1e-9
    return np.where(coarse, np.rint(since) * 1_000, np.rint(since * 1_000)).astype(np.int64)


def _digits(row: int, number: Any) -> int:
    """20250131 and longer: the digits of a date."""
    if np.isnan(number):
        raise UnreadableError(row, "the time is empty.")
    if np.isfinite(number) and number == int(number):
        written = str(int(number))
        try:
            return _object(row, datetime.strptime(written, _DIGITS.get(len(written), "none")))
        except ValueError:
            pass
    raise UnreadableError(row, _no_moment(number))


def _no_moment(number: Any) -> str:
    return (
        f"{str(number)[:30]} is not a date: numbers are seconds, milliseconds, microseconds or nanoseconds since 1970, "
        "or Excel's days, from 2009 to 2100."
    )


def _texts(texts: Sequence[str], date_format: str | None) -> np.ndarray:
    if date_format is not None and "%" in date_format:
        return np.array([_formatted(row, one, date_format) for row, one in enumerate(texts)], np.int64)
    found = _iso(texts)
    return _mixed(texts, date_format) if found is None else found


def _formatted(row: int, written: str, date_format: str) -> int:
    try:
        return _object(row, datetime.strptime(written, date_format))
    except ValueError:
        raise UnreadableError(row, f"{written!r:.60} is not of the form {date_format!r}.") from None


def _iso(texts: Sequence[str]) -> np.ndarray | None:
    """Texts that are all ISO dates in UTC, at once; None if one is not."""
    matches = [_ISO.fullmatch(one) for one in texts]
    if not all(matches):
        return None
    try:
        plain = np.array([f"{m[1]}T{m[2] or '00:00'}" for m in matches if m], "datetime64[ms]")
    except ValueError:  # the 30th of February: found row by row
        return None
    return plain.astype(np.int64)


def _mixed(texts: Sequence[str], date_format: str | None) -> np.ndarray:
    found = np.zeros(len(texts), np.int64)
    swapped: dict[
        int, tuple[int | None, int | None]
    ] = {}  # rows read with the day first, and with the month first
    for row, written in enumerate(texts):
        if _NUMBER.fullmatch(written):
            plain = written.replace(",", "")
            found[row] = _object(row, int(plain) if plain.isdigit() else float(plain))
        elif match := _DATE.fullmatch(written):
            if match["one"]:
                swapped[row] = _both_orders(match)
            else:
                found[row] = _required(row, written, _named_parts(match), match["rest"])
        else:
            found[row] = _basic_iso(row, written)
    return _in_order(found, swapped, texts, date_format) if swapped else found


def _basic_iso(row: int, written: str) -> int:
    """20250131T080000Z and the like."""
    if written.lower() in ("", "nat", "nan", "none", "null"):
        raise UnreadableError(row, f"the time is empty ({written!r:.60}).")
    if re.match(r"\d{1,2}([-/.])\d{1,2}\1\d{2}\b", written):
        raise UnreadableError(
            row,
            f"{written!r:.60} has a year of two digits; give its form, like --date-format '%d/%m/%y %H:%M'.",
        )
    try:
        return _object(row, datetime.fromisoformat(written))
    except ValueError:
        raise UnreadableError(row, f"{written!r:.60} is not a date.") from None


def _named_parts(match: re.Match[str]) -> tuple[int, int, int]:
    """Year, month and day of a date whose order is plain; month 0 where there is none of that name."""
    if match["year"]:
        return int(match["year"]), int(match["month"]), int(match["day"])
    name = (match["name"] or match["name_first"]).lower()
    month = _MONTHS.index(name[:3]) + 1 if name[:3] in _MONTHS else 0
    return (
        int(match["year_named"] or match["year_third"]),
        month,
        int(match["day_named"] or match["day_second"]),
    )


def _both_orders(match: re.Match[str]) -> tuple[int | None, int | None]:
    one, two, year = int(match["one"]), int(match["two"]), int(match["year_last"])
    return _moment((year, two, one), match["rest"]), _moment((year, one, two), match["rest"])


def _required(row: int, written: str, parts: tuple[int, int, int], rest: str) -> int:
    found = _moment(parts, rest)
    if found is None:
        raise UnreadableError(row, f"{written!r:.60} is not a date.")
    return found


def _moment(parts: tuple[int, int, int], rest: str) -> int | None:
    """Milliseconds of a date and the clock behind it; None where there is no such moment."""
    day, clock = _day(*parts), _clock(rest)
    return None if day is None or clock is None else day + clock


@lru_cache(maxsize=4096)
def _day(year: int, month: int, day: int) -> int | None:
    try:
        return (date(year, month, day) - date(1970, 1, 1)).days * _DAY_MS
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _clock(rest: str) -> int | None:
    """Milliseconds since midnight UTC of a time of day with an optional zone; midnight where there is none."""
    match = _CLOCK.fullmatch(rest)
    if match is None:
        return None
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    if match["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (match["half"].lower() == "pm")
    if hour > 23 or minute > 59 or second > 59:
        return None
    shift = int(match["hours"] or 0) * 60 + int(match["minutes"] or 0)
    if shift > _FARTHEST or int(match["minutes"] or 0) > 59:
        return None
    minutes = hour * 60 + minute + (shift if match["sign"] == "-" else -shift)
    return (minutes * 60 + second) * 1_000 + int((match["part"] or "0")[:3].ljust(3, "0"))


def _in_order(
    found: np.ndarray,
    swapped: dict[int, tuple[int | None, int | None]],
    texts: Sequence[str],
    date_format: str | None,
) -> np.ndarray:
    """All moments, with one order of day and month for the whole column."""
    orders = (DAY_FIRST, MONTH_FIRST) if date_format is None else (date_format,)
    rows = list(swapped)
    readings = []
    for order in orders:
        read = [swapped[row][order == MONTH_FIRST] for row in rows]
        if None not in read:
            readings.append(found.copy())
            readings[-1][rows] = read
    if not readings:
        row = next(row for row in rows if None in swapped[row])
        rule = " in the order of day and month of the other rows" if any(swapped[row]) else ""
        raise UnreadableError(row, f"{texts[row]!r:.60} is not a date{rule}.")
    if len(readings) == 2 and (readings[0] != readings[1]).any():
        readings = [one for one in readings if _regular(one)]
        if len(readings) != 1:
            row = next(row for row in rows if swapped[row][0] != swapped[row][1])
            raise UnreadableError(
                row,
                f"{texts[row]!r:.60} can be read with the day or with the month first. Say which: "
                "--date-format day-first or month-first (of imports and statements), or write 2025-01-31.",
            )
    return readings[0]


def _regular(moments: np.ndarray) -> bool:
    """Whether the moments, in order of time, follow each other in equal steps."""
    steps = np.diff(np.sort(moments))
    return bool(steps.size and steps[0] > 0 and (steps == steps[0]).all())
