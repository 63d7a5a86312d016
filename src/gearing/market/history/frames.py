"""Build a market from a user's own pandas tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from gearing.contracts import Contract, shipped_schedules, shipped_symbols, venue as venue_profile
from gearing.market.data import MarketData
from gearing.market.history.assemble import Missing, assemble
from gearing.market.history.layout import PRICES, require_columns
from gearing.market.history.series import Bars, Series, settlement_rows, usual_step, whole_minutes
from gearing.market.timing import positive_duration, stamps
from gearing.names import nearest
from gearing.storage.cells import numbers

Frames: TypeAlias = pd.DataFrame | Mapping[str, pd.DataFrame] | None


def market_from_frames(
    last: pd.DataFrame | Mapping[str, pd.DataFrame],
    mark: Frames = None,
    funding: Frames = None,
    contract: Contract | str | Sequence[Contract] | Mapping[str, Contract] | None = None,
    index: Frames = None,
    implied_volatility: Mapping[str, pd.Series] | pd.Series | None = None,
    bar: Any = None,
    venue: str = "binance-usdm",
    start: Any = None,
    end: Any = None,
    missing_mark: str = "error",
    missing_funding: str = "error",
    missing_tiers: str = "earliest",
    name: str = "",
) -> MarketData:
    """Build a market from tables of bars and settlements.

    Parameters
    ----------
    last, mark, index : DataFrame, or mapping of symbol to DataFrame
        Columns open_time (or a DatetimeIndex), open, high, low, close and, for ``last``, volume; rows in any order,
        each stamp once. Stamps are the bar's opening, in any unit and notation of :mod:`gearing.market.moments`;
        those without a zone are taken as UTC.
    funding : DataFrame or mapping
        Columns time (or a DatetimeIndex), rate (fraction per settlement) and optionally mark.
    contract : Contract, symbol, or one per symbol
        A symbol whose margin tiers ship with the package (BTCUSDT, ...) may be given by name; with a
        mapping of frames the keys are the symbols.
    implied_volatility : Series or mapping of Series, optional
        Annualised, indexed by the moment from which each value is known.
    bar : str or timedelta, optional
        Length of a bar; by default the most frequent step of ``last``.
    venue : str
        Name of the venue profile.
    missing_mark, missing_funding, missing_tiers, start, end
        As in :func:`gearing.load_market`; tiers newer than the bars are accepted by default.
    """
    frames = _by_symbol(last, contract)
    traded = {
        symbol: bars_from_frame(frame, f"from_frames: last of {symbol}") for symbol, frame in frames.items()
    }
    length = positive_duration(bar) if bar is not None else _bar_of(next(iter(traded.values())))
    series = [
        Series(
            contract=_contract(symbol, contract, venue),
            last=bars.checked(length),
            mark=_bars(mark, symbol, "mark", length),
            index=_bars(index, symbol, "index", length),
            funding=_of(
                funding, symbol, partial(settlements_from_frame, where=f"from_frames: funding of {symbol}")
            ),
            funding_where="from_frames: funding",
            implied_volatility=_of(implied_volatility, symbol, _implied),
        )
        for symbol, bars in traded.items()
    ]
    interval = venue_profile(venue).funding_interval
    missing = Missing(missing_mark, missing_funding, missing_tiers)  # type: ignore[arg-type]  # checked there
    return assemble(series, length, start, end, missing, interval, venue, name or " ".join(frames))


def bars_from_frame(frame: pd.DataFrame, where: str, date_format: str | None = None) -> Bars:
    """Read open_time, open, high, low, close and volume of a table, in order of time."""
    _check_frame(frame, where, PRICES)
    time = _times(frame, "open_time", where, date_format)
    order = np.argsort(time, kind="stable")
    prices = np.column_stack([numbers(frame[name], f"{where}: {name}") for name in PRICES])
    volume = numbers(frame["volume"], f"{where}: volume")[order] if "volume" in frame else None
    return Bars(time[order], prices[order], volume, where)


def settlements_from_frame(
    frame: pd.DataFrame, where: str, date_format: str | None = None, equal_rows: bool = False
) -> np.ndarray:
    """Read time, rate and, where there is one, mark of a table, in order of time; ``equal_rows`` count once.

    Stamps are rounded to the minute: venues stamp settlements with some milliseconds of jitter, and an order at the
    open of a bar would pay a settlement that belongs to the moment before it.
    """
    _check_frame(frame, where, ("rate",))
    time = whole_minutes(_times(frame, "time", where, date_format))
    rate = numbers(frame["rate"], f"{where}: rate")
    mark = numbers(frame["mark"], f"{where}: mark") if "mark" in frame else np.full(time.size, np.nan)
    order = np.argsort(time, kind="stable")
    if equal_rows:
        values = np.column_stack([time.astype(np.float64), rate, mark])[order]
        same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
        order = order[np.append(True, ~same.all(axis=1))[: order.size]]
    return settlement_rows(time[order], rate[order], mark[order], where)


def _check_frame(frame: Any, where: str, needed: Sequence[str]) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"{where} is {type(frame).__name__}; give a pandas DataFrame.")
    require_columns(where, frame.columns, needed)
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(f"{where}: the column {twice!r} stands twice; keep one of them.")


def _times(frame: pd.DataFrame, column: str, where: str, date_format: str | None = None) -> np.ndarray:
    """Moments of a column, or of the index."""
    if column not in frame and not isinstance(frame.index, pd.DatetimeIndex):
        raise ValueError(f"{where}: needs a column {column!r} or a DatetimeIndex.")
    return stamps(frame.get(column, frame.index), f"{where}: {column}", date_format)


def _by_symbol(frames: Any, contract: Any) -> dict[str, pd.DataFrame]:
    if isinstance(frames, Mapping):
        if not frames:
            raise ValueError("from_frames: an empty mapping; give a table for each symbol.")
        return dict(frames)
    if isinstance(contract, Contract):
        return {contract.symbol: frames}
    if isinstance(contract, str):
        return {contract: frames}
    raise ValueError(
        "from_frames: one table needs contract=, a Contract or the symbol of one whose margin tiers ship "
        f"({', '.join(shipped_symbols())})."
    )


def _contract(symbol: str, contract: Any, venue: str) -> Contract:
    given = [contract] if isinstance(contract, Contract) else contract
    if isinstance(given, Sequence) and not isinstance(given, str):
        given = {one.symbol: one for one in given}
    if isinstance(given, Mapping) and symbol in given:
        return given[symbol]
    if symbol not in shipped_symbols():
        raise ValueError(
            f"from_frames: margin tiers of {symbol} are not known.{_meant(symbol)} Pass contract=Contract({symbol!r}, "
            f"schedules=(...)); tiers ship for {', '.join(shipped_symbols())}."
        )
    return venue_profile(venue).contract(symbol, shipped_schedules(symbol))


def _meant(symbol: str) -> str:
    near = nearest(symbol.upper(), shipped_symbols(), cutoff=0.9)
    return f" Did you mean {near!r}?" if near else ""


def _of(frames: Any, symbol: str, read: Callable[[Any], Any]) -> Any:
    """What ``read`` makes of a symbol's table; None without one."""
    frame = frames.get(symbol) if isinstance(frames, Mapping) else frames
    return None if frame is None else read(frame)


def _bars(frames: Frames, symbol: str, kind: str, bar: np.timedelta64) -> Bars | None:
    def read(frame: pd.DataFrame) -> Bars:
        return replace(bars_from_frame(frame, f"from_frames: {kind} of {symbol}"), volume=None).checked(bar)

    return _of(frames, symbol, read)


def _implied(values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    where = "from_frames: implied_volatility"
    if not isinstance(values, pd.Series) or not isinstance(values.index, pd.DatetimeIndex):
        raise TypeError(f"{where} must be a pandas Series with a DatetimeIndex.")
    known_at = stamps(values.index, where)
    order = np.argsort(known_at, kind="stable")
    return known_at[order], numbers(values, where)[order]


def _bar_of(bars: Bars) -> np.timedelta64:
    if bars.open_time.size == 0:
        raise ValueError(f"{bars.where}: has no rows.")
    moments = np.unique(bars.open_time)
    if moments.size < 2:
        raise ValueError(f"{bars.where}: a single bar does not define its length; pass bar='1h'.")
    return usual_step(moments)
