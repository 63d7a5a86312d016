"""Fit the law of a pool walking forward: tables every month, the online calibration every day."""

from __future__ import annotations

import warnings
from dataclasses import replace

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
OWN_GAIN = 0.005  # of a contract's own exceedances, on top of the pool's; chosen on the same
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
    shift, missed = _walk(law, starts.lengths, multiple, law.shift, GAIN if calibrate else 0.0)
    return replace(law, shift=shift, events=_events(missed, starts.lengths))


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


def adapted(law: ExcursionLaw, mine: DailyStarts, gain: float = OWN_GAIN) -> ExcursionLaw:
    """The law of a pool, its budgets shifted further by a contract's own past exceedances.

    Parameters
    ----------
    law : ExcursionLaw
    mine : DailyStarts
        Of the contract alone, on the days of the law.
    gain : float
        Of the steps, see `GAIN`.
    """
    scaled = law.scaled(mine.days.astype("datetime64[ms]"), mine.scale[:, 0], mine.age[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        multiple = (mine.excursion[:, :, 0] / scaled[:, None])[:, :, None]
    shift, _ = _walk(law, mine.lengths, multiple, law.shift, gain)
    return replace(law, shift=shift)


def _walk(
    law: ExcursionLaw, lengths: NDArray[np.int64], multiple: Array, base: Array, gain: float
) -> tuple[Array, Array]:
    """Shifts, and shares of starts beyond each calibrated budget, each (n_days, n_horizons, 2, n_calibrated).

    Every day learns from the starts that ended at it; its shift is added to ``base``.
    """
    missed, shifts = np.full(base.shape, np.nan), np.empty(base.shape)
    own, step = np.zeros(base.shape[1:]), gain / np.sqrt(CALIBRATED) / lengths[:, None, None]
    for day in range(len(base)):
        ended = np.full(own.shape, np.nan)
        for h, length in enumerate(lengths):
            if day >= length:
                ended[h] = missed[day - length, h]
        own *= 1.0 - FORGET
        own += np.where(np.isfinite(ended), step * (CALIBRATED - ended), 0.0)
        own = np.clip(own, -LARGEST_SHIFT - base[day], LARGEST_SHIFT - base[day])
        shifts[day] = base[day] + own
        allowed = multiples_at(law.multiples[law.fit_of_day[day]], np.log(CALIBRATED) + shifts[day])
        missed[day] = _exceeded(multiple[..., day], allowed)
    return shifts, missed


def _events(missed: Array, lengths: NDArray[np.int64]) -> Array:
    """Independent events so far, of each day (n_days, n_horizons, 2): ended starts beyond 1 %, a horizon apart."""
    events = np.zeros(missed.shape[:3])
    for h, length in enumerate(lengths):
        for s in range(2):
            last = -np.inf
            for day in np.flatnonzero(missed[: len(missed) - length, h, s, 0] > 0.0) + length:
                if day - last > length:
                    events[day:, h, s] += 1.0
                    last = float(day)
    return events


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
