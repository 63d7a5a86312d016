"""Finer bars of a market: the path inside a bar where it is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from gearing.market.data import SETTLEMENT_DTYPE, MarketData
from gearing.market.history.assemble import place
from gearing.market.history.series import Bars
from gearing.market.timing import label


def finer_market(
    market: MarketData,
    bar: np.timedelta64,
    paths: Sequence[tuple[Bars | None, Bars | None]],
    missing_mark: Literal["error", "last"],
) -> tuple[MarketData, list[str]]:
    """Align finer bars to a market's bars; returns them and notes.

    A bar of the market has its whole path or none. Where finer mark bars are missing, the traded path is used,
    clipped to the range of the market's own mark bar, so that a finer path never liquidates where the bar's
    extremes did not.

    Parameters
    ----------
    paths : sequence of (last, mark), one pair per contract
    missing_mark : {"error", "last"}
        "error" refuses finer bars without a mark.
    """
    parts = int(market.bar / bar)
    open_time = np.arange(market.open_time[0], market.open_time[-1] + market.bar, bar)
    shape = (open_time.size, market.n_contracts)
    last, volume, tradable = np.full((*shape, 4), np.nan), np.zeros(shape), np.zeros(shape, bool)
    mark, notes = np.full((*shape, 4), np.nan), []
    for column, (traded, marked) in enumerate(paths):
        if traded is None:
            continue
        prices, traded_volume, have = place(traded, open_time)
        live = np.repeat(have.reshape(-1, parts).all(axis=1) & market.tradable[:, column], parts)
        last[live, column], tradable[:, column] = prices[live], live
        volume[live, column] = traded_volume[live]
        marks, _, there = place(marked, open_time)
        low, high = (
            np.repeat(edge[:, column], parts)[:, None] for edge in (market.mark_low, market.mark_high)
        )
        marks[~there] = np.clip(prices, low, high)[~there]
        mark[live, column], filled = marks[live], int((live & ~there).sum())
        if filled and missing_mark == "error":
            raise ValueError(
                f"{market.symbols[column]} has no mark bars of {label(bar)} for {filled} of its finer bars. "
                'Load with missing_mark="last": the traded path is then used, clipped to the mark bar.'
            )
        share = live.mean()
        notes.append(f"{market.symbols[column]}: path of {label(bar)} bars for {share:.1%} of the time")
        if filled:
            notes.append(
                f"{market.symbols[column]}: traded path within the mark bar's range in {filled} finer bars"
            )
    finer = MarketData(
        open_time=open_time,
        bar=bar,
        contracts=market.contracts,
        last=last,
        mark=mark,
        volume=volume,
        settlements=np.empty(0, SETTLEMENT_DTYPE),
        tradable=tradable,
        name=f"{market.name} finer",
        venue=market.venue,
    )
    return finer, notes
