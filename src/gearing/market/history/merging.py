"""Join series of several sources: rows that agree are one, rows that disagree are refused unless one side is chosen."""

import dataclasses
from pathlib import Path

import numpy as np

from gearing.market.history import layout
from gearing.market.history.layout import PRICES
from gearing.market.history.series import Bars
from gearing.market.timing import text

_CHOICE = "Give --replace (replace=True) to take the new rows, or choose another folder or venue."
_CLOSE = 1e-12  # relative difference of equal numbers that different programs read from text


class DisagreementError(ValueError):
    """Two sources hold different values for the same moments."""


def merged_bars(first: Bars, second: Bars, prefer_second: bool = False) -> Bars:
    """Bars of both, in order of time.

    Parameters
    ----------
    first, second : Bars
        Each ascending, each stamp once.
    prefer_second : bool
        Take the second's rows where they disagree.

    Raises
    ------
    DisagreementError
        Naming the first row that differs, unless ``prefer_second``; or where only one has volumes.
    """
    if (first.volume is None) != (second.volume is None):
        bare = first if first.volume is None else second
        raise DisagreementError(
            f"{bare.where} has no volume, {(second if bare is first else first).where} has one."
        )
    time, rows = _joined_times(first.open_time, second.open_time)
    prices = np.concatenate([first.prices, second.prices])
    volume = None
    values = prices
    names: tuple[str, ...] = PRICES
    if first.volume is not None and second.volume is not None:
        volume = np.concatenate([first.volume, second.volume])
        values, names = np.column_stack([prices, volume]), (*PRICES, "volume")
    if not prefer_second:
        _check_agreement(time, rows, values, names, (first.where, second.where))
    chosen = _chosen(rows, prefer_second)
    return dataclasses.replace(
        first, open_time=time, prices=prices[chosen], volume=None if volume is None else volume[chosen]
    )


def merged_funding(
    first: np.ndarray, second: np.ndarray, names: tuple[str, str], prefer_second: bool = False
) -> np.ndarray:
    """Settlements of both, as :func:`merged_bars` joins bars; a mark that only one knows is taken from it.

    Parameters
    ----------
    names : tuple of str
        Where they come from, for messages.
    """
    time, rows = _joined_times(first["time"], second["time"])
    both = np.concatenate([first, second])
    if not prefer_second:
        _check_agreement(time, rows, both["rate"][:, None], ("rate",), names)
    found = both[_chosen(rows, prefer_second)]
    other = both[_chosen(rows, not prefer_second)]
    unknown = np.isnan(found["mark"])
    found["mark"][unknown] = other["mark"][unknown]
    return found


def with_stored_bars(path: Path, bars: Bars, replace: bool, volume: bool = True) -> Bars:
    """Bars of a file of the folder, if it exists, and more of them; ``replace`` prefers these where they disagree."""
    if not path.is_file():
        return bars
    try:
        return merged_bars(layout.read_bars(path, volume=volume), bars, replace)
    except DisagreementError as error:
        raise DisagreementError(f"{error} {_CHOICE}") from None


def with_stored_funding(path: Path, rates: np.ndarray, where: str, replace: bool) -> np.ndarray:
    """Settlements of a file of the folder, if it exists, and more of them, as :func:`with_stored_bars`."""
    if not path.is_file():
        return rates
    try:
        return merged_funding(layout.read_funding(path), rates, (str(path), where), replace)
    except DisagreementError as error:
        raise DisagreementError(f"{error} {_CHOICE}") from None


def each_once(bars: Bars) -> tuple[Bars, int]:
    """Bars without rows that repeat another, and how many there were; repeated stamps that differ are refused."""
    first = np.append(True, np.diff(bars.open_time) > np.timedelta64(0, "ms"))
    if first.all():
        return bars, 0
    source = np.flatnonzero(first)[np.cumsum(first) - 1]
    values = bars.prices if bars.volume is None else np.column_stack([bars.prices, bars.volume])
    if (bad := ~_equal(values, values[source]).all(axis=1)).any():
        raise DisagreementError(
            f"{bars.where}: {text(bars.open_time[bad.argmax()])} is repeated with other values."
        )
    volume = None if bars.volume is None else bars.volume[first]
    merged = dataclasses.replace(
        bars, open_time=bars.open_time[first], prices=bars.prices[first], volume=volume
    )
    return merged, int((~first).sum())


def _joined_times(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All moments, and the row of each in either, -1 where it has none, counted through both, shape (n, 2)."""
    time = np.union1d(first, second)
    rows = np.full((time.size, 2), -1)
    rows[np.searchsorted(time, first), 0] = np.arange(first.size)
    rows[np.searchsorted(time, second), 1] = first.size + np.arange(second.size)
    return time, rows


def _chosen(rows: np.ndarray, prefer_second: bool) -> np.ndarray:
    best, other = (rows[:, 1], rows[:, 0]) if prefer_second else (rows[:, 0], rows[:, 1])
    return np.where(best >= 0, best, other)


def _check_agreement(
    time: np.ndarray, rows: np.ndarray, values: np.ndarray, fields: tuple[str, ...], names: tuple[str, str]
) -> None:
    shared = np.flatnonzero((rows >= 0).all(axis=1))
    ours, theirs = values[rows[shared, 0]], values[rows[shared, 1]]
    bad = ~_equal(ours, theirs)
    if bad.any():
        row, field = np.argwhere(bad)[0]
        count = int(bad.any(axis=1).sum())
        raise DisagreementError(
            f"{names[1]} disagrees with {names[0]} in {count} of {shared.size} common rows, first at "
            f"{text(time[shared[row]])} UTC: {fields[field]} {theirs[row, field]}, there {ours[row, field]}."
        )


def _equal(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    return np.isclose(ours, theirs, rtol=_CLOSE, atol=0.0, equal_nan=True)
