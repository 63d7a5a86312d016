"""The moment of a decision, and whether the bars reach it."""

from typing import Any

import numpy as np

from gearing.export.bundle.files import BundleError
from gearing.export.bundle.manifest import Manifest
from gearing.market.timing import parse_duration, stamp
from gearing.simulation.tape import decision_bars

LAST_BAR = "last-bar"  # instead of a moment, for back-testing: decide at the end of the bars
MAX_AGE = "1bar"
TOLERANCE = np.timedelta64(60_000, "ms")  # that a venue takes to publish a bar, and that clocks differ by
_MONDAY = 4 * 86_400_000  # milliseconds to 1970-01-05, from which decisions count
_ADVICE = (
    f"Give the present moment, UTC (now=, --now 2024-07-01T08:00); only to decide on old bars, {LAST_BAR!r}."
)


def read_moment(now: Any) -> np.datetime64 | None:
    """Moment of the decision, UTC; None for `LAST_BAR`.

    Raises
    ------
    BundleError
        If it is missing or no moment.
    """
    if isinstance(now, str) and now == LAST_BAR:
        return None
    if now is None or (isinstance(now, str) and not now.strip()):
        raise BundleError(
            f"now is missing, and old bars must not be decided on by accident. {_ADVICE}", "moment"
        )
    try:
        return stamp(now, "now")
    except ValueError as error:
        raise BundleError(f"{error} {_ADVICE}") from error


def longest_age(max_age: str | None, bar: np.timedelta64) -> np.timedelta64:
    """Longest time from the newest close to the decision; None is `MAX_AGE`.

    Raises
    ------
    BundleError
        For what is no positive duration.
    """
    given = MAX_AGE if max_age is None else max_age
    try:
        longest = parse_duration(given, bar)
    except ValueError as error:
        raise BundleError(f"max_age: {error}") from error
    if not np.timedelta64(0, "ms") < longest:
        raise BundleError(f"max_age {given!r} is zero; give a positive duration such as '1bar' or '2h'.")
    return longest


def check_fresh(
    last_open: dict[str, np.datetime64],
    bar: np.timedelta64,
    interval: np.timedelta64,
    now: np.datetime64,
    max_age: str | None,
) -> None:
    """Check that the bars of every contract reach the moment of the decision, and not beyond.

    The bar that contains the moment may be among them; it is left out.

    Parameters
    ----------
    last_open : mapping of symbol to datetime64[ms]
        Opening of its last bar.
    max_age : str or None
        Longest time from the close of the last whole bar to ``now``, `TOLERANCE` aside; None is `MAX_AGE`: the bar
        that closed last before ``now`` must be there.

    Raises
    ------
    BundleError
        For bars that are too old, of a later time, or that lack the close at which a decision is due.
    """
    allowed, length = MAX_AGE if max_age is None else max_age, bar.astype("timedelta64[ms]")
    longest = longest_age(max_age, length)
    for symbol, opened in last_open.items():
        if opened > now + TOLERANCE:
            raise BundleError(
                f"bars of {symbol}: the last opens at {opened} UTC, after {now} UTC: the clock is behind, or the bars "
                "are of a later time. Give the present moment, and the bars known by then.",
                "clock",
            )
        closed = opened + length if opened + length <= now else opened
        if now - closed > longest + TOLERANCE:
            raise BundleError(
                f"bars of {symbol}: the last whole bar closes at {closed} UTC, {_hours(now - closed)} before {now} "
                f"UTC; more than {allowed} is too old to decide on. Fetch newer bars, or allow more (max_age=, "
                "--max-age).",
                "stale",
            )
        _check_due(symbol, closed, length, interval, now, longest)


def _check_due(
    symbol: str,
    closed: np.datetime64,
    bar: np.timedelta64,
    interval: np.timedelta64,
    now: np.datetime64,
    longest: np.timedelta64,
) -> None:
    """Refuse bars that lack the last close at which a decision is due, unless the one before is new enough."""
    newest, within = int((now - closed) // bar), int(interval // bar)
    if newest < 1:
        return
    later = closed + np.arange(max(1, newest - within + 1), newest + 1) * bar
    due = later[decision_bars(later, interval, bar)]
    if due.size == 0:
        return
    earlier = closed - np.arange(within) * bar
    before = earlier[decision_bars(earlier, interval, bar)]
    if before.size == 0 or now - before[0] > longest:
        raise BundleError(
            f"bars of {symbol}: a decision is due at {due[-1]} UTC, but the last whole bar closes at {closed} UTC; "
            "fetch the bar that closes then.",
            "stale",
        )


def _hours(length: np.timedelta64) -> str:
    return f"{length / np.timedelta64(3_600_000, 'ms'):.1f} h"


def due_before(moment: np.datetime64, manifest: Manifest) -> np.datetime64:
    """The last moment, not after the given one, at which a decision is due."""
    interval = int(parse_duration(manifest.config.decision_interval).astype(np.int64))
    since = int(moment.astype("datetime64[ms]").astype(np.int64)) - _MONDAY
    return np.datetime64(_MONDAY + since // interval * interval, "ms")
