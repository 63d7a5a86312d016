"""Observations: one raw float32 array, and a view of it by column name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gearing.exchange.observing import ACCOUNT_BOUNDS, ACCOUNT_COLUMNS, POSITION_BOUNDS, POSITION_COLUMNS
from gearing.features import FeatureTable

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ObservationLayout:
    """Order, names and bounds of the observation columns.

    First the market columns, contract by contract; then the position columns, slot by slot; then the account columns,
    and those that an environment adds to them (``added``).
    """

    symbols: tuple[str, ...]
    slots: tuple[str, ...]
    columns: tuple[str, ...]
    units: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray
    added: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: FeatureTable, slots: tuple[str, ...]) -> ObservationLayout:
        """Layout of a feature table's columns and the account columns."""
        position = np.array(POSITION_BOUNDS * len(slots) + ACCOUNT_BOUNDS, np.float32)
        low = np.concatenate([np.tile(table.lower, len(table.symbols)), position[:, 0]])
        high = np.concatenate([np.tile(table.upper, len(table.symbols)), position[:, 1]])
        return cls(table.symbols, slots, table.columns, table.units, low, high)

    def with_added(self, bounds: Mapping[str, tuple[float, float]]) -> ObservationLayout:
        """The layout with further columns of the account at its end, by name with their bounds."""
        ends = np.array(list(bounds.values()), np.float32).reshape(-1, 2)
        low, high = np.concatenate([self.low, ends[:, 0]]), np.concatenate([self.high, ends[:, 1]])
        return replace(self, low=low, high=high, added=(*self.added, *bounds))

    @property
    def account_columns(self) -> tuple[str, ...]:
        """Columns of the account, in order."""
        return (*ACCOUNT_COLUMNS, *self.added)

    @property
    def size(self) -> int:
        """Number of columns of the flat array."""
        return self.low.size

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Name of every flat column; with several contracts "COLUMN[SYMBOL]"."""
        many = len(self.slots) > 1
        market = [f"{c}[{s}]" if len(self.symbols) > 1 else c for s in self.symbols for c in self.columns]
        position = [f"{c}[{s}]" if many else c for s in self.slots for c in POSITION_COLUMNS]
        return (*market, *position, *self.account_columns)

    def table(self) -> pd.DataFrame:
        """Printable table of the columns: name, lowest, highest, unit (pandas)."""
        import pandas as pd

        units = [
            *self.units * len(self.symbols),
            *("ratio",) * (self.size - len(self.units) * len(self.symbols)),
        ]
        return pd.DataFrame({"column": self.names, "low": self.low, "high": self.high, "unit": units})

    def locate(self, name: str) -> slice | int:
        """Index of a column in the flat array: a slice over contracts or slots, or one index."""
        market = len(self.columns) * len(self.symbols)
        if name in self.columns:
            return slice(self.columns.index(name), market, len(self.columns))
        end = market + len(POSITION_COLUMNS) * len(self.slots)
        if name in POSITION_COLUMNS:
            return slice(market + POSITION_COLUMNS.index(name), end, len(POSITION_COLUMNS))
        if name in self.account_columns:
            return end + self.account_columns.index(name)
        known = ", ".join((*self.columns, *POSITION_COLUMNS, *self.account_columns))
        raise KeyError(
            f"no observation column {name!r}; there are {known}. A policy is given the features "
            "that its required_columns declare."
        )


class Observation(Mapping[str, np.ndarray]):
    """Named view of a batch of observations.

    ``observation["realized_volatility_24h"]`` has shape (n_accounts, n_contracts), position columns
    (n_accounts, n_slots), account columns (n_accounts, 1); ``observation.array`` is the raw (n_accounts, n_columns).
    """

    def __init__(self, layout: ObservationLayout, array: np.ndarray):
        self.layout = layout
        self.array = array

    def __getitem__(self, name: str) -> np.ndarray:
        where = self.layout.locate(name)
        return self.array[:, where] if isinstance(where, slice) else self.array[:, where : where + 1]

    def __iter__(self) -> Iterator[str]:
        return iter((*self.layout.columns, *POSITION_COLUMNS, *self.layout.account_columns))

    def __len__(self) -> int:
        return len(self.layout.columns) + len(POSITION_COLUMNS) + len(self.layout.account_columns)
