"""A market laid out for the kernel: one record per row and contract holding all that a step reads.

A row is a bar, or each finer bar inside it where the market carries finer data without a gap; mechanics run row by
row, decisions and features bar by bar.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gearing.exchange.records import margin_tier_dtype, records, row_dtype, settlement_dtype
from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.simulation.config import Slippage

_MONDAY = np.datetime64("1970-01-05T00:00", "ms")  # multi-day intervals count from a Monday
_DAY = np.timedelta64(1, "D").astype("timedelta64[ms]")
_ROW_BYTES = 64  # a cache line


@dataclass(frozen=True, eq=False)
class Tape:
    """Kernel arrays of one or several markets, one after the other.

    Attributes
    ----------
    rows : (n_rows, n_contracts) records of ``row_dtype``
    settlements, tiers : records
    features : (n_bars, n_contracts * n_columns) float32
    row_time : (n_rows,) datetime64[ms], the open of each row
    boundaries : per path, the rows at which decisions fall, the last one being where the data end
    """

    rows: np.recarray
    settlements: np.recarray
    tiers: np.recarray
    features: np.ndarray
    row_time: np.ndarray
    boundaries: tuple[np.ndarray, ...]


def decision_bars(open_time: np.ndarray, interval: np.timedelta64, bar: np.timedelta64) -> np.ndarray:
    """Bars at whose open a decision falls: the close before it is divisible by the interval from 00:00 UTC.

    Raises
    ------
    ValueError
        If the interval is no multiple of the bar, longer than a week, or does not divide a day or count whole days.
    """
    interval, bar = interval.astype("timedelta64[ms]"), bar.astype("timedelta64[ms]")
    if interval % bar != np.timedelta64(0, "ms") or interval > 7 * _DAY:
        raise ValueError(
            f"decision_interval {interval} must be a multiple of the bar ({bar}) and at most a week."
        )
    if _DAY % interval != np.timedelta64(0, "ms") and interval % _DAY != np.timedelta64(0, "ms"):
        raise ValueError(f"decision_interval {interval} must divide 24 h or be whole days.")
    return np.flatnonzero((open_time - _MONDAY) % interval == np.timedelta64(0, "ms"))


def build_tape(
    markets: list[MarketData],
    tables: list[FeatureTable],
    interval: np.timedelta64,
    slippage: Slippage,
    entry_signal: str | None = None,
) -> Tape:
    """Lay out markets with their feature tables.

    Parameters
    ----------
    markets : markets of the same contracts and bar
    tables : one feature table per market, with the same columns
    interval : decision interval
    slippage : its market part is precomputed per bar
    entry_signal : column whose sign opens and closes trades, where decisions are taken at entries only
    """
    tiers, ranges = _tiers(markets)
    parts, settlements, times, boundaries = [], [], [], []
    first_row = first_bar = first_settlement = 0
    for market, table, schedule in zip(markets, tables, ranges, strict=True):
        bar_of_row, row_time, finer_row = _rows_of(market)
        rows = _price_rows(market, bar_of_row, finer_row)
        _schedule_rows(rows, schedule[bar_of_row])
        _cost_rows(rows, market, bar_of_row, slippage)
        cash = _settlement_rows(rows, market, row_time, first_settlement)
        rows.bar = (bar_of_row + first_bar)[:, None]
        edges = _boundaries(market, table, bar_of_row, interval)
        rows["exit_row"] = -1
        if entry_signal is not None:
            edges, exits = _entries(edges, table.column(entry_signal)[bar_of_row[edges[:-1]] - 1, 0])
            rows["exit_row"][edges[:-1]] = (exits + first_row)[:, None]
        rows["next_row"] = -1
        rows["next_row"][edges[:-1]] = (edges[1:] + first_row)[:, None]
        parts.append(rows)
        settlements.append(cash)
        times.append(row_time)
        boundaries.append(edges + first_row)
        first_row, first_bar, first_settlement = (
            first_row + rows.shape[0],
            first_bar + market.n_bars,
            first_settlement + cash.size,
        )
    features = np.concatenate(
        [np.nan_to_num(t.values, nan=0.0).reshape(len(t.open_time), -1) for t in tables]
    )
    return Tape(
        rows=_aligned(np.concatenate(parts)),
        settlements=np.concatenate(settlements).view(np.recarray),
        tiers=tiers,
        features=np.ascontiguousarray(features),
        row_time=np.concatenate(times),
        boundaries=tuple(boundaries),
    )


def _aligned(rows: np.ndarray) -> np.recarray:
    """Copy whose rows start on cache lines."""
    buffer = np.empty(rows.nbytes + _ROW_BYTES, np.uint8)
    shift = -buffer.ctypes.data % _ROW_BYTES
    view = buffer[shift : shift + rows.nbytes].view(row_dtype).reshape(rows.shape)
    view[...] = rows
    return view.view(np.recarray)


def _tiers(markets: list[MarketData]) -> tuple[np.recarray, list[np.ndarray]]:
    """All schedules in one array, and per market (n_bars, n_contracts, 2) the range in force."""
    flat: list[tuple[float, ...]] = []
    ranges = []
    for market in markets:
        span = np.empty((market.n_bars, market.n_contracts, 2), np.int32)
        for j, contract in enumerate(market.contracts):
            # The nearest earlier copy; the earliest where none is older (the loader says so in the notes).
            for k, schedule in enumerate(contract.schedules):
                first = len(flat)
                flat += [(t.floor, t.cap, t.rate, t.amount, t.max_leverage) for t in schedule.tiers]
                start = 0
                if k > 0:
                    start = int(np.searchsorted(market.open_time, np.datetime64(schedule.as_of, "ms")))
                span[start:, j] = first, len(flat)
        ranges.append(span)
    tiers = records(len(flat), margin_tier_dtype)
    tiers[:] = flat
    return tiers, ranges


def _rows_of(market: MarketData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bar of each row, its open time, and its row in the finer market (-1: the bar itself is the row)."""
    bars = np.arange(market.n_bars)
    if market.finer is None:
        return bars, market.open_time, np.full(market.n_bars, -1)
    finer = market.finer
    per_bar = int(market.bar // finer.bar)
    parent = (finer.open_time - market.open_time[0]) // market.bar
    known = finer.tradable.all(axis=1) & (parent >= 0) & (parent < market.n_bars)
    complete = np.bincount(parent[known].astype(int), minlength=market.n_bars) == per_bar
    fine_rows = np.flatnonzero(known & complete[np.clip(parent.astype(int), 0, market.n_bars - 1)])
    coarse = bars[~complete]
    bar_of_row = np.concatenate([parent[fine_rows].astype(int), coarse])
    time = np.concatenate([finer.open_time[fine_rows], market.open_time[coarse]])
    finer_row = np.concatenate([fine_rows, np.full(coarse.size, -1)])
    order = np.argsort(time, kind="stable")
    return bar_of_row[order], time[order], finer_row[order]


def _price_rows(market: MarketData, bar_of_row: np.ndarray, finer_row: np.ndarray) -> np.recarray:
    rows = records((bar_of_row.size, market.n_contracts), row_dtype)
    last, mark = market.last[bar_of_row], market.mark[bar_of_row]
    if market.finer is not None:
        fine = finer_row >= 0
        last, mark = last.copy(), mark.copy()
        last[fine], mark[fine] = market.finer.last[finer_row[fine]], market.finer.mark[finer_row[fine]]
    # Where a contract does not trade no position exists; any finite price keeps the arithmetic quiet.
    for k, name in enumerate(("open", "high", "low", "close")):
        rows[name] = np.nan_to_num(last[..., k], nan=1.0)
        rows[f"mark_{name}"] = np.nan_to_num(mark[..., k], nan=1.0)
    tradable = market.tradable
    known_before = np.vstack(
        [tradable[:1] & False, tradable[:-1]]
    )  # no order without a price at the decision
    listed = (tradable & known_before)[bar_of_row]
    last_bar = tradable & ~np.vstack([tradable[1:], tradable[-1:]])
    last_row = np.append(bar_of_row[1:] != bar_of_row[:-1], True)
    rows.tradable = listed
    rows.delisted = last_bar[bar_of_row] & last_row[:, None]
    return rows


def _schedule_rows(rows: np.recarray, schedule: np.ndarray) -> None:
    rows.tiers_first, rows.tiers_last = schedule[..., 0], schedule[..., 1]


def _cost_rows(rows: np.recarray, market: MarketData, bar_of_row: np.ndarray, slippage: Slippage) -> None:
    """Market part of slippage and factor of the order's own impact, from bars before the one traded."""
    spread = np.full((market.n_bars, market.n_contracts), slippage.constant)
    if slippage.range_share:
        relative = (market.high - market.low) / market.close
        spread[1:] += slippage.range_share * np.nan_to_num(relative[:-1])
    rows.slippage = spread[bar_of_row]
    if slippage.impact:
        rows.impact = _impact(market, slippage.impact)[bar_of_row]


def _impact(market: MarketData, factor: float) -> np.ndarray:
    """Slippage per square root of notional [settle coin]: factor * daily volatility / sqrt(daily volume)."""
    day = max(1, int(_DAY // market.bar))
    returns = np.diff(np.log(np.where(market.tradable, market.close, np.nan)), axis=0, prepend=np.nan)
    variance, volume = (_trailing_sum(np.nan_to_num(x), day) for x in (returns**2, market.volume))
    price = np.array([1.0 if c.kind == "inverse" else np.nan for c in market.contracts])
    value = volume * np.where(np.isnan(price), market.close, price)
    missing = market.tradable & ~(value > 0.0)
    missing[:day] = False
    if missing.any():
        k, j = np.argwhere(missing)[0]
        raise ValueError(
            f"{market.symbols[j]} has no volume in the 24 h before {market.open_time[k]}, so the square-root impact "
            "is undefined there; set slippage.impact to 0 or choose another period."
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        impact = factor * np.sqrt(variance / value)
    impact = np.nan_to_num(impact, nan=0.0, posinf=0.0)
    return np.vstack([impact[:1] * 0.0, impact[:-1]])


def _trailing_sum(values: np.ndarray, window: int) -> np.ndarray:
    padded = np.vstack([np.zeros((window, values.shape[1])), values])
    return np.lib.stride_tricks.sliding_window_view(padded[1:], window, axis=0).sum(axis=-1)


def _settlement_rows(rows: np.recarray, market: MarketData, row_time: np.ndarray, offset: int) -> np.recarray:
    """Settlements in row order; each row learns its range."""
    source = market.settlements
    row = np.searchsorted(row_time, source["time"], side="right") - 1
    inside_path = (row >= 0) & (source["time"] < market.close_time[-1])
    source, row = source[inside_path], row[inside_path]
    cash = records(source.size, settlement_dtype)
    cash.rate, cash.mark, cash.contract = source["rate"], source["mark"], source["contract"]
    cash.inside = source["time"] > row_time[row]
    rows.settlements_first = (np.searchsorted(row, np.arange(row_time.size)) + offset)[:, None]
    rows.settlements_last = (np.searchsorted(row, np.arange(row_time.size), side="right") + offset)[:, None]
    return cash


def _boundaries(
    market: MarketData, table: FeatureTable, bar_of_row: np.ndarray, interval: np.timedelta64
) -> np.ndarray:
    """Rows of the decisions, plus the row where the last whole interval ends (it may be one past the last row)."""
    bars = decision_bars(np.append(market.open_time, market.close_time[-1:]), interval, market.bar)
    bars = bars[bars >= table.first_complete + 1]
    if bars.size < 2:
        raise ValueError(
            f"{market!r} has no whole decision interval of {interval} after its warm-up "
            f"({table.first_complete + 1} bars); load a longer period or use fewer features."
        )
    first_rows = np.searchsorted(bar_of_row, np.arange(market.n_bars + 1))
    return first_rows[bars].astype(np.int64)


def _entries(edges: np.ndarray, signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows where trades are entered (and the end), and where each is closed.

    A trade lasts while the sign of the signal stays. A flip closes and opens in one order, so its closing fee
    belongs to the next trade.
    """
    side = np.sign(signal)
    before = np.concatenate([[0.0], side[:-1]])
    entry = np.flatnonzero((side != 0.0) & (side != before))
    if entry.size == 0:
        raise ValueError("the signal never opens a trade in this period; choose another signal or period.")
    change = np.append(np.flatnonzero(side[1:] != side[:-1]) + 1, edges.size - 1)
    exits = change[np.searchsorted(change, entry, side="right")]
    return np.append(edges[entry], edges[-1]), edges[exits]
