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
from gearing.market.history.layout import PRICES, require_columns, settlement_rows
from gearing.market.history.series import Bars, Series, usual_step
from gearing.market.timing import positive_duration

_UNITS = (("s", 10**11), ("ms", 10**14), ("us", 10**17), ("ns", np.inf))  # of stamps below a number
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
        Columns open_time (or a DatetimeIndex), open, high, low, close and, for ``last``, volume.
        Stamps are the bar's opening; naive ones are taken as UTC.
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
    length = positive_duration(bar) if bar is not None else _bar_of(next(iter(frames.values())))
    series = [
        Series(
            contract=_contract(symbol, contract, venue),
            last=bars_from_frame(frame, f"from_frames: last of {symbol}").checked(length),
            mark=_bars(mark, symbol, "mark", length),
            index=_bars(index, symbol, "index", length),
            funding=_of(
                funding, symbol, partial(settlements_from_frame, where=f"from_frames: funding of {symbol}")
            ),
            funding_where="from_frames: funding",
            implied_volatility=_of(implied_volatility, symbol, _implied),
        )
        for symbol, frame in frames.items()
    ]
    interval = venue_profile(venue).funding_interval
    missing = Missing(missing_mark, missing_funding, missing_tiers)  # type: ignore[arg-type]  # checked there
    return assemble(series, length, start, end, missing, interval, venue, name or " ".join(frames))


def bars_from_frame(frame: pd.DataFrame, where: str) -> Bars:
    """Read open_time, open, high, low, close and volume of a table."""
    require_columns(where, frame.columns, PRICES)
    prices = frame[list(PRICES)].to_numpy(np.float64)
    volume = frame["volume"].to_numpy(np.float64) if "volume" in frame else None
    return Bars(_stamps(frame, "open_time", where), prices, volume, where)


def settlements_from_frame(frame: pd.DataFrame, where: str) -> np.ndarray:
    """Read time, rate and, where there is one, mark of a table."""
    require_columns(where, frame.columns, ("rate",))
    mark = frame["mark"].to_numpy(np.float64) if "mark" in frame else None
    return settlement_rows(_stamps(frame, "time", where), frame["rate"].to_numpy(np.float64), mark, where)


def _stamps(frame: pd.DataFrame, column: str, where: str) -> np.ndarray:
    """Stamps of a column of texts, dates, or numbers in seconds to nanoseconds (their size decides), or the index."""
    if column not in frame and not isinstance(frame.index, pd.DatetimeIndex):
        raise ValueError(f"{where}: needs a column {column!r} or a DatetimeIndex.")
    values = frame[column] if column in frame else frame.index.to_series()
    if pd.api.types.is_numeric_dtype(values):
        raw = values.to_numpy(np.int64)
        unit = next(unit for unit, limit in _UNITS if raw.max(initial=0) < limit)
        return raw.astype(f"datetime64[{unit}]").astype("datetime64[ms]")
    return (
        pd.DatetimeIndex(pd.to_datetime(values, utc=True))
        .tz_localize(None)
        .to_numpy()
        .astype("datetime64[ms]")
    )


def _by_symbol(frames: Any, contract: Any) -> dict[str, pd.DataFrame]:
    if isinstance(frames, Mapping):
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
            f"from_frames: margin tiers of {symbol} are not known. Pass contract=Contract({symbol!r}, "
            f"schedules=(...)); tiers ship for {', '.join(shipped_symbols())}."
        )
    return venue_profile(venue).contract(symbol, shipped_schedules(symbol))


def _of(frames: Any, symbol: str, read: Callable[[Any], Any]) -> Any:
    """What ``read`` makes of a symbol's table; None without one."""
    frame = frames.get(symbol) if isinstance(frames, Mapping) else frames
    return None if frame is None else read(frame)


def _bars(frames: Frames, symbol: str, kind: str, bar: np.timedelta64) -> Bars | None:
    def read(frame: pd.DataFrame) -> Bars:
        bars = bars_from_frame(frame, f"from_frames: {kind} of {symbol}")
        return replace(bars, volume=None).checked(bar)

    return _of(frames, symbol, read)


def _implied(values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    known_at = _stamps(values.to_frame(), "known_at", "from_frames: implied_volatility")
    return known_at, values.to_numpy(np.float64)


def _bar_of(frame: pd.DataFrame) -> np.timedelta64:
    time = _stamps(frame, "open_time", "from_frames: last")
    if time.size < 2:
        raise ValueError("from_frames: a single bar does not define its length; pass bar='1h'.")
    return usual_step(time)
