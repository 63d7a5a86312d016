"""Funding: what longs paid shorts at the settlements stamped before a bar's close.

A settlement stamped exactly at the close is not known there: a decision at that moment cannot use it.
Sums run over the settlements present, so intervals of 8, 4 or 1 hours, and changes, need no setting.
"""

import numpy as np
from numpy.typing import NDArray

from gearing.features.feature import feature
from gearing.features.streaming.memory import once
from gearing.features.windows import Array, lag, last_seen, rolling_sum
from gearing.market import MarketData
from gearing.market.timing import HOUR, YEAR, bars_in

RECENT = (
    "24h"  # settlements are at most 8 hours apart on the venues known; a day without one means none is paid
)
SOURCE = "settled rates of the venue"


@once
def funding_by_bar(market: MarketData) -> tuple[Array, Array, Array]:
    """Sum of rates, last rate and count of the settlements stamped in [open, close) of each bar."""
    shape = (market.n_bars, market.n_contracts)
    total, last, count = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    if not market.settlements.size:  # most bars of a stream
        return total, last, count
    records, place = _placed(market)
    np.add.at(total, place, records["rate"])
    np.add.at(count, place, 1.0)
    last[place] = records["rate"]  # sorted by time: the last one written is the latest
    return total, last, count


def _placed(market: MarketData) -> tuple[NDArray[np.void], tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Settlements inside the market's bars, and the bar and contract of each."""
    records = market.settlements
    bar = np.searchsorted(market.open_time, records["time"], side="right") - 1
    inside = (bar >= 0) & (records["time"] < market.open_time[-1] + market.bar)
    return records[inside], (bar[inside], records["contract"][inside])


def _mean_settled(rates: Array, count: Array, n: int) -> Array:
    """Sum of rates over the count of settlements of the last ``n`` bars; zero where there were none."""
    settled = rolling_sum(count, n)
    return np.where(settled == 0.0, 0.0, rolling_sum(rates, n) / np.maximum(settled, 1.0))


@feature(unit="per settlement", lower=-0.05, upper=0.05, lookback=RECENT, source=SOURCE)
def funding_rate(market: MarketData) -> Array:
    """Last settled rate; zero where none was settled within a day."""
    _, last, count = funding_by_bar(market)
    return last_seen(last, count > 0, bars_in(RECENT, market.bar), otherwise=0.0)


@feature(
    unit="per settlement",
    lower=-0.05,
    upper=0.05,
    lookback="0h",
    source="rate that the venue shows for the next settlement",
    needs=("predicted_rate",),
)
def predicted_rate(market: MarketData) -> Array:
    """Rate predicted at the close for the next settlement, from the market data."""
    if market.predicted_rate is None:  # Feature.__call__ has refused such a market
        raise ValueError("this market carries no predicted_rate.")
    return np.asarray(market.predicted_rate)


@feature(
    unit="per settlement",
    lower=-0.05,
    upper=0.05,
    lookback="{window}",
    windows=("3d", "7d", "30d"),
    source=SOURCE,
)
def funding_mean(market: MarketData, window: str) -> Array:
    """Mean of the window's settled rates; zero where there were none."""
    total, _, count = funding_by_bar(market)
    return _mean_settled(total, count, bars_in(window, market.bar))


@feature(
    unit="annualised", lower=-20.0, upper=20.0, lookback="{window}", windows=("7d", "30d"), source=SOURCE
)
def funding_carry(market: MarketData, window: str) -> Array:
    """Funding a long paid over the window per unit of notional, annualised; negative where it was paid."""
    n = bars_in(window, market.bar)
    return rolling_sum(funding_by_bar(market)[0], n) * float(YEAR / (n * market.bar))


@feature(
    unit="per settlement",
    lower=0.0,
    upper=0.05,
    lookback="{window}",
    windows=("7d",),
    source="size of funding, any sign",
)
def funding_pressure(market: MarketData, window: str) -> Array:
    """Mean absolute settled rate of the window: crowded either way."""
    _, last, count = funding_by_bar(market)
    return _mean_settled(np.abs(last), count, bars_in(window, market.bar))


@feature(
    unit="hours", lower=0.0, upper=24.0, lookback=("24h", "24h"), source="spacing of the last two settlements"
)
def time_to_settlement(market: MarketData) -> Array:
    """Hours from the close to the next settlement, if the last spacing continues; 0 where none is in sight.

    Known at the close: it uses past stamps only. At a settlement's own moment it is 0.
    """
    records, place = _placed(market)
    # Whole milliseconds, which floats hold exactly: the same wherever the history begins.
    closed = market.close_time.astype(np.int64).astype(np.float64)[:, None]
    shape, limit = (market.n_bars, market.n_contracts), bars_in("24h", market.bar)
    settled, stamp = np.zeros(shape, bool), np.zeros(shape)
    settled[place], stamp[place] = True, records["time"].astype(np.int64)
    last = last_seen(stamp, settled, limit, otherwise=np.nan)
    wait = (last + (last - _previous(stamp, settled, limit)) - closed) / float(HOUR.astype(np.int64))
    return np.where(np.isnan(wait), 0.0, np.maximum(wait, 0.0))


def _previous(stamp: Array, present: NDArray[np.bool_], limit: int) -> Array:
    """Stamp before the latest one: the latest seen at the bar before the latest one's bar."""
    seen_before = lag(last_seen(stamp, present, limit, otherwise=np.nan), 1)
    return last_seen(np.where(present, seen_before, np.nan), present, limit, otherwise=np.nan)
