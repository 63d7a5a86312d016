"""Feature tables: columns known at the close of every bar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gearing.market.timing import stamp

AVAILABLE = "available"  # the column that says which contracts can be traded
_ROWS = 1 << 18  # rows checked at a time


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Columns known at the close of each bar, in raw units.

    Attributes
    ----------
    open_time : (n_bars,) datetime64[ms]
        Row k is what is known at ``open_time[k] + bar``, the close of bar k.
    bar : timedelta64[ms]
    symbols, columns : tuple of str
    values : (n_bars, n_contracts, n_columns) float32
        NaN in the warm-up only; a delisted contract has zeros, clipped to the bounds. So has a contract that is not
        available yet, in a table with the column ``available``.
    lower, upper : (n_columns,) float32
        Finite bounds of every column.
    units : tuple of str
    saturated : dict of str to int
        How many values of a column were clipped to its bounds.
    fitted_until : dict of str to (n_bars, n_contracts) datetime64[ms]
        For columns that come from a fitted model: close of the last bar each row's model was fitted on.
    closes : (n_bars, n_contracts) float64, optional
        Traded closes of the market that the table was computed on: a table of another market is refused by them.
    """

    open_time: NDArray[np.datetime64]
    bar: np.timedelta64
    symbols: tuple[str, ...]
    columns: tuple[str, ...]
    values: NDArray[np.float32]
    lower: NDArray[np.float32]
    upper: NDArray[np.float32]
    units: tuple[str, ...]
    saturated: Mapping[str, int] = field(default_factory=dict)
    fitted_until: Mapping[str, NDArray[np.datetime64]] = field(default_factory=dict)
    closes: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        expected = (len(self.open_time), len(self.symbols), len(self.columns))
        if self.values.shape != expected:
            raise ValueError(
                f"values have shape {self.values.shape}; bars, symbols and columns require {expected}."
            )
        if len(set(self.columns)) != len(self.columns):
            raise ValueError(f"column names must differ, given {self.columns}.")
        self.values.setflags(write=False)

    def __repr__(self) -> str:
        shape = f"{len(self.open_time)} bars, {'/'.join(self.symbols)}, {len(self.columns)} columns"
        return f"FeatureTable({shape}, {sum(self.saturated.values())} values saturated)"

    @property
    def close_time(self) -> NDArray[np.datetime64]:
        """Moment each row is known (n_bars,)."""
        return self.open_time + self.bar

    def computed_on(self, closes: NDArray[np.float64]) -> bool:
        """Whether the table can be of a market with these closes (n_bars, n_contracts)."""
        own = self.closes
        if (
            own is None or own.__array_interface__ == closes.__array_interface__
        ):  # the same memory is not read
            return True
        return np.array_equal(own, closes, equal_nan=True)

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Whether a contract's row has no NaN (n_bars, n_contracts)."""
        return np.asarray(np.isfinite(self.values).all(axis=2))

    @cached_property
    def first_complete(self) -> int:
        """Index of the first bar with every column of every contract.

        Raises
        ------
        ValueError
            If there is none, or a value is missing later.
        """
        seen = Warmup()
        for start in range(0, len(self.values), _ROWS):
            seen.add(self.values[start : start + _ROWS])
        if seen.begun is None:
            missing = np.asarray(~np.isfinite(self.values).all(axis=1).any(axis=0))
            names = [name for name, gone in zip(self.columns, missing, strict=True) if gone]
            raise ValueError(
                f"no bar of {self.open_time[0]} .. {self.open_time[-1]} has all columns; never complete: "
                f"{', '.join(names) or 'all of them at once'}. Load a longer history or drop them."
            )
        if seen.first is None:
            raise ValueError(self._missing(seen.begun))
        return seen.first

    def _missing(self, first: int) -> str:
        row, contract, column = np.argwhere(~np.isfinite(self.values[first:]))[0]
        return (
            f"column {self.columns[column]!r} of {self.symbols[contract]} is missing at "
            f"{self.open_time[first + row]}, after the warm-up; every later bar must have one."
        )

    def index(self, name: str) -> int:
        """Position of a column; an unknown name is a ValueError."""
        if name not in self.columns:
            raise ValueError(f"there is no column {name!r}; the table has {', '.join(self.columns)}.")
        return self.columns.index(name)

    def column(self, name: str) -> NDArray[np.float32]:
        """One column (n_bars, n_contracts)."""
        return self.values[:, :, self.index(name)]

    def select(self, names: tuple[str, ...] | list[str]) -> FeatureTable:
        """The named columns, in the order given."""
        at = [self.index(name) for name in names]
        return replace(
            self,
            columns=tuple(names),
            values=np.ascontiguousarray(self.values[:, :, at]),
            lower=self.lower[at],
            upper=self.upper[at],
            units=tuple(self.units[i] for i in at),
            saturated={n: c for n, c in self.saturated.items() if n in names},
            fitted_until={n: c for n, c in self.fitted_until.items() if n in names},
        )

    def between(
        self, start: str | np.datetime64 | None = None, end: str | np.datetime64 | None = None
    ) -> FeatureTable:
        """Rows whose bar opens in [start, end); saturation counts stay those of the whole table."""
        first = 0 if start is None else int(np.searchsorted(self.open_time, stamp(start)))
        last = len(self.open_time) if end is None else int(np.searchsorted(self.open_time, stamp(end)))
        keep = slice(first, last)  # a view: the rows of a mapped table stay in its file
        stamps = {name: until[keep] for name, until in self.fitted_until.items()}
        closes = None if self.closes is None else self.closes[keep]
        part = replace(
            self, open_time=self.open_time[keep], values=self.values[keep], fitted_until=stamps, closes=closes
        )
        known = self.__dict__.get("first_complete")
        if known is not None and known < last:
            part.__dict__["first_complete"] = max(0, known - first)
        return part

    def join(
        self,
        name: str,
        values: ArrayLike,
        *,
        unit: str = "",
        lower: float,
        upper: float,
        fitted_until: NDArray[np.datetime64] | None = None,
    ) -> FeatureTable:
        """A new table with one more column: a forecast, or a signal of your own.

        Parameters
        ----------
        values : (n_bars,) or (n_bars, n_contracts)
            Known at the close of each bar; leading NaN is warm-up. Values beyond the bounds are clipped
            and counted.
        fitted_until : (n_bars,) or (n_bars, n_contracts) datetime64, optional
            Close of the last bar that the model behind each row was fitted on.

        Raises
        ------
        ValueError
            If the name is taken, the shape is wrong, or a row comes from a model fitted past that row.
        """
        if name in self.columns:
            raise ValueError(f"the table already has a column {name!r}; choose another name.")
        if not (np.isfinite(lower) and np.isfinite(upper) and lower < upper):
            raise ValueError(
                f"column {name!r} has bounds [{lower}, {upper}]; both must be finite, the lower smaller."
            )
        added = self._widened(name, np.asarray(values, dtype=np.float64))
        clipped, count = saturate(added, lower, upper)
        stamps = dict(self.fitted_until)
        if fitted_until is not None:
            stamps[name] = self._checked_stamps(name, np.asarray(fitted_until, "datetime64[ms]"), clipped)
        return replace(
            self,
            columns=(*self.columns, name),
            values=np.concatenate([self.values, clipped[:, :, None]], axis=2),
            lower=np.append(self.lower, np.float32(lower)),
            upper=np.append(self.upper, np.float32(upper)),
            units=(*self.units, unit),
            saturated={**self.saturated, name: count},
            fitted_until=stamps,
        )

    def _widened(self, name: str, values: np.ndarray) -> np.ndarray:
        shape = (len(self.open_time), len(self.symbols))
        if values.shape == shape[:1]:
            values = values[:, None]
        if values.shape not in (shape, (shape[0], 1)):
            raise ValueError(f"column {name!r} has shape {values.shape}; it must be {shape} or {shape[:1]}.")
        return np.array(np.broadcast_to(values, shape))

    def _checked_stamps(self, name: str, stamps: np.ndarray, values: np.ndarray) -> np.ndarray:
        stamps = self._widened(f"fitted_until of {name}", stamps)
        known = np.isfinite(values)
        late = known & ((stamps > self.close_time[:, None]) | np.isnat(stamps))
        if late.any():
            row, contract = np.argwhere(late)[0]
            raise ValueError(
                f"column {name!r}: the row known at {self.close_time[row]} comes from a model fitted until "
                f"{stamps[row, contract]}. A forecast must be out of sample; those of walk_forward are."
            )
        return stamps


class Warmup:
    """Finds the end of a table's warm-up, block by block.

    Attributes
    ----------
    begun : int or None
        Index of the first row without NaN.
    first : int or None
        The same, if no later row has one.
    """

    def __init__(self) -> None:
        self.begun: int | None = None
        self._rows, self._whole = 0, True

    @property
    def first(self) -> int | None:
        return self.begun if self._whole else None

    def add(self, values: np.ndarray) -> None:
        """Check the next rows (n, n_contracts, n_columns)."""
        whole = np.isfinite(values).all(axis=(1, 2))
        if self.begun is None and whole.any():
            offset = int(whole.argmax())
            self.begun, whole = self._rows + offset, whole[offset:]
        if self.begun is not None:
            self._whole &= bool(whole.all())
        self._rows += len(values)


def saturate(values: np.ndarray, lower: float, upper: float) -> tuple[NDArray[np.float32], int]:
    """Values as float32 clipped to [lower, upper], and how many were clipped."""
    bounds = np.float32(lower), np.float32(upper)
    narrow = values.astype(np.float32)
    count = int(((narrow < bounds[0]) | (narrow > bounds[1])).sum())
    return np.clip(narrow, *bounds), count


def mask_unavailable(values: np.ndarray, at: int, lower: np.ndarray, upper: np.ndarray) -> None:
    """Complete the rows of a feature table that has the column ``available``, in place.

    Parameters
    ----------
    values : (n_bars, n_contracts, n_columns) float32
        Rows whose lookback lies inside the market.
    at : int
        Index of ``available`` among the columns. It becomes 1 where a contract trades and no column is NaN, else 0.
    lower, upper : (n_columns,)
        Bounds of the columns; a contract that is not available has zeros, clipped to them.
    """
    known = (values[:, :, at] > 0.0) & np.isfinite(values).all(axis=2)
    values[~known] = np.clip(0.0, lower, upper)
    values[:, :, at] = known
