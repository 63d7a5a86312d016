"""Load real history from a folder."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gearing.market.data import SETTLEMENT_DTYPE, MarketData
from gearing.market.history import layout
from gearing.market.history.assemble import Missing, assemble, place
from gearing.market.history.series import Bars, Series
from gearing.market.timing import label, positive_duration

ALL = "all"  # in place of symbols: every contract of the venue


def load_market(
    folder: str | os.PathLike[str] | None = None,
    symbols: str | Sequence[str] = ("BTCUSDT",),
    bar: Any = "1h",
    venue: str = "binance-um",
    start: Any = None,
    end: Any = None,
    missing_mark: Literal["error", "last"] = "error",
    missing_funding: Literal["error", "zero", "median"] = "error",
    missing_tiers: Literal["error", "earliest"] = "error",
    finer: Any = None,
) -> MarketData:
    """Load bars, mark prices, settlements and dated margin tiers of some contracts.

    Parameters
    ----------
    folder : path, optional
        In the layout of :mod:`gearing.market.history.layout`; ``$GEARING_DATA`` by default.
    symbols : str or sequence of str
        ``"all"`` is every contract of the venue that has traded bars. Without ``start`` or ``end`` the market then
        begins with the first bar of any contract and ends with the last one: a contract is not tradable before its
        first bar and after its last.
    bar : str or timedelta
        Length of a bar. Longer bars are built from stored ones that divide them.
    venue : str
        Folder of the venue, for example "binance-um" or "okx-swap".
    start, end : date, datetime or ISO text, optional
        Half-open span of bar openings in UTC. Without both, the longest span in which all named contracts are
        complete is taken and noted in ``market.notes``.
    missing_mark : {"error", "last"}
        Mark bars longer than ``bar`` count as missing. "last" uses the traded price instead.
    missing_funding : {"error", "zero", "median"}
        "median" fills a missing settlement with the median rate of the loaded contracts that settle at that moment,
        and with zero where none does.
    missing_tiers : {"error", "earliest"}
        Bars older than the oldest margin tiers.
    finer : str or timedelta, optional
        Also load shorter bars as the path inside a bar; their gaps are allowed.

    Raises
    ------
    ValueError
        Naming the file, stamp, rule and value, and what to do.
    """
    root = layout.data_folder(folder)
    names = (symbols,) if isinstance(symbols, str) else tuple(symbols)
    everything = names == (ALL,)
    if everything:
        names = layout.contract_names(root, venue)
    length = positive_duration(bar)
    missing = Missing(missing_mark, missing_funding, missing_tiers)
    read = [_series(root, venue, symbol, length, missing) for symbol in names]
    series, notes = [one for one, _ in read], [note for _, note in read if note]
    if everything:
        start = min(one.last.open_time[0] for one in series) if start is None else start
        end = max(one.last.open_time[-1] for one in series) + length if end is None else end
    profile, name = layout.profile(venue), f"{venue} {ALL if everything else ' '.join(names)}"
    market = assemble(series, length, start, end, missing, profile.funding_interval, profile.name, name)
    market = market.renamed(market.name, *notes)
    return market if finer is None else _with_finer(market, root, venue, positive_duration(finer), missing)


def _series(root: Path, venue: str, symbol: str, bar: np.timedelta64, missing: Missing) -> tuple[Series, str]:
    folder = layout.symbol_folder(root, venue, symbol)
    last = _bars(folder, "last", bar)
    if last is None:
        stored = ", ".join(label(b) for b in layout.stored_bars(folder, "last")) or "none"
        raise ValueError(f"{folder}: no traded bars that divide {label(bar)}; stored: {stored}.")
    schedules, note = layout.read_tiers(root, venue, symbol)
    if "Binance's" in note and missing.tiers == "error":
        raise ValueError(f'{note}. Load with missing_tiers="earliest" to use them anyway.')
    funding = folder / "funding.parquet"
    series = Series(
        contract=layout.profile(venue).contract(symbol, schedules),
        last=last,
        mark=_bars(folder, "mark", bar),
        index=_bars(folder, "index", bar),
        funding=layout.read_funding(funding) if funding.is_file() else None,
        funding_where=str(funding) if funding.is_file() else f"{folder}: no funding.parquet",
        implied_volatility=layout.read_implied_volatility(root, symbol),
    )
    return series, note


def _bars(folder: Path, kind: str, bar: np.timedelta64, start: Any = None, end: Any = None) -> Bars | None:
    source = layout.best_source(folder, kind, bar)
    if source is None:
        return None
    bars = layout.read_bars(layout.bar_file(folder, kind, source), start, end, volume=kind == "last")
    return bars.checked(source).grouped(source, bar) if bars.open_time.size else None


def _with_finer(
    market: MarketData, root: Path, venue: str, bar: np.timedelta64, missing: Missing
) -> MarketData:
    if bar >= market.bar or market.bar % bar != np.timedelta64(0, "ms"):
        raise ValueError(f"finer={label(bar)} does not divide the bar of {label(market.bar)}.")
    span = market.open_time[0], market.open_time[-1] + market.bar
    paths = []
    for symbol in market.symbols:
        folder = layout.symbol_folder(root, venue, symbol)
        paths.append((_bars(folder, "last", bar, *span), _bars(folder, "mark", bar, *span)))
    if all(last is None for last, _ in paths):
        raise ValueError(
            f"no bars of {label(bar)} or shorter in {root / venue} for {', '.join(market.symbols)}."
        )
    return _with_paths(market, bar, paths, missing.mark)


def _with_paths(
    market: MarketData,
    bar: np.timedelta64,
    paths: Sequence[tuple[Bars | None, Bars | None]],
    missing_mark: Literal["error", "last"],
) -> MarketData:
    """Align finer bars to a market's bars.

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
        notes.append(f"{market.symbols[column]}: path of {label(bar)} bars for {live.mean():.1%} of the time")
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
    return market.renamed(market.name, *notes).with_finer(finer)
