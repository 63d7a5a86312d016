"""The rows of one market, laid out block by block, so that a long one never has to be in memory as a whole."""

from dataclasses import dataclass

import numpy as np

from gearing.exchange.records import margin_tier_dtype, records, row_dtype, settlement_dtype
from gearing.market.data import MarketData
from gearing.market.timing import DAY
from gearing.simulation.config import Slippage


@dataclass(frozen=True)
class Offsets:
    """Where a market begins among the rows, bars and settlements of all markets of a tape."""

    row: int = 0
    bar: int = 0
    settlement: int = 0


class MarketRows:
    """One market as rows: a bar each, or each finer bar inside it where those are complete.

    Parameters
    ----------
    market : MarketData
    schedules : per contract, the first bar of each margin schedule and its range of tiers, see `tier_schedules`
    slippage : its market part is computed per bar, from bars before the one traded
    offsets : what stands before this market

    Attributes
    ----------
    bar_of_row : (n_rows,) int64
    time : (n_rows,) datetime64[ms], the open of each row
    cash : records of ``settlement_dtype``, in row order
    """

    def __init__(
        self,
        market: MarketData,
        schedules: list[tuple[np.ndarray, np.ndarray]],
        slippage: Slippage,
        offsets: Offsets,
    ):
        self.market, self.slippage, self.offsets = market, slippage, offsets
        self._schedules = schedules
        self.bar_of_row, self.time, self._finer_row = _rows_of(market)
        self.cash, self._row_of_cash = _settlements(market, self.time)

    def __len__(self) -> int:
        return self.bar_of_row.size

    def block(self, first: int, last: int, edges: np.ndarray, exits: np.ndarray | None) -> np.recarray:
        """Rows first .. last - 1.

        Parameters
        ----------
        edges : rows of this market at which decisions fall, and the end
        exits : row at which the trade entered at each edge closes; None where there is no such thing
        """
        bars = self.bar_of_row[first:last]
        rows = records((bars.size, self.market.n_contracts), row_dtype)
        self._prices(rows, bars, self._finer_row[first:last])
        self._life(rows, bars, first, last)
        for j, (starts, ranges) in enumerate(self._schedules):
            tiers = ranges[np.searchsorted(starts, bars, side="right") - 1]
            rows.tiers_first[:, j], rows.tiers_last[:, j] = tiers[:, 0], tiers[:, 1]
        self._costs(rows, bars)
        # settlements stand in row order: those of a row end where those of the next begin
        place = np.searchsorted(self._row_of_cash, np.arange(first, last + 1)) + self.offsets.settlement
        rows.settlements_first, rows.settlements_last = place[:-1, None], place[1:, None]
        rows.bar = (bars + self.offsets.bar)[:, None]
        rows["next_row"] = rows["exit_row"] = -1
        a, b = np.searchsorted(edges[:-1], [first, last])
        at = edges[a:b] - first
        rows["next_row"][at] = (edges[a + 1 : b + 1] + self.offsets.row)[:, None]
        if exits is not None:
            rows["exit_row"][at] = (exits[a:b] + self.offsets.row)[:, None]
        return rows

    def _prices(self, rows: np.recarray, bars: np.ndarray, finer_row: np.ndarray) -> None:
        market = self.market
        last, mark = market.last[bars], market.mark[bars]
        if market.finer is not None:
            fine = finer_row >= 0
            last[fine], mark[fine] = market.finer.last[finer_row[fine]], market.finer.mark[finer_row[fine]]
        # Where a contract does not trade no position exists; any finite price keeps the arithmetic quiet.
        for k, name in enumerate(("open", "high", "low", "close")):
            rows[name] = np.nan_to_num(last[..., k], nan=1.0)
            rows[f"mark_{name}"] = np.nan_to_num(mark[..., k], nan=1.0)

    def _life(self, rows: np.recarray, bars: np.ndarray, first: int, last: int) -> None:
        tradable, final = self.market.tradable, self.market.n_bars - 1
        now = tradable[bars]
        # no order without a price at the decision
        rows.tradable = now & tradable[np.maximum(bars - 1, 0)] & (bars > 0)[:, None]
        after = np.append(self.bar_of_row[first + 1 : last + 1], final + 1)[: bars.size]
        rows.delisted = now & ~tradable[np.minimum(bars + 1, final)] & (after != bars)[:, None]

    def _costs(self, rows: np.recarray, bars: np.ndarray) -> None:
        """Market part of slippage and factor of the order's own impact, from bars before the one traded."""
        slippage, market = self.slippage, self.market
        rows.slippage = slippage.constant
        before = np.maximum(bars - 1, 0)
        known = (bars > 0)[:, None]
        if slippage.range_share:
            relative = (market.high[before] - market.low[before]) / market.close[before]
            rows.slippage += known * (slippage.range_share * np.nan_to_num(relative))
        if slippage.impact:
            start, values = _impact(market, slippage.impact, int(before[0]), int(before[-1]) + 1)
            rows.impact = np.where(known, values[before - start], 0.0)


def tier_schedules(
    markets: list[MarketData],
) -> tuple[np.recarray, list[list[tuple[np.ndarray, np.ndarray]]]]:
    """All margin tiers in one array, and per market and contract the bars from which a range of them holds."""
    flat: list[tuple[float, ...]] = []
    schedules = []
    for market in markets:
        columns = []
        for contract in market.contracts:
            # The nearest earlier copy; the earliest where none is older (the loader says so in the notes).
            starts, ranges = [], []
            for k, schedule in enumerate(contract.schedules):
                first = len(flat)
                flat += [(t.floor, t.cap, t.rate, t.amount, t.max_leverage) for t in schedule.tiers]
                as_of = market.open_time[0] if k == 0 else np.datetime64(schedule.as_of, "ms")
                starts.append(int(np.searchsorted(market.open_time, as_of)))
                ranges.append((first, len(flat)))
            columns.append((np.array(starts), np.array(ranges)))
        schedules.append(columns)
    tiers = records(len(flat), margin_tier_dtype)
    tiers[:] = flat
    return tiers, schedules


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


def _impact(market: MarketData, factor: float, first: int, last: int) -> tuple[int, np.ndarray]:
    """Slippage per square root of notional [settle coin]: factor * daily volatility / sqrt(daily volume).

    Of bars first .. last - 1, and some before them; returns the bar the values begin with.
    """
    day = max(1, int(DAY // market.bar))
    start = max(0, first - day)
    tradable, close = market.tradable[start:last], market.close[start:last]
    returns = np.diff(np.log(np.where(tradable, close, np.nan)), axis=0, prepend=np.nan)
    variance, volume = (_trailing_sum(np.nan_to_num(x), day) for x in (returns**2, market.volume[start:last]))
    price = np.array([1.0 if c.kind == "inverse" else np.nan for c in market.contracts])
    value = volume * np.where(np.isnan(price), close, price)
    missing = tradable & ~(value > 0.0)
    missing[: max(day, first) - start] = False
    if missing.any():
        k, j = np.argwhere(missing)[0]
        raise ValueError(
            f"{market.symbols[j]} has no volume in the 24 h before {market.open_time[start + k]}, so the square-root "
            "impact is undefined there; set slippage.impact to 0 or choose another period."
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        impact = factor * np.sqrt(variance / value)
    return start, np.nan_to_num(impact, nan=0.0, posinf=0.0)


def _trailing_sum(values: np.ndarray, window: int) -> np.ndarray:
    padded = np.vstack([np.zeros((window, values.shape[1])), values])
    return np.lib.stride_tricks.sliding_window_view(padded[1:], window, axis=0).sum(axis=-1)


def _settlements(market: MarketData, row_time: np.ndarray) -> tuple[np.recarray, np.ndarray]:
    """Settlements in row order, and the row of each."""
    source = market.settlements
    row = np.searchsorted(row_time, source["time"], side="right") - 1
    inside_path = (row >= 0) & (source["time"] < market.close_time[-1])
    source, row = source[inside_path], row[inside_path]
    cash = records(source.size, settlement_dtype)
    cash.rate, cash.mark, cash.contract = source["rate"], source["mark"], source["contract"]
    cash.inside = source["time"] > row_time[row]
    return cash, row
