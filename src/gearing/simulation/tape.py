"""A market laid out for the kernel: one record per row and contract holding all that a step reads.

A row is a bar, or each finer bar inside it where the market carries finer data without a gap; mechanics run row by
row, decisions and features bar by bar. The rows are in memory; those of a market that is mapped from a store are a
mapped file in the store's folder, written once and shared by all processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.exchange.records import margin_tier_dtype, row_dtype, settlement_dtype
from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.market.timing import DAY, label
from gearing.simulation.config import Slippage
from gearing.simulation.tape_rows import MarketRows, Offsets, tier_schedules
from gearing.storage.digest import digest
from gearing.storage.mapped import ArrayFile, cached_folder, mapped

if TYPE_CHECKING:
    from gearing.exchange.engine.intervals import MarketArrays

LAYOUT = 1  # raise it with any change of what a row holds for the same market
BLOCK = 1 << 19  # rows x contracts laid out at a time
MAPPED_FROM = 1 << 26  # bytes; a smaller tape stays in memory, wherever its markets are
_MONDAY = np.datetime64("1970-01-05T00:00", "ms")  # multi-day intervals count from a Monday
_ROW_BYTES = 64  # a cache line


@dataclass(frozen=True, eq=False)
class Tape:
    """Kernel arrays of one or several markets, one after the other; nothing may write to them.

    Attributes
    ----------
    rows : (n_rows, n_contracts) records of ``row_dtype``
    settlements, tiers : records
    features : (n_bars, n_contracts * n_columns) float32
    row_time : (n_rows,) datetime64[ms], the open of each row
    boundaries : per path, the rows at which decisions fall, the last one being where the data end
    schedules : (n, 2) ranges of tiers that rows refer to
    """

    rows: np.recarray
    settlements: np.recarray
    tiers: np.recarray
    features: np.ndarray
    row_time: np.ndarray
    boundaries: tuple[np.ndarray, ...]
    schedules: np.ndarray

    def arrays(self, contracts: np.ndarray, config: np.ndarray) -> MarketArrays:
        """What the kernel reads: these arrays with the records of the contracts and of the settings."""
        # Here, as it loads numba, which bundles run without.
        from gearing.exchange.engine.intervals import MarketArrays as Arrays

        return Arrays(contracts, config, self.tiers, self.rows, self.settlements, self.features)


def decision_bars(open_time: np.ndarray, interval: np.timedelta64, bar: np.timedelta64) -> np.ndarray:
    """Bars at whose open a decision falls: the close before it is divisible by the interval from 00:00 UTC.

    Raises
    ------
    ValueError
        If the interval is no multiple of the bar, longer than a week, or does not divide a day or count whole days.
    """
    interval, bar = interval.astype("timedelta64[ms]"), bar.astype("timedelta64[ms]")
    if interval % bar != np.timedelta64(0, "ms") or interval > 7 * DAY:
        raise ValueError(
            f"decision_interval {label(interval)} must be a multiple of the bar ({label(bar)}) and at most a week."
        )
    if DAY % interval != np.timedelta64(0, "ms") and interval % DAY != np.timedelta64(0, "ms"):
        raise ValueError(f"decision_interval {label(interval)} must divide 24 h or be whole days.")
    return np.flatnonzero((open_time - _MONDAY) % interval == np.timedelta64(0, "ms"))


@dataclass(frozen=True)
class _Plan:
    """What a tape is made from."""

    markets: list[MarketData]
    tables: list[FeatureTable]
    interval: np.timedelta64
    slippage: Slippage
    entry_signal: str | None

    @property
    def key(self) -> str:
        """Differs where any row would."""
        parts: list[Any] = [LAYOUT, row_dtype.descr, str(self.interval), self.slippage]
        for market, table in zip(self.markets, self.tables, strict=True):
            parts += [market.identity, table.first_complete]
            if self.entry_signal is not None:
                parts.append(digest(table.column(self.entry_signal)))
        return f"tape-{digest(repr(parts), length=24)}"

    @property
    def most_rows(self) -> int:
        """At least the number of rows."""
        return sum(m.n_bars + (0 if m.finer is None else m.finer.n_bars) for m in self.markets)


@dataclass(frozen=True)
class _Part:
    """Rows of one market, ready to be laid out."""

    rows: MarketRows
    edges: np.ndarray
    exits: np.ndarray | None

    def blocks(self) -> Iterator[tuple[np.recarray, np.ndarray]]:
        """Pieces of the rows and of their times."""
        step = max(1, BLOCK // self.rows.market.n_contracts)
        for first in range(0, len(self.rows), step):
            last = min(first + step, len(self.rows))
            yield self.rows.block(first, last, self.edges, self.exits), self.rows.time[first:last]


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
    markets : markets of the same bar, with the same number of contracts
    tables : one feature table per market, with the same columns
    interval : decision interval
    slippage : its market part is precomputed per bar
    entry_signal : column whose sign opens and closes trades, where decisions are taken at entries only
    """
    plan = _Plan(markets, tables, interval, slippage, entry_signal)
    cache_folder = markets[0].cache_folder
    size = plan.most_rows * markets[0].n_contracts * row_dtype.itemsize
    if cache_folder is None or size < MAPPED_FROM:
        return _in_memory(plan)
    folder, metadata = cached_folder(cache_folder, plan.key, lambda draft: _write(draft, plan))
    return _opened(folder, metadata, joined_features(tables))


def _parts(plan: _Plan, schedules: list[Any]) -> Iterator[_Part]:
    """The markets one after the other; each is let go of before the next is looked at."""
    offsets = Offsets()
    for market, table, columns in zip(plan.markets, plan.tables, schedules, strict=True):
        rows = MarketRows(market, columns, plan.slippage, offsets)
        edges, exits = _boundaries(market, table, rows.bar_of_row, plan.interval), None
        if plan.entry_signal is not None:
            signal = table.column(plan.entry_signal)[rows.bar_of_row[edges[:-1]] - 1, 0]
            edges, exits = _entries(edges, signal)
        yield _Part(rows, edges, exits)
        offsets = Offsets(
            offsets.row + len(rows), offsets.bar + market.n_bars, offsets.settlement + rows.cash.size
        )


def _in_memory(plan: _Plan) -> Tape:
    tiers, schedules = tier_schedules(plan.markets)
    whole = _aligned((plan.most_rows, plan.markets[0].n_contracts))
    size, cash, times, boundaries = 0, [], [], []
    for part in _parts(plan, schedules):
        for rows, _ in part.blocks():
            whole[size : size + len(rows)] = rows
            size += len(rows)
        cash.append(part.rows.cash)
        times.append(part.rows.time)
        boundaries.append(part.edges + part.rows.offsets.row)
    return Tape(
        rows=whole[:size].view(np.recarray),
        settlements=np.concatenate(cash).view(np.recarray),
        tiers=tiers,
        features=joined_features(plan.tables),
        row_time=np.concatenate(times),
        boundaries=tuple(boundaries),
        schedules=_ranges(schedules),
    )


def _write(draft: Path, plan: _Plan) -> dict[str, Any]:
    """Fill the folder of a mapped tape; returns how many decisions each path has."""
    tiers, schedules = tier_schedules(plan.markets)
    contracts, cash, counts = plan.markets[0].n_contracts, [], []
    with (
        ArrayFile(draft / "rows.npy", row_dtype, (contracts,)) as rows_file,
        ArrayFile(draft / "row_time.npy", "datetime64[ms]") as time_file,
        ArrayFile(draft / "edges.npy", np.int64) as edges_file,
    ):
        for part in _parts(plan, schedules):
            for rows, times in part.blocks():
                rows_file.append(rows)
                time_file.append(times)
            edges_file.append(part.edges + part.rows.offsets.row)
            cash.append(part.rows.cash)
            counts.append(part.edges.size)
    for name, array in (("settlements", np.concatenate(cash)), ("tiers", tiers)):
        with ArrayFile(draft / f"{name}.npy", array.dtype) as file:
            file.append(array)
    np.save(draft / "schedules.npy", _ranges(schedules))
    return {"edges": counts}


def _opened(folder: Path, metadata: dict[str, Any], features: np.ndarray) -> Tape:
    edges = mapped(folder / "edges.npy")
    return Tape(
        rows=mapped(folder / "rows.npy", row_dtype).view(np.recarray),
        settlements=mapped(folder / "settlements.npy", settlement_dtype).view(np.recarray),
        tiers=mapped(folder / "tiers.npy", margin_tier_dtype).view(np.recarray),
        features=features,
        row_time=mapped(folder / "row_time.npy"),
        boundaries=tuple(np.split(edges, np.cumsum(metadata["edges"])[:-1])),
        schedules=np.load(folder / "schedules.npy"),
    )


def joined_features(tables: list[FeatureTable]) -> np.ndarray:
    """Tables one after the other (n_bars, n_contracts * n_columns); those that lie so already are not copied.

    Rows of the warm-up, where values are missing, are never observed: decisions begin after it.
    """
    flat = [table.values.reshape(len(table.open_time), -1) for table in tables]
    ends = [part.ctypes.data + part.nbytes for part in flat]
    together = all(part.flags.c_contiguous for part in flat) and len({id(_owner(part)) for part in flat}) == 1
    if together and all(part.ctypes.data == end for part, end in zip(flat[1:], ends[:-1], strict=True)):
        shape = (sum(len(part) for part in flat), flat[0].shape[1])
        return np.lib.stride_tricks.as_strided(flat[0], shape, flat[0].strides, writeable=False)
    return np.ascontiguousarray(np.concatenate(flat))


def _owner(array: np.ndarray) -> Any:
    """What the memory of an array belongs to."""
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return array


def _ranges(schedules: list[Any]) -> np.ndarray:
    return np.unique(np.concatenate([ranges for market in schedules for _, ranges in market]), axis=0)


def _aligned(shape: tuple[int, ...]) -> np.recarray:
    """Array whose rows start on cache lines."""
    size = int(np.prod(shape)) * row_dtype.itemsize
    buffer = np.empty(size + _ROW_BYTES, np.uint8)
    shift = -buffer.ctypes.data % _ROW_BYTES
    return buffer[shift : shift + size].view(row_dtype).reshape(shape).view(np.recarray)


def _boundaries(
    market: MarketData, table: FeatureTable, bar_of_row: np.ndarray, interval: np.timedelta64
) -> np.ndarray:
    """Rows of the decisions, plus the row where the last whole interval ends (it may be one past the last row)."""
    bars = decision_bars(np.append(market.open_time, market.close_time[-1:]), interval, market.bar)
    bars = bars[bars >= table.first_complete + 1]
    if bars.size < 2:
        raise ValueError(
            f"{market!r} has no whole decision interval of {label(interval)} after its warm-up "
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
