"""Feature sets: ordered columns, and the table they compute."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from gearing.features.feature import Feature, get_feature
from gearing.features.table import AVAILABLE, FeatureTable, Warmup, mask_unavailable, saturate
from gearing.market import MarketData
from gearing.market.data import market_list
from gearing.market.timing import label
from gearing.names import shown
from gearing.storage.digest import code_digest, digest
from gearing.storage.mapped import ArrayFile, cached_folder, mapped, write_folder

if TYPE_CHECKING:
    import pandas as pd

MAPPED_FROM = 1 << 26  # bytes; smaller tables stay in memory
BLOCK = 1 << 20  # values of a column computed at a time

GROUPS: dict[str, tuple[str, ...]] = {
    "default": (
        "log_return",
        "realized_volatility_24h",
        "realized_volatility_7d",
        "realized_volatility_30d",
        "atr_24h",
        "bollinger_width_20d",
        "bollinger_position_20d",
        "trend_7d",
        "momentum_30d",
        "funding_rate",
        "funding_carry_7d",
        "hour_sin",
        "hour_cos",
        "weekday_sin",
        "weekday_cos",
        "volatility_percentile_90d",
        "volume_ratio_7d",
    )
}
"""Names of features by group; a group's name stands for all of them."""


class FeatureSet:
    """Features in a fixed order.

    Parameters
    ----------
    columns : str, or sequence of str and Feature
        Names of registered features or of groups ("default"), in the order of the table's columns.

    Examples
    --------
    >>> FeatureSet(["log_return", "realized_volatility_24h"]).columns
    ('log_return', 'realized_volatility_24h')
    """

    def __init__(self, columns: str | Sequence[str | Feature] = "default"):
        single = isinstance(columns, str | Feature) or not isinstance(columns, Iterable)
        given: list[Any] = [columns] if single else list(columns)
        for one in given:
            if not isinstance(one, str | Feature):
                raise TypeError(
                    f"a column of a feature set is {shown(one)}; give names of features or groups."
                )
        self.features = tuple(_resolved(given))
        if twice := sorted({name for name in self.columns if self.columns.count(name) > 1}):
            raise ValueError(f"a feature set names each column once, but {', '.join(twice)} came twice.")
        if not self.columns:
            raise ValueError("a feature set needs at least one column.")

    @classmethod
    def default(cls) -> FeatureSet:
        """The default columns."""
        return cls("default")

    @property
    def columns(self) -> tuple[str, ...]:
        """Names in order; ``FeatureSet(list(columns))`` is the same set again."""
        return tuple(f.name for f in self.features)

    def __repr__(self) -> str:
        return f"FeatureSet({list(self.columns)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FeatureSet) and self.columns == other.columns

    def __hash__(self) -> int:
        return hash(self.columns)

    def lookback(self, bar: np.timedelta64) -> int:
        """Bars that one complete row needs, its own bar included."""
        return max(f.lookback_bars(bar) for f in self.features)

    def compute(self, market: MarketData) -> FeatureTable:
        """The table of this set for every bar of the market.

        The table of a memory-mapped market is memory-mapped as well, cached in the store's folder.

        Raises
        ------
        ValueError
            If the market is shorter than the longest lookback.
        """
        return self.compute_all([market])[0]

    def compute_all(self, markets: Sequence[MarketData]) -> list[FeatureTable]:
        """Tables of several markets; those of memory-mapped markets are consecutive in one file."""
        for market in market_list(markets):
            self._refuse_short(market)
        cache = markets[0].cache_folder
        size = sum(market.n_bars * market.n_contracts * len(self.features) * 4 for market in markets)
        if cache is None or size < MAPPED_FROM:
            return [self._table(market, *self._computed(market, 0, market.n_bars)) for market in markets]
        return mapped_tables(self, markets, cache)

    def _computed(self, market: MarketData, first: int, last: int) -> tuple[np.ndarray, dict[str, int]]:
        """Values of bars first .. last - 1, from the lookback's history only, and counts of saturated ones."""
        start = max(0, first - self.lookback(market.bar) + 1)
        part = market if (start, last) == (0, market.n_bars) else market.rows(start, last)
        known = np.any(market.tradable[:start], axis=0)
        values = np.empty((last - first, market.n_contracts, len(self.features)), dtype=np.float32)
        saturated = {}
        for i, f in enumerate(self.features):
            exact = _quiet(f, part, known)[first - start :]
            values[:, :, i], saturated[f.name] = saturate(exact, f.lower, f.upper)
        if AVAILABLE in self.columns:
            warm = max(0, self.lookback(market.bar) - 1 - first)
            mask_unavailable(values[warm:], self.columns.index(AVAILABLE), *self.bounds)
        return values, saturated

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest value of every column, each (n_columns,) float32."""
        lower, upper = ([getattr(f, side) for f in self.features] for side in ("lower", "upper"))
        return np.array(lower, dtype=np.float32), np.array(upper, dtype=np.float32)

    def _table(self, market: MarketData, values: np.ndarray, saturated: dict[str, int]) -> FeatureTable:
        lower, upper = self.bounds
        return FeatureTable(
            open_time=market.open_time,
            closes=market.close,
            bar=market.bar,
            symbols=tuple(market.symbols),
            columns=self.columns,
            values=values,
            lower=lower,
            upper=upper,
            units=tuple(f.unit for f in self.features),
            saturated=saturated,
        )

    def _refuse_short(self, market: MarketData) -> None:
        longest = max(self.features, key=lambda f: f.least_bars(market.bar))
        needed = longest.least_bars(market.bar)
        if market.n_bars < needed:
            raise ValueError(
                f"{longest.name!r} looks back over {needed} bars of {label(market.bar)}, "
                f"the market has {market.n_bars}; load a longer history or leave that column out."
            )

    def spec_table(self) -> pd.DataFrame:
        """One row per column: unit, bounds, lookback and source."""
        import pandas as pd

        table = pd.DataFrame([{**vars(f), "lookback": " + ".join(f.lookback)} for f in self.features])
        return table.set_index("name")[["unit", "lower", "upper", "lookback", "source"]]


def _resolved(given: Sequence[str | Feature]) -> Iterator[Feature]:
    for item in given:
        if isinstance(item, Feature):
            yield item
        else:
            yield from map(get_feature, GROUPS.get(item, (item,)))


def _quiet(f: Feature, market: MarketData, traded_before: np.ndarray) -> np.ndarray:
    """Values of a feature, zero after a contract was delisted.

    Observations must stay finite there; before the listing values are NaN.
    """
    values = f(market)
    ended = ~market.tradable & ((np.cumsum(market.tradable, axis=0) > 0) | traded_before)
    values[ended] = np.clip(0.0, f.lower, f.upper)
    return values


def mapped_tables(features: FeatureSet, markets: Sequence[MarketData], cache: Path) -> list[FeatureTable]:
    """Tables mapped from a file of the cache folder, computed block by block if it is missing.

    The cache key includes this package's source. The code of other packages cannot be checked, so a table with one of
    their features is computed anew and its file is removed with the process.
    """
    declared = [(f.name, f.lookback, f.lower, f.upper) for f in features.features]
    identities = [market.identity for market in markets]
    key = f"features-{digest(code_digest(__package__), declared, identities, length=24)}"
    if all(f.origin.startswith(f"{__package__}.") for f in features.features):
        folder, metadata = cached_folder(cache, key, lambda draft: _write_tables(draft, features, markets))
        values = mapped(folder / "values.npy")
    else:
        folder = cache / f"{key}-{uuid4().hex}"
        metadata = write_folder(folder, lambda draft: _write_tables(draft, features, markets))
        values = mapped(folder / "values.npy")
        shutil.rmtree(folder, ignore_errors=True)  # a mapped file stays readable until it is closed
    tables, first = [], 0
    for market, fact in zip(markets, metadata["tables"], strict=True):
        part = values[first : first + market.n_bars * market.n_contracts]
        shape = (market.n_bars, market.n_contracts, len(features.features))
        table = features._table(market, part.reshape(shape), fact["saturated"])
        if fact["first_complete"] is not None:
            table.__dict__["first_complete"] = fact["first_complete"]
        tables.append(table)
        first += market.n_bars * market.n_contracts
    return tables


def _write_tables(draft: Path, features: FeatureSet, markets: Sequence[MarketData]) -> dict[str, Any]:
    metadata, columns = [], len(features.features)
    with ArrayFile(draft / "values.npy", np.float32, (columns,)) as file:
        for market in markets:
            counts = dict.fromkeys(features.columns, 0)
            complete = Warmup()
            step = max(BLOCK // market.n_contracts, 2 * features.lookback(market.bar))
            for first in range(0, market.n_bars, step):
                values, saturated = features._computed(market, first, min(first + step, market.n_bars))
                file.append(values.reshape(-1, columns))
                complete.add(values)
                counts = {name: count + saturated[name] for name, count in counts.items()}
            metadata.append({"saturated": counts, "first_complete": complete.first})
    return {"tables": metadata}
