"""MarketData: bars, mark prices and funding of some contracts, immutable and validated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gearing.contracts import Contract
from gearing.market.fingerprint import fingerprint, identity
from gearing.market.timing import label, stamp, text
from gearing.market.validate import check_market
from gearing.names import shown

SETTLEMENT_DTYPE = np.dtype(
    [("time", "datetime64[ms]"), ("contract", "<i4"), ("rate", "<f8"), ("mark", "<f8")]
)
"""Record of a funding settlement: UTC time, contract number, rate (a fraction), mark price."""
PRICES = ("last", "mark", "index")  # each (n_bars, n_contracts, 4)
PUBLISHED = ("predicted_rate", "implied_volatility")
COLUMNS = ("volume", "tradable", *PUBLISHED)  # each (n_bars, n_contracts)
_ASIDE = {"name", "notes", "truth", "finer", "origin"}  # fields that do not touch the arrays of a store


@dataclass(frozen=True)
class Origin:
    """The store that a market's arrays are mapped from; see :mod:`gearing.market.store`."""

    folder: Path
    digest: str  # of all values of the store
    reopen: Callable[[Path], MarketData]  # opens the folder again, in another process


class _Price:
    """Attribute of a market: a view of the open, high, low or close of its bars."""

    def __init__(self, prices: str, field: int):
        self.prices, self.field = prices, field

    def __get__(self, market: MarketData, owner: type) -> np.ndarray:
        return getattr(market, self.prices)[..., self.field]


@dataclass(frozen=True, eq=False, repr=False)
class MarketData:
    """Bars, mark prices and funding settlements of some contracts.

    Bar k covers [open_time[k], open_time[k] + bar) and is known at its close. Prices of a bar in which a
    contract is not tradable are NaN; all others are finite, positive and obey low <= open, close <= high.

    Parameters
    ----------
    open_time : datetime64[ms] array, shape (n_bars,)
        UTC, strictly regular.
    bar : timedelta64
        Length of a bar.
    contracts : tuple of Contract
    last, mark : float64 arrays, shape (n_bars, n_contracts, 4)
        Open, high, low and close of the traded price and of the mark price [quote per base].
    volume : float64 array, shape (n_bars, n_contracts)
        Traded volume [base units].
    settlements : structured array of ``SETTLEMENT_DTYPE``
        Funding settlements, sorted by (time, contract). ``rate`` is a fraction per settlement, positive when
        longs pay; ``mark`` is the mark price at the instant, NaN where it is not known (then the open of the
        mark bar at that instant holds).
    tradable : bool array, shape (n_bars, n_contracts)
        False before a contract's listing and after its last bar.
    index : float64 array, shape (n_bars, n_contracts, 4), optional
        Index price.
    predicted_rate, implied_volatility : float64 arrays, shape (n_bars, n_contracts), optional
        Published data known at the close of the bar; NaN where absent.
    finer : MarketData, optional
        Finer bars of the same contracts, the path inside a bar; its gaps are bars that are not tradable.
    truth : mapping of str to array, optional
        Synthetic markets only: what the generator knows as of each bar's open (first axis n_bars), for
        oracles. Arrays with another first axis are constants of the generator.
    name : str
    venue : str
        Name of the venue profile whose rules apply.
    notes : tuple of str
        What was done to the data (span chosen, gaps filled).
    origin : Origin, optional
        The memory-mapped store this market comes from; derived arrays are cached next to it.
    """

    open_time: np.ndarray
    bar: np.timedelta64
    contracts: tuple[Contract, ...]
    last: np.ndarray
    mark: np.ndarray
    volume: np.ndarray
    settlements: np.ndarray
    tradable: np.ndarray
    index: np.ndarray | None = None
    predicted_rate: np.ndarray | None = None
    implied_volatility: np.ndarray | None = None
    finer: MarketData | None = None
    truth: Mapping[str, np.ndarray] | None = None
    name: str = ""
    venue: str = "binance-usdm"
    notes: tuple[str, ...] = ()
    origin: Origin | None = None

    def __post_init__(self) -> None:
        self._canonicalise()
        check_market(self._values())

    def _canonicalise(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("open_time", _frozen(self.open_time, "datetime64[ms]"))
        put("bar", np.timedelta64(self.bar, "ms"))
        put("contracts", tuple(self.contracts))
        put("settlements", _frozen(self.settlements, SETTLEMENT_DTYPE))
        put("tradable", _frozen(self.tradable, np.bool_))
        put("notes", tuple(self.notes))
        for name in (*PRICES, "volume", "predicted_rate", "implied_volatility"):
            value = getattr(self, name)
            put(name, None if value is None else _frozen(value, np.float64))
        if self.truth is not None:
            put("truth", {key: _frozen(value, None) for key, value in self.truth.items()})

    @classmethod
    def trusted(cls, **values: Any) -> MarketData:
        """Build from validated arrays without reading them again (slices, memory maps)."""
        market = object.__new__(cls)
        for field in fields(cls):
            object.__setattr__(market, field.name, values.get(field.name, field.default))
        market._canonicalise()
        return market

    def _values(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def arrays(self, names: Sequence[str] = (*PRICES, *COLUMNS)) -> dict[str, np.ndarray]:
        """Those of the named arrays that the market has."""
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def replace(self, **changes: Any) -> MarketData:
        """Return the market with some fields replaced, for example ``replace(last=prices)``.

        The values are trusted: unlike ``dataclasses.replace`` it checks nothing, so that what is cut from a large
        market is not read.
        """
        origin = self.origin if changes.keys() <= _ASIDE else None
        return self.trusted(**(self._values() | {"origin": origin} | changes))

    @property
    def n_bars(self) -> int:
        return self.open_time.size

    @property
    def n_contracts(self) -> int:
        return len(self.contracts)

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(contract.symbol for contract in self.contracts)

    @property
    def close_time(self) -> np.ndarray:
        """Moment at which each bar is known, shape (n_bars,)."""
        return self.open_time + self.bar

    # Of every bar, each of shape (n_bars, n_contracts): the traded price, then the mark price.
    open, high, low, close = (_Price("last", k) for k in range(4))
    mark_open, mark_high, mark_low, mark_close = (_Price("mark", k) for k in range(4))

    def __len__(self) -> int:
        return self.n_bars

    def __repr__(self) -> str:
        span = f"{text(self.open_time[0])} to {text(self.close_time[-1])}" if self.n_bars else "no bars"
        what = f"{self.name}: " if self.name else ""
        finer = f", finer {label(self.finer.bar)}" if self.finer is not None else ""
        return (
            f"MarketData({what}{', '.join(self.symbols)}; {self.n_bars:,} bars of {label(self.bar)}, "
            f"{span} UTC, {self.settlements.size:,} settlements{finer})"
        )

    def __copy__(self) -> MarketData:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> MarketData:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if self.origin is None:
            return partial(self.trusted, **self._values()), ()
        aside = {name: getattr(self, name) for name in _ASIDE - {"origin"}}
        return _reopen, (self.origin, self.symbols, self.open_time[0], self.n_bars, aside)

    @property
    def cache_folder(self) -> Path | None:
        """Folder for arrays computed from a memory-mapped market; None for one in memory."""
        if self.origin is not None:
            return self.origin.folder / "derived"
        return None if self.finer is None else self.finer.cache_folder

    @cached_property
    def identity(self) -> str:
        """Hash that differs where the values do; markets from a store are not read for it."""
        return identity(self._values())

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the values (not of files, names or notes): two copies of the same bars agree."""
        return fingerprint(self._values())

    def between(self, start: Any = None, end: Any = None) -> MarketData:
        """Return the bars with start <= open_time < end; settlements within [first open, last close).

        Parameters
        ----------
        start, end : date, datetime, datetime64 or ISO text, optional
            UTC; None leaves that side unchanged.

        Raises
        ------
        ValueError
            If no bar is in the span.
        """
        first = 0 if start is None else int(np.searchsorted(self.open_time, stamp(start)))
        last = self.n_bars if end is None else int(np.searchsorted(self.open_time, stamp(end)))
        if first >= last:
            raise ValueError(f"no bar of {self!r} opens in [{start}, {end}). Choose a span inside it.")
        return self.rows(first, last)

    def split(self, *times: Any) -> list[MarketData]:
        """Cut in time: ``split(t1, t2)`` returns the parts before t1, from t1 to t2, and from t2 on."""
        edges = [None, *times, None]
        return [self.between(a, b) for a, b in pairwise(edges)]

    def select(self, symbols: str | Sequence[str]) -> MarketData:
        """Return the market of some contracts, in the given order."""
        wanted = [symbols] if isinstance(symbols, str) else list(symbols)
        for symbol in wanted:
            if symbol not in self.symbols:
                raise ValueError(f"no contract {symbol!r} in this market; it has {', '.join(self.symbols)}.")
        columns = [self.symbols.index(symbol) for symbol in wanted]
        first, last = columns[0], columns[-1] + 1
        # Adjacent contracts are a view: a store's arrays stay memory-mapped.
        where: Any = slice(first, last) if columns == list(range(first, last)) else columns
        changes: dict[str, Any] = {name: value[:, where] for name, value in self.arrays().items()}
        changes["origin"] = self.origin
        changes["contracts"] = tuple(self.contracts[k] for k in columns)
        changes["settlements"] = _select_settlements(self.settlements, columns)
        changes["truth"] = self.map_truth(lambda value: value[:, columns] if value.ndim > 1 else value)
        changes["finer"] = None if self.finer is None else self.finer.select(wanted)
        return self.replace(**changes)

    def with_finer(self, finer: MarketData | None) -> MarketData:
        """Return the same bars with finer bars as the path inside them.

        Raises
        ------
        ValueError
            If the contracts differ, or the finer bar is not a fraction of this one on the same grid.
        """
        if finer is not None:
            _check_finer(self, finer)
        return self.replace(finer=finer)

    def renamed(self, name: str, *notes: str) -> MarketData:
        """Return the same market under another name, with notes added."""
        return self.replace(name=name, notes=(*self.notes, *notes))

    def rows(self, first: int, last: int) -> MarketData:
        """Return bars first .. last - 1, and what belongs to them; a view where the market is mapped."""
        span = slice(first, last)
        changes: dict[str, Any] = {name: value[span] for name, value in self.arrays().items()}
        changes["origin"] = self.origin
        start, end = self.open_time[first], self.open_time[last - 1] + self.bar
        cut = np.searchsorted(self.settlements["time"], [start, end])
        changes["open_time"] = self.open_time[span]
        changes["settlements"] = self.settlements[cut[0] : cut[1]]
        changes["truth"] = self.map_truth(lambda value: value[span])
        changes["finer"] = None if self.finer is None else _overlap(self.finer, start, end)
        return self.replace(**changes)

    def map_truth(self, change: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray] | None:
        """``truth`` with a function applied to every array that has a value per bar; constants stay."""
        if self.truth is None:
            return None
        rows = self.n_bars
        return {k: change(v) if v.ndim and v.shape[0] == rows else v for k, v in self.truth.items()}

    @classmethod
    def from_frames(cls, last: Any, **options: Any) -> MarketData:
        """Build a market from pandas tables; see :func:`gearing.market.history.frames.market_from_frames`.

        Parameters
        ----------
        last : DataFrame or mapping of symbol to DataFrame
            Columns open_time (or a time index), open, high, low, close and optionally volume.
        **options
            ``mark``, ``funding``, ``index``, ``contract``, ``venue``, ``missing_mark``, ...
        """
        from gearing.market.history.frames import market_from_frames

        return market_from_frames(last, **options)


def market_list(given: Any) -> list[MarketData]:
    """One market or a sequence of them, as a list.

    Raises
    ------
    TypeError
        For anything else, such as the name of a contract.
    """
    markets = list(given) if isinstance(given, (list, tuple)) else [given]
    for market in markets:
        if not isinstance(market, MarketData):
            raise TypeError(
                f"market is {shown(market)}; give a MarketData: gearing.load_market(folder, ['BTCUSDT']), "
                "gearing.synthetic_market('market-b') or MarketData.from_frames(...)."
            )
    return markets


def settlement_array(time: Any, contract: Any, rate: Any, mark: Any) -> np.ndarray:
    """Settlements from arrays that broadcast against each other, in the order of their elements."""
    rows = np.empty(np.broadcast(time, contract, rate, mark).shape, SETTLEMENT_DTYPE)
    rows["time"], rows["contract"], rows["rate"], rows["mark"] = time, contract, rate, mark
    return rows.ravel()


def sorted_settlements(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Settlements of several contracts in one array, sorted by (time, contract)."""
    joined = np.concatenate([np.empty(0, SETTLEMENT_DTYPE), *parts])
    return joined[np.lexsort((joined["contract"], joined["time"]))]


def _frozen(values: Any, dtype: Any) -> np.ndarray:
    """A read-only array; a writable one is copied, so that its owner cannot change a market."""
    array = np.asarray(values) if dtype is None else np.asarray(values, dtype=dtype)
    if array.flags.writeable:
        array = array.copy()
        array.setflags(write=False)
    return array


def _reopen(
    origin: Origin, symbols: tuple[str, ...], start: np.datetime64, n_bars: int, aside: dict[str, Any]
) -> MarketData:
    whole = origin.reopen(origin.folder)
    if whole.origin != origin:
        raise ValueError(f"the store {origin.folder} has been replaced since; open the new one.")
    first = int(np.searchsorted(whole.open_time, start))
    return whole.select(symbols).rows(first, first + n_bars).replace(**aside)


def _select_settlements(settlements: np.ndarray, columns: Sequence[int]) -> np.ndarray:
    parts = []
    for new, old in enumerate(columns):
        part = settlements[settlements["contract"] == old].copy()
        part["contract"] = new
        parts.append(part)
    return sorted_settlements(parts)


def _overlap(finer: MarketData, start: np.datetime64, end: np.datetime64) -> MarketData | None:
    first, last = np.searchsorted(finer.open_time, [start, end])
    return finer.rows(int(first), int(last)) if last > first else None


def _check_finer(market: MarketData, finer: MarketData) -> None:
    if finer.symbols != market.symbols:
        raise ValueError(
            f"finer bars are of {finer.symbols}, the market of {market.symbols}; they must agree."
        )
    if finer.bar >= market.bar or market.bar % finer.bar != np.timedelta64(0, "ms"):
        raise ValueError(f"finer bars of {label(finer.bar)} do not divide bars of {label(market.bar)}.")
    if (finer.open_time[0] - market.open_time[0]) % finer.bar != np.timedelta64(0, "ms"):
        raise ValueError(
            f"finer bars start at {text(finer.open_time[0])}, off the grid of the market's bars."
        )
