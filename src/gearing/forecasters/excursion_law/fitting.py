"""Fit the law of a pool walking forward: tables every month, the online calibration every day."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from gearing.forecasters.excursion_law.law import CALIBRATED, LEVELS, ExcursionLaw, multiples_at
from gearing.forecasters.excursion_law.scale import Array
from gearing.forecasters.excursion_law.starts import DailyStarts
from gearing.forecasters.excursion_law.tails import upper_quantiles

ENOUGH = 180  # starts of the pool, from which a horizon has a table
_YOUNG = 30.0  # days; starts of younger contracts do not enter a table
_WEEKDAYS_FROM = 365  # days of starts, from which weekdays differ
_WEEKS = 50.0  # weeks after which half of a weekday's difference counts
# Step of the calibration after a day whose share of exceedances is e: gain x (budget - e) / sqrt(budget) over the days
# of the horizon; the shift forgets a thousandth a day. Chosen on BTC, ETH, BNB, ADA, BCH and LINK before 2023.
GAIN, FORGET = 0.02, 0.001
# Shifts this small keep calibrated budgets in their order: ln 5 is the smallest step between two of them.
LARGEST_SHIFT = 0.75


def fit_law(starts: DailyStarts, *, calibrate: bool = True, weekdays: bool = True) -> ExcursionLaw:
    """The law of a pool of contracts.

    Parameters
    ----------
    starts : DailyStarts
        Of the pool; days before its first month have no table.
    calibrate : bool
        Whether the log budgets are calibrated online on the pool's own exceedances.
    weekdays : bool
        Whether the scale of a day depends on the weekday.
    """
    firsts = _firsts_of_months(starts.days)
    fit_of_day = np.searchsorted(firsts, np.arange(starts.days.size), side="right") - 1
    factors = np.stack([_weekdays(starts, first) for first in firsts]) ** float(weekdays)
    day_factor = factors[fit_of_day][np.arange(starts.days.size), :, _weekday(starts.days)].T
    with np.errstate(divide="ignore", invalid="ignore"):
        multiple = starts.excursion / (starts.scale * day_factor[:, None, :])[:, None]
    multiple = np.where(starts.age >= _YOUNG, multiple, np.nan)
    tables, worst = _tables(starts, multiple, firsts)
    law = ExcursionLaw(
        starts.symbols, starts.horizons, starts.days, tables, worst, factors, fit_of_day,
        shift=np.zeros((starts.days.size, len(starts.horizons), 2, len(CALIBRATED))),
        middle=_middle(starts), seen=_seen(starts), events=np.zeros((starts.days.size, len(starts.horizons), 2)),
        n_starts=np.cumsum(np.isfinite(starts.age).sum(axis=0)),
    )  # fmt: skip
    _walk(law, starts, multiple, calibrate)
    return law


def _firsts_of_months(days: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Indices of the first day and of every first of a month."""
    return np.flatnonzero(np.r_[True, np.diff(days.astype("datetime64[M]").astype(np.int64)) > 0])


def _weekday(days: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """0 for Monday."""
    return (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday


def _weekdays(starts: DailyStarts, first: int) -> Array:
    """Factor of the scale by weekday (n_horizons, 7), from starts that ended before a day; whole weeks have none."""
    factors = np.ones((len(starts.horizons), 7))
    for h, length in enumerate(starts.lengths):
        end = first - length + 1
        if length >= 7 or end < _WEEKDAYS_FROM:
            continue
        both = starts.excursion[h, :, :, :end].mean(axis=0) / starts.scale[h, :, :end]
        logs = np.where(both > 0.0, np.log(np.where(both > 0.0, both, 1.0)), np.nan)
        weekday = _weekday(starts.days[:end])
        means = np.array([_mean(logs[:, weekday == k]) for k in range(7)])
        weeks = end / 7.0
        factors[h] = np.exp((means - means.mean()) * weeks / (weeks + _WEEKS))
    return factors


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else 0.0


def _tables(starts: DailyStarts, multiple: Array, firsts: NDArray[np.int64]) -> tuple[Array, Array]:
    """Multiples at `LEVELS`, and the largest, of the starts that had ended at each first of a month."""
    n = len(starts.horizons)
    tables, worst = np.full((firsts.size, n, 2, len(LEVELS)), np.nan), np.full((firsts.size, n, 2), np.nan)
    for h, length in enumerate(starts.lengths):
        for s in range(2):
            for k, first in enumerate(firsts):
                past = multiple[h, s, :, : max(first - length + 1, 0)]
                sample = past[np.isfinite(past)]
                if sample.size >= ENOUGH:
                    tables[k, h, s] = upper_quantiles(sample, LEVELS)
                    worst[k, h, s] = sample.max()
    return tables, worst


def _middle(starts: DailyStarts) -> Array:
    """Median log scale of the pool's contracts (n_horizons, n_days); the last one known where none is traded."""
    with warnings.catch_warnings(), np.errstate(divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # days without a contract
        middle = np.nanmedian(np.log(starts.scale), axis=1)
    for row in middle:
        known = np.flatnonzero(np.isfinite(row))
        if known.size:
            row[:] = row[known[np.clip(np.searchsorted(known, np.arange(row.size), "right") - 1, 0, None)]]
    return middle


def _seen(starts: DailyStarts) -> Array:
    """Range of the pool's daily scale."""
    daily = starts.scale[0][np.isfinite(starts.scale[0]) & (starts.age >= _YOUNG)]
    return np.array([daily.min(), daily.max()]) if daily.size else np.array([0.0, np.inf])


def _walk(law: ExcursionLaw, starts: DailyStarts, multiple: Array, calibrate: bool) -> None:
    """Fill shifts and events, in place: every day learns from the starts that ended at it."""
    n_horizons = len(starts.horizons)
    missed = np.full((starts.days.size, n_horizons, 2, len(CALIBRATED)), np.nan)
    shift, step = np.zeros(missed.shape[1:]), GAIN / np.sqrt(CALIBRATED) / starts.lengths[:, None, None]
    last, count = np.full((n_horizons, 2), -np.inf), np.zeros((n_horizons, 2))
    for day in range(starts.days.size):
        ended = np.full(missed.shape[1:], np.nan)
        for h, length in enumerate(starts.lengths):
            if day >= length:
                ended[h] = missed[day - length, h]
        shift *= 1.0 - FORGET
        shift += np.where(np.isfinite(ended), step * (CALIBRATED - ended), 0.0)
        np.clip(shift, -LARGEST_SHIFT, LARGEST_SHIFT, out=shift)
        fresh = (ended[..., 0] > 0.0) & (day - last > starts.lengths[:, None])
        count, last = count + fresh, np.where(fresh, float(day), last)
        law.shift[day], law.events[day] = shift if calibrate else 0.0, count
        allowed = multiples_at(law.multiples[law.fit_of_day[day]], np.log(CALIBRATED) + law.shift[day])
        missed[day] = _exceeded(multiple[..., day], allowed)


def _exceeded(multiple: Array, allowed: Array) -> Array:
    """Share of a day's starts that went beyond each calibrated budget (n_horizons, 2, n_calibrated).

    Parameters
    ----------
    multiple : (n_horizons, 2, n_contracts)
    allowed : (n_horizons, 2, n_calibrated)
    """
    known = np.isfinite(multiple)
    n = known.sum(axis=-1)[..., None]
    with np.errstate(invalid="ignore"):
        over = (multiple[..., None, :] >= allowed[..., None]).sum(axis=-1)
    return np.where((n > 0) & np.isfinite(allowed), over / np.maximum(n, 1), np.nan)
