"""Features bar by bar: what `FeatureSet.compute` gives for the last bar, without the look-back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from gearing.features.feature_set import FeatureSet
from gearing.features.streaming.memory import WindowMemory
from gearing.features.table import AVAILABLE, mask_unavailable
from gearing.market.data import MarketData, sorted_settlements

_OWN = "gearing.features."
_DEFAULTS = {field.name: field.default for field in fields(MarketData)}


def one_bar(market: MarketData, **values: Any) -> MarketData:
    """A bar that follows a market, whose values are trusted and not copied.

    Parameters
    ----------
    market : MarketData
        Gives bar, contracts, venue and name.
    **values
        Other fields of a MarketData, first axis 1.
    """
    shared = {name: getattr(market, name) for name in ("bar", "contracts", "venue", "name")}
    made = object.__new__(MarketData)
    made.__dict__.update(_DEFAULTS | shared | values)
    return made


class FeatureStream:
    """Rows of feature sets, one bar after the other.

    Features of this package remember their windows (:mod:`gearing.features.streaming.memory`). Those of other packages
    may look at earlier bars in their own way: they are computed on their whole look-back at every bar.

    Parameters
    ----------
    sets : sequence of FeatureSet
    market : MarketData
        At least the longest lookback.
    """

    def __init__(self, sets: Sequence[FeatureSet], market: MarketData):
        self.sets = tuple(sets)
        self._columns = [one.columns for one in self.sets]
        self._memory = WindowMemory()
        own = {f.name: f for one in self.sets for f in one.features if f.origin.startswith(_OWN)}
        others = {f.name: f for one in self.sets for f in one.features if f.name not in own}
        self.own, self._others = tuple(own.values()), tuple(others.values())
        with self._memory.beginning(), np.errstate(divide="ignore", invalid="ignore"):
            begun = {f.name: np.asarray(f.compute(market))[-1] for f in self.own}
        begun |= {f.name: f(market)[-1] for f in self._others}
        kept = max((f.lookback_bars(market.bar) for f in self._others), default=1)
        self._past = market.rows(max(0, market.n_bars - kept), market.n_bars)
        self._bounds = [one.bounds for one in self.sets]
        self.rows = self._arranged(begun)

    def push(self, bar: MarketData) -> list[np.ndarray]:
        """Rows (n_contracts, n_columns) float32 of every set at the next bar, also in ``rows``.

        ``bar`` is of :func:`one_bar`; its values have been checked.
        """
        with self._memory.stepping(), np.errstate(divide="ignore", invalid="ignore"):
            found = {f.name: np.asarray(f.compute(bar))[-1] for f in self.own}
        if self._others:
            self._past = _followed(self._past, bar)
            found |= {f.name: f(self._past)[-1] for f in self._others}
        self.rows = self._arranged(found)
        return self.rows

    def _arranged(self, found: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Rows as tables hold them: single precision, within the bounds."""
        made = []
        for columns, (lower, upper) in zip(self._columns, self._bounds, strict=True):
            exact = np.array([found[name] for name in columns], np.float64).T
            made.append(np.minimum(np.maximum(exact.astype(np.float32), lower), upper))  # as np.clip, faster
            if AVAILABLE in columns:
                mask_unavailable(made[-1][None], columns.index(AVAILABLE), lower, upper)
        return made


def _followed(past: MarketData, bar: MarketData) -> MarketData:
    """The market one bar later, as long as before."""
    joined: dict[str, Any] = {
        name: np.concatenate([values[1:], getattr(bar, name)]) for name, values in past.arrays().items()
    }
    joined["open_time"] = np.concatenate([past.open_time[1:], bar.open_time])
    cash = sorted_settlements([past.settlements, bar.settlements])
    joined["settlements"] = cash[cash["time"] >= joined["open_time"][0]]
    return past.replace(**joined)
