"""Align the series of several contracts on one grid, choose the span and fill or refuse gaps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gearing.market.data import MarketData, settlement_array, sorted_settlements
from gearing.market.history.series import Bars, Series, bars_of, missing_settlements, runs
from gearing.market.timing import DAY, label, stamp, text


@dataclass(frozen=True)
class Missing:
    """How to fill missing data; "error" refuses, other choices are noted in ``MarketData.notes``.

    Funding of "median" is the median rate of those of the market's contracts that settle at the same moment.
    """

    mark: Literal["error", "last"] = "error"
    funding: Literal["error", "zero", "median"] = "error"
    tiers: Literal["error", "earliest"] = "error"

    def __post_init__(self) -> None:
        for name, allowed in (("mark", ("last",)), ("funding", ("zero", "median")), ("tiers", ("earliest",))):
            if getattr(self, name) not in ("error", *allowed):
                fills = " or ".join(map(repr, allowed))
                raise ValueError(f"missing_{name} is 'error' or {fills}, not {getattr(self, name)!r}.")


def assemble(
    series: Sequence[Series],
    bar: np.timedelta64,
    start: Any,
    end: Any,
    missing: Missing,
    interval: np.timedelta64,
    venue: str,
    name: str,
) -> MarketData:
    """Build a market from the series of its contracts, all of bars of length ``bar``.

    Without ``start`` and ``end`` the longest span is taken in which every contract is complete; with one of
    them, the other side is the end of the common traded prices.

    Raises
    ------
    ValueError
        Naming file or argument, stamp, rule and value, and what to do about it.
    """
    grid = _grid(series, bar)
    first, last, notes = _span(series, grid, bar, start, end, missing, interval)
    open_time = grid[first:last]
    columns = [_Column(one, open_time, bar, missing, interval) for one in series]
    for column in columns:
        notes += column.fill()
    return MarketData(
        open_time=open_time,
        bar=bar,
        contracts=tuple(one.contract for one in series),
        last=np.stack([c.last for c in columns], axis=1),
        mark=np.stack([c.mark for c in columns], axis=1),
        volume=np.stack([c.volume for c in columns], axis=1),
        settlements=_settlements(columns, open_time[0], open_time[-1] + bar),
        tradable=np.stack([c.live for c in columns], axis=1),
        index=_optional([c.index for c in columns]),
        implied_volatility=_optional([c.implied_volatility for c in columns]),
        name=name,
        venue=venue,
        notes=tuple(notes),
    )


def _grid(series: Sequence[Series], bar: np.timedelta64) -> np.ndarray:
    first = min(one.last.open_time[0] for one in series)
    last = max(one.last.open_time[-1] for one in series)
    return np.arange(first, last + bar, bar)


def _span(
    series: Sequence[Series],
    grid: np.ndarray,
    bar: np.timedelta64,
    start: Any,
    end: Any,
    missing: Missing,
    interval: np.timedelta64,
) -> tuple[int, int, list[str]]:
    low = max(one.last.open_time[0] for one in series) if start is None else stamp(start)
    high = min(one.last.open_time[-1] for one in series) + bar if end is None else stamp(end)
    names = ", ".join(one.symbol for one in series)
    if start is None and end is None:
        complete = np.all([_complete(one, grid, bar, missing, interval) for one in series], axis=0)
        if spans := runs(complete):
            first, last = max(spans, key=lambda span: span[1] - span[0])
            note = f"longest complete span: {text(grid[first])} to {text(grid[last - 1] + bar)} UTC"
            return first, last, [note]
        if low >= high:
            raise ValueError(f"{names} have no bar in common; load them one by one.")
        # take all common bars: the error then names what is missing first
    first, last = (int(k) for k in np.searchsorted(grid, [low, high]))
    if first >= last or low < grid[0] or high > grid[-1] + bar:
        raise ValueError(
            f"{names}: bars reach from {text(grid[0])} to {text(grid[-1] + bar)} UTC, "
            f"requested [{text(low)}, {text(high)}). Choose a span inside."
        )
    return first, last, []


def _complete(
    one: Series, grid: np.ndarray, bar: np.timedelta64, missing: Missing, interval: np.timedelta64
) -> np.ndarray:
    good = np.isin(grid, one.last.open_time)
    if missing.mark == "error":
        good &= np.isin(grid, one.mark.open_time) if one.mark is not None else False
    if missing.funding == "error":
        good &= ~_unfunded(_times(one), grid, bar, interval)
    if missing.tiers == "error" and (as_of := one.contract.schedules[0].as_of) is not None:
        good &= grid >= np.datetime64(as_of)
    return good


def _unfunded(
    times: np.ndarray, grid: np.ndarray, bar: np.timedelta64, interval: np.timedelta64
) -> np.ndarray:
    """Bars in which a settlement is missing, and all bars between two missing ones, shape (n_bars,)."""
    if times.size == 0:
        return np.ones(grid.size, bool)
    due = missing_settlements(times, grid[0], grid[-1] + bar, interval)
    lost = bars_of(due, grid)
    for k in np.flatnonzero(np.diff(due) <= interval):
        a, b = np.searchsorted(grid, due[k : k + 2], side="right")
        lost[a:b] = True
    return lost


@dataclass
class _Column:
    """The arrays of one contract on the market's grid."""

    one: Series
    open_time: np.ndarray
    bar: np.timedelta64
    missing: Missing
    interval: np.timedelta64

    def __post_init__(self) -> None:
        self.last, self.volume, have = place(self.one.last, self.open_time)
        self.live = self._lifetime(have)
        self.mark = self.last.copy()
        self.index: np.ndarray | None = None
        self.implied_volatility = self._implied_volatility()

    def fill(self) -> list[str]:
        """Fill or refuse missing data; returns notes of what was done."""
        return [*self._fill_mark(), *self._check_funding(), *self._check_tiers(), *self._fill_index()]

    def _lifetime(self, have: np.ndarray) -> np.ndarray:
        if not have.any():
            first, end = self.open_time[0], self.open_time[-1] + self.bar
            raise ValueError(f"{self.one.last.where}: no bar between {text(first)} and {text(end)} UTC.")
        known = np.flatnonzero(have)
        live = np.zeros(have.size, bool)
        live[known[0] : known[-1] + 1] = True
        if (hole := live & ~have).any():
            a, b = runs(hole)[0]
            raise ValueError(
                f"{self.one.last.where}: {b - a} bar(s) of {label(self.bar)} missing from "
                f"{text(self.open_time[a])} to {text(self.open_time[b - 1])} ({hole.sum()} in all). "
                "Choose another period, or leave start and end out for the longest complete span."
            )
        return live

    def _fill_mark(self) -> list[str]:
        where = self.one.mark.where if self.one.mark is not None else f"{self.one.last.where}: no mark bars"
        prices, _, have = place(self.one.mark, self.open_time)
        self.mark[have & self.live] = prices[have & self.live]
        lost = self.live & ~have
        if not lost.any():
            return []
        a, b = runs(lost)[0]
        span = f"{text(self.open_time[a])} to {text(self.open_time[b - 1] + self.bar)}"
        if self.missing.mark == "error":
            raise ValueError(
                f"{self.one.symbol} has no mark price of {label(self.bar)} bars or finer from {span} "
                f'({lost.sum()} bars in all; {where}). Load with missing_mark="last" to liquidate on the '
                "traded price (conservative), or choose another period."
            )
        return [
            f"{self.one.symbol}: traded price replaces the mark price in {lost.sum()} of {lost.size} bars"
        ]

    @property
    def unsettled(self) -> np.ndarray:
        """Moments within the contract's life at which a settlement is due but absent."""
        alive = self.open_time[self.live]
        return missing_settlements(_times(self.one), alive[0], alive[-1] + self.bar, self.interval)

    def _check_funding(self) -> list[str]:
        due = self.unsettled
        if due.size == 0:
            return []
        jump = np.flatnonzero(np.diff(due) > self.interval)
        stop = jump[0] if jump.size else due.size - 1
        if self.missing.funding == "error":
            raise ValueError(
                f"{self.one.symbol} has no funding rate from {text(due[0])} to {text(due[stop])} "
                f"({stop + 1} settlements; {due.size} in all; {self.one.funding_where}). Load with "
                'missing_funding="zero" to treat them as zero, or choose another period.'
            )
        how = (
            "count as zero"
            if self.missing.funding == "zero"
            else "have the median rate of the other contracts"
        )
        return [f"{self.one.symbol}: {due.size} missing settlements {how}"]

    def _check_tiers(self) -> list[str]:
        as_of = self.one.contract.schedules[0].as_of
        if as_of is None:
            return [
                f"{self.one.symbol}: margin tiers are not dated ({self.one.contract.schedules[0].source})"
            ]
        if self.one.contract.knows_tiers_at(self.open_time[self.live][0]):
            return []
        if self.missing.tiers == "error":
            raise ValueError(
                f"{self.one.symbol}: the oldest margin tiers are of {as_of}, the bars begin at "
                f'{text(self.open_time[self.live][0])}. Load with missing_tiers="earliest" to use them for '
                "the earlier bars, or choose a later start."
            )
        return [f"{self.one.symbol}: margin tiers of {as_of} are used for all earlier bars"]

    def _fill_index(self) -> list[str]:
        if self.one.index is None:
            return []
        prices, _, have = place(self.one.index, self.open_time)
        if (self.live & ~have).any():
            return [f"{self.one.symbol}: index price left out, {(self.live & ~have).sum()} bars are missing"]
        self.index = np.where(self.live[:, None], prices, np.nan)
        return []

    def _implied_volatility(self) -> np.ndarray | None:
        if self.one.implied_volatility is None:
            return None
        known_at, values = self.one.implied_volatility
        close = self.open_time + self.bar
        row = np.searchsorted(known_at, close, side="right") - 1
        fresh = (row >= 0) & (close - known_at[np.maximum(row, 0)] < 2 * DAY)
        return np.where(fresh, values[np.maximum(row, 0)], np.nan)


def place(bars: Bars | None, open_time: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Align bars to a grid: prices (n_bars, 4), NaN where missing, volume, zero there, and a mask of rows present."""
    prices, volume = np.full((open_time.size, 4), np.nan), np.zeros(open_time.size)
    if bars is None:
        return prices, volume, np.zeros(open_time.size, bool)
    row = np.searchsorted(bars.open_time, open_time)
    have = row < bars.open_time.size
    have[have] = bars.open_time[row[have]] == open_time[have]
    prices[have] = bars.prices[row[have]]
    if bars.volume is not None:
        volume[have] = bars.volume[row[have]]
    return prices, volume, have


def _settlements(columns: Sequence[_Column], start: np.datetime64, end: np.datetime64) -> np.ndarray:
    """Settlements of all contracts in [start, end), those included that are filled with the median rate."""
    parts = []
    for k, column in enumerate(columns):
        if column.one.funding is None:
            continue
        rows = column.one.funding
        rows = rows[(rows["time"] >= start) & (rows["time"] < end)]
        parts.append(settlement_array(rows["time"], k, rows["rate"], rows["mark"]))
    known = sorted_settlements(parts)
    if columns[0].missing.funding != "median":
        return known
    return sorted_settlements([known, *_median_settlements(columns, known)])


def _median_settlements(columns: Sequence[_Column], known: np.ndarray) -> list[np.ndarray]:
    """Missing settlements of every contract, where others settle at the same moment: at their median rate."""
    moments, first = np.unique(known["time"], return_index=True)
    if moments.size == 0:
        return []
    medians = np.array([np.median(rates) for rates in np.split(known["rate"], first[1:])])
    parts = []
    for k, column in enumerate(columns):
        due = column.unsettled
        place = np.minimum(np.searchsorted(moments, due), moments.size - 1)
        found = moments[place] == due
        parts.append(settlement_array(due[found], k, medians[place[found]], np.nan))
    return parts


def _times(one: Series) -> np.ndarray:
    return np.empty(0, "datetime64[ms]") if one.funding is None else one.funding["time"]


def _optional(columns: list[np.ndarray | None]) -> np.ndarray | None:
    """Stack a column, NaN for contracts without it; None if no contract has it."""
    present = [c for c in columns if c is not None]
    if not present:
        return None
    if present[0].ndim == 2 and len(present) < len(columns):
        return None  # an index price is required for all or for none
    return np.stack([np.full_like(present[0], np.nan) if c is None else c for c in columns], axis=1)
