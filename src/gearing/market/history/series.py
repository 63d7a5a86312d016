"""Raw series of one contract, before they are aligned: bars of one kind and settlements."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gearing.contracts import Contract
from gearing.market.timing import label, text
from gearing.market.validate import check_ohlc

ZERO = np.timedelta64(0, "ms")
FUNDING_DTYPE = np.dtype([("time", "datetime64[ms]"), ("rate", "f8"), ("mark", "f8")])


@dataclass(frozen=True)
class Bars:
    """Bars of one kind, possibly with gaps.

    Parameters
    ----------
    open_time : datetime64[ms] array, shape (n,)
    prices : float64 array, shape (n, 4)
        Open, high, low, close.
    volume : float64 array, shape (n,), or None
    where : str
        File or argument the bars came from, for messages.
    """

    open_time: np.ndarray
    prices: np.ndarray
    volume: np.ndarray | None
    where: str

    def checked(self, bar: np.timedelta64) -> Bars:
        """Return self; unsorted, repeated or off-grid stamps, longer bars and impossible prices are refused."""
        time = self.open_time
        if time.size == 0:
            raise ValueError(f"{self.where}: has no rows.")
        off = time.astype(np.int64) % int(bar.astype(np.int64)) != 0
        if off.any():
            raise ValueError(
                f"{self.where}: row {int(off.argmax())}, {text(time[off.argmax()])} is off the grid of "
                f"{label(bar)} bars. open_time is the bar's opening, in UTC."
            )
        steps = np.diff(time)
        if (steps <= ZERO).any():
            row = int((steps <= ZERO).argmax())
            if steps[row] == ZERO:
                raise ValueError(f"{self.where}: {text(time[row])} is repeated; keep one of its rows.")
            raise ValueError(f"{self.where}: {text(time[row + 1])} follows {text(time[row])}; sort by time.")
        if steps.size and steps.min() > bar:
            raise ValueError(
                f"{self.where}: the bars are {label(steps.min())} apart, and {label(bar)} are expected; give bars of "
                "that length, or the length that they have (bar, --bar)."
            )
        check_ohlc(self.prices, time, self.where)
        return self

    def grouped(self, bar: np.timedelta64, into: np.timedelta64) -> Bars:
        """Aggregate to longer bars; a longer bar with a missing part is left out."""
        if bar == into:
            return self
        parts = int(into / bar)
        slot = self.open_time.astype(np.int64) // int(into.astype(np.int64))
        first = np.flatnonzero(np.diff(slot, prepend=slot[0] - 1))
        first = first[np.diff(np.append(first, slot.size)) == parts]
        rows = first[:, None] + np.arange(parts)
        volume = None if self.volume is None else self.volume[rows].sum(axis=1)
        return replace(
            self, open_time=self.open_time[first], prices=group_ohlc(self.prices[rows]), volume=volume
        )


def group_ohlc(prices: np.ndarray) -> np.ndarray:
    """Aggregate bars: prices of shape (n, parts, ..., 4) become (n, ..., 4)."""
    return np.stack(
        [prices[:, 0, ..., 0], prices[..., 1].max(axis=1), prices[..., 2].min(axis=1), prices[:, -1, ..., 3]],
        axis=-1,
    )


@dataclass(frozen=True)
class Series:
    """All series of one contract before they are aligned.

    Parameters
    ----------
    contract : Contract
    last : Bars
    mark, index : Bars or None
    funding : structured array with time, rate and mark, or None
    funding_where : str
        File or argument the settlements came from.
    implied_volatility : tuple of (known_at, value) arrays, or None
        Annualised; each value is known from its stamp on.
    """

    contract: Contract
    last: Bars
    mark: Bars | None = None
    index: Bars | None = None
    funding: np.ndarray | None = None
    funding_where: str = "funding"
    implied_volatility: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def symbol(self) -> str:
        return self.contract.symbol


def settlement_rows(time: np.ndarray, rate: np.ndarray, mark: np.ndarray | None, where: str) -> np.ndarray:
    """Settlements as one array; unsorted or repeated stamps, rates and marks that are none are refused."""
    rows = np.empty(time.size, FUNDING_DTYPE)
    rows["time"], rows["rate"] = time, rate
    rows["mark"] = np.nan if mark is None else mark
    if (bad := np.diff(time) <= np.timedelta64(0, "ms")).any():
        row = int(bad.argmax())
        if time[row + 1] == time[row]:
            raise ValueError(f"{where}: {text(time[row])} is repeated; keep one of its rows.")
        raise ValueError(
            f"{where}: {text(time[row + 1])} follows {text(time[row])} (row {row + 1}); sort by time."
        )
    if not np.isfinite(rows["rate"]).all():
        row = int((~np.isfinite(rows["rate"])).argmax())
        raise ValueError(f"{where}: rate at {text(time[row])} is {rate[row]}; drop the row or give a number.")
    unknown = np.isnan(rows["mark"])
    if (bad := ~unknown & ~((rows["mark"] > 0.0) & np.isfinite(rows["mark"]))).any():
        row = rows[int(bad.argmax())]
        raise ValueError(
            f"{where}: mark at {text(row['time'])} is {row['mark']}; give the mark price, or an empty cell where it is "
            "not known."
        )
    return rows


def missing_settlements(
    times: np.ndarray, start: np.datetime64, end: np.datetime64, interval: np.timedelta64
) -> np.ndarray:
    """Moments in [start, end) at which a settlement is due but absent.

    One is due an interval after its neighbour; shorter intervals (a venue in stress) miss none.

    Parameters
    ----------
    times : datetime64[ms] array, ascending
    interval : timedelta64
        The venue's usual interval between settlements.
    """
    if times.size == 0:
        first = start + (-start.astype(np.int64) % interval.astype(np.int64)).astype("timedelta64[ms]")
        return np.arange(first, end, interval)
    parts = [
        np.arange(times[0] - interval, start - interval, -interval)[::-1],
        np.arange(times[-1], end, interval)[1:],
    ]
    steps = np.round(np.diff(times) / interval).astype(int)
    parts += [times[k] + interval * np.arange(1, steps[k]) for k in np.flatnonzero(steps > 1)]
    due = np.sort(np.concatenate(parts))
    return due[(due >= start) & (due < end)]


def usual_step(time: np.ndarray) -> np.timedelta64:
    """The most frequent step between neighbouring stamps, of which there are at least two."""
    values, counts = np.unique(np.diff(time), return_counts=True)
    return values[counts.argmax()]


def whole_minutes(moments: np.ndarray) -> np.ndarray:
    """Round datetime64[ms] to the minute; settlements are stamped with some milliseconds of jitter."""
    minute = 60_000
    return ((moments.astype(np.int64) + minute // 2) // minute * minute).astype("datetime64[ms]")


def bars_of(moments: np.ndarray, open_time: np.ndarray) -> np.ndarray:
    """Mark the bars that contain one of the moments, shape (n_bars,)."""
    hit = np.zeros(open_time.size, bool)
    hit[np.searchsorted(open_time, moments, side="right") - 1] = True
    return hit


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Runs of True as (first, last + 1) pairs."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
