"""Checks of single series: gaps, duplicates, grid, OHLC, outliers, funding intervals, coverage."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from gearing.market.history.series import Bars, missing_settlements, runs
from gearing.market.timing import HOUR, label, text

RETURN_SD = 25.0  # a close that moves this many usual standard deviations and back is an outlier
LARGE_RATE = 0.03  # the usual cap of a funding rate
WICK = 0.01  # mark low above the traded low by this fraction
MARK_GAP = 0.02  # distance of mark close from traded close


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


def flagged(
    level: str, file: str, rule: str, time: np.ndarray, bad: np.ndarray, detail: str = ""
) -> Iterator[Finding]:
    """One finding of all rows flagged as bad, from the first to the last; none where no row is.

    Parameters
    ----------
    time, bad : datetime64[ms] and bool arrays of equal length
    """
    if bad.any():
        yield Finding(level, file, rule, *span(time[bad][0], time[bad][-1]), int(bad.sum()), detail)


def check_bars(bars: Bars, bar: np.timedelta64, name: str, has_volume: bool) -> list[Finding]:
    """All findings of one file of bars."""
    if bars.open_time.size == 0:
        return [Finding("error", name, "empty")]
    found = list(_check_order(bars.open_time, bar, name))
    order = np.argsort(bars.open_time, kind="stable")
    time, prices = bars.open_time[order], bars.prices[order]
    found += check_gaps(time, bar, name)
    found += _check_prices(time, prices, name)
    found += _check_outliers(time, prices, name)
    if has_volume:
        found += _check_volume(time, None if bars.volume is None else bars.volume[order], name)
    return found


def _check_order(time: np.ndarray, bar: np.timedelta64, name: str) -> Iterator[Finding]:
    yield from flagged("error", name, "not sorted", time[:-1], np.diff(time) < np.timedelta64(0, "ms"))
    ordered = np.sort(time)
    repeated = np.isin(time, ordered[1:][ordered[1:] == ordered[:-1]])
    yield from flagged("error", name, "duplicate stamp", time, repeated)
    off = time.astype(np.int64) % int(bar.astype(np.int64)) != 0
    detail = f"stamps are not multiples of {label(bar)} UTC"
    yield from flagged("error", name, "off the grid", time, off, detail)


def check_gaps(time: np.ndarray, bar: np.timedelta64, name: str) -> Iterator[Finding]:
    """A finding for every gap between ascending bars."""
    for k in np.flatnonzero(np.diff(time) > bar):
        lost = int((time[k + 1] - time[k]) / bar) - 1
        if lost > 0:
            yield Finding(
                "warning", name, "gap", *span(time[k] + bar, time[k + 1] - bar), lost, "bars missing"
            )


def _check_prices(time: np.ndarray, prices: np.ndarray, name: str) -> Iterator[Finding]:
    bad = ~(np.isfinite(prices) & (prices > 0.0)).all(axis=1)
    yield from flagged("error", name, "price not positive", time, bad)
    opened, high, low, close = prices.T
    broken = ~bad & ((high < np.maximum(opened, close)) | (low > np.minimum(opened, close)))
    yield from flagged("error", name, "OHLC violation", time, broken, "low <= open, close <= high")


def _check_outliers(time: np.ndarray, prices: np.ndarray, name: str) -> Iterator[Finding]:
    """Closes that jump far and reverse at once: more likely a wrong print than a move."""
    if time.size < 50:
        return
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.diff(np.log(prices[:, 3]))
    there, back = r[:-1], r[1:]
    limit = RETURN_SD * 1.25 * np.nanmedian(np.abs(r[r != 0.0])) if (r != 0.0).any() else np.inf
    bounce = (np.abs(there) > limit) & (np.abs(back) > limit) & (np.abs(there + back) < 0.3 * np.abs(there))
    for k in np.flatnonzero(bounce):
        detail = f"close moves by {there[k]:+.1%} and back by {back[k]:+.1%}"
        yield Finding("warning", name, "outlier", *span(time[k + 1], time[k + 1]), 1, detail)


def _check_volume(time: np.ndarray, volume: np.ndarray | None, name: str) -> Iterator[Finding]:
    if volume is None:
        yield Finding("warning", name, "no volume")
        return
    yield from flagged("error", name, "volume negative", time, ~(volume >= 0.0))
    yield from flagged("note", name, "no trading", time, volume == 0.0, "bars of zero volume")


def check_funding(
    times: np.ndarray, rates: np.ndarray, marks: np.ndarray | None, name: str, interval: np.timedelta64
) -> list[Finding]:
    """All findings of one file of settlements."""
    if times.size == 0:
        return [Finding("error", name, "empty")]
    found = list(_check_order(times, np.timedelta64(1, "ms"), name))
    order = np.argsort(times, kind="stable")
    times, rates = times[order], rates[order]
    found += flagged("error", name, "rate not a number", times, ~np.isfinite(rates))
    if marks is not None:
        wrong = ~np.isnan(marks) & ~((marks > 0.0) & np.isfinite(marks))
        found += flagged("error", name, "mark not positive", times, wrong[order])
    detail = f"rates of {LARGE_RATE:.0%} and more; are they fractions?"
    found += flagged("warning", name, "large rate", times, np.abs(rates) >= LARGE_RATE, detail)
    found += _check_intervals(times, name, interval)
    return found


def _check_intervals(times: np.ndarray, name: str, interval: np.timedelta64) -> Iterator[Finding]:
    due = missing_settlements(times, times[0], times[-1] + interval, interval)
    for first, last in runs(np.isin(_clock(due, interval), due)) if due.size else []:
        part = _clock(due, interval)[first:last]
        yield Finding("warning", name, "gap", *span(part[0], part[-1]), part.size, "settlements missing")
    off = times.astype(np.int64) % int(HOUR.astype(np.int64)) != 0
    yield from flagged("note", name, "off the hour", times, off)
    phase = times.astype(np.int64) % int(interval.astype(np.int64))
    usual = np.bincount((phase // 3_600_000).astype(int)).argmax() * 3_600_000
    hours = ", ".join(f"{h:g}" for h in np.unique(np.diff(times)[np.diff(times) < interval] / HOUR))
    detail = f"settlements away from the usual clock (intervals of {hours} h)" if hours else "odd hours"
    yield from flagged("note", name, "funding interval changes", times, (phase != usual) & ~off, detail)
    if usual:
        yield Finding(
            "note", name, "funding clock", detail=f"settles {usual / 3_600_000:g} h after 00, 08 and 16 UTC"
        )


def _clock(due: np.ndarray, interval: np.timedelta64) -> np.ndarray:
    """The regular clock from the first to the last missing settlement, with the irregular ones among them."""
    return np.union1d(np.arange(due[0], due[-1] + interval, interval), due)


def check_coverage(
    name: str,
    bars: Mapping[tuple[str, np.timedelta64], Bars],
    funding: np.ndarray | None,
    interval: np.timedelta64,
) -> Iterator[Finding]:
    """Traded bars without a mark price of the same length or finer, without funding, or without traded price."""
    last = [(bar, b) for (kind, bar), b in bars.items() if kind == "last" and b.open_time.size]
    if not last:
        yield Finding("error", name, "no traded bars")
        return
    bar, traded = max(last, key=lambda pair: pair[0])
    time = np.unique(traded.open_time)
    yield from _mark_coverage(name, bars, bar, time)
    if funding is None:
        yield Finding("warning", name, "no funding", *span(time[0], time[-1]), time.size)
        return
    yield from flagged("warning", name, "traded bars before funding", time, time < funding[0] - interval)
    yield from flagged("warning", name, "traded bars after funding", time, time > funding[-1] + interval)
    yield from flagged("note", name, "funding before the first traded bar", funding, funding < time[0])


def _mark_coverage(
    name: str, bars: Mapping[tuple[str, np.timedelta64], Bars], bar: np.timedelta64, time: np.ndarray
) -> Iterator[Finding]:
    marks = {b: m for (kind, b), m in bars.items() if kind == "mark" and m.open_time.size}
    fitting = {b: m for b, m in marks.items() if b <= bar}
    if not marks:
        yield Finding("warning", name, "no mark price", *span(time[0], time[-1]), time.size)
        return
    covered = np.zeros(time.size, bool)
    for b, m in fitting.items():
        covered |= np.isin(time, m.grouped(b, bar).open_time)
    for first, last in runs(~covered):
        coarse = [label(b) for b, m in marks.items() if b > bar and m.open_time[-1] >= time[first]]
        detail = f"only {', '.join(coarse)} mark bars" if coarse else "no mark bars"
        where = span(time[first], time[last - 1])
        yield Finding("warning", name, "traded bars without mark", *where, last - first, detail)
    for b, m in marks.items():
        early, detail = m.open_time < time[0], f"{label(b)} mark bars"
        yield from flagged("note", name, "mark before the first traded bar", m.open_time, early, detail)


def check_prices_agree(name: str, bars: Mapping[tuple[str, np.timedelta64], Bars]) -> Iterator[Finding]:
    """Mark against traded price, and finer bars against the longer ones they should add up to."""
    for (kind, bar), marked in bars.items():
        traded = bars.get(("last", bar))
        if kind == "mark" and traded is not None:
            yield from _mark_against_last(name, label(bar), traded, marked)
    last = sorted((bar, b) for (kind, bar), b in bars.items() if kind == "last")
    for k, (bar, finer) in enumerate(last):
        for longer_bar, longer in last[k + 1 :]:
            if longer_bar % bar == np.timedelta64(0, "ms") and finer.open_time.size and longer.open_time.size:
                yield from _finer_against_longer(name, bar, finer, longer_bar, longer)


def _mark_against_last(name: str, length: str, traded: Bars, marked: Bars) -> Iterator[Finding]:
    _, i, j = np.intersect1d(traded.open_time, marked.open_time, return_indices=True)
    if i.size == 0:
        return
    time, last, mark = traded.open_time[i], traded.prices[i], marked.prices[j]
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.abs(mark[:, 3] / last[:, 3] - 1.0) > MARK_GAP
        wick = (mark[:, 2] / last[:, 2] - 1.0 > WICK) | (last[:, 1] / mark[:, 1] - 1.0 > WICK)
    detail = f"{length} mark closes more than {MARK_GAP:.0%} off the traded close"
    yield from flagged("warning", name, "mark far from last", time, apart, detail)
    detail = f"{length} bars whose traded extreme lies more than {WICK:.0%} beyond the mark's"
    yield from flagged("note", name, "traded wick beyond mark", time, wick, detail)


def _finer_against_longer(
    name: str, bar: np.timedelta64, finer: Bars, longer_bar: np.timedelta64, longer: Bars
) -> Iterator[Finding]:
    if np.any(np.diff(finer.open_time) <= np.timedelta64(0, "ms")):
        return
    grouped = finer.grouped(bar, longer_bar)
    time, i, j = np.intersect1d(grouped.open_time, longer.open_time, return_indices=True)
    differ = (np.abs(grouped.prices[i] / longer.prices[j] - 1.0) > 1e-9).any(axis=1)
    detail = f"{label(bar)} bars do not add up to {label(longer_bar)} bars ({differ.sum()} of {time.size})"
    yield from flagged("note", name, "finer bars disagree", time, differ, detail)
