"""Rows of a forecasting problem: features known at a close, and the variance that followed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gearing.features import FeatureSet
from gearing.forecasters.targets import future_variance
from gearing.market.data import MarketData
from gearing.market.timing import parse_duration

EPOCH = np.datetime64(0, "ms")
ARRAYS = ("X", "y", "known_at", "ends_at", "bar_index", "contract")


@dataclass(frozen=True, eq=False)
class Rows:
    """Self-contained rows of one or several contracts; no row needs its neighbours.

    Attributes
    ----------
    X : (n_rows, n_columns) float64
        Finite; what was known at ``known_at``.
    y : (n_rows,) float64
        Target over the horizon after ``known_at``; NaN where not yet known.
    known_at, ends_at : (n_rows,) datetime64[ms]
        The deciding close, and the end of the target.
    bar_index, contract : (n_rows,) int
        Position of the row in the market's arrays.
    columns : tuple of str
    horizon : str
    kind : {"variance", "event"}
        A variance must be positive for training; an event is 1 or 0.
    """

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    known_at: NDArray[np.datetime64]
    ends_at: NDArray[np.datetime64]
    bar_index: NDArray[np.int64]
    contract: NDArray[np.int64]
    columns: tuple[str, ...]
    horizon: str
    kind: str = "variance"

    def __len__(self) -> int:
        return len(self.y)

    def take(self, keep: np.ndarray) -> Rows:
        """The rows selected by a mask or an index."""
        return replace(self, **{name: getattr(self, name)[keep] for name in ARRAYS})

    @property
    def trainable(self) -> NDArray[np.bool_]:
        """Mask of rows whose target can be used for training."""
        return np.isfinite(self.y) & ((self.y > 0.0) | (self.kind == "event"))

    @classmethod
    def stacked(cls, parts: Sequence[Rows], kind: str = "variance") -> Rows:
        """Rows of several problems with the same columns, concatenated."""
        arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
        return cls(**arrays, columns=parts[0].columns, horizon=parts[0].horizon, kind=kind)


def forecast_rows(
    market: MarketData,
    columns: Sequence[str],
    horizon: str = "24h",
    every: str | None = None,
    target: NDArray[np.float64] | None = None,
) -> Rows:
    """Rows for every bar whose features are complete, ordered by contract, then time.

    Parameters
    ----------
    columns : sequence of str
        Registered features.
    every : str, optional
        Keep only closes divisible by this from 00:00 UTC, such as "24h"; None keeps every bar.
    target : (n_bars, n_contracts), optional
        Another target over the same horizon; the default is ``future_variance``.
    """
    table = FeatureSet(list(columns)).compute(market)
    y = future_variance(market, horizon) if target is None else target
    close = market.close_time
    keep = table.complete & market.tradable & on_clock(close, every)[:, None]
    contract, bar = np.nonzero(keep.T)
    known_at: NDArray[np.datetime64] = close[bar]
    return Rows(
        X=table.values[bar, contract].astype(np.float64),
        y=y[bar, contract],
        known_at=known_at,
        ends_at=known_at + parse_duration(horizon, market.bar),
        bar_index=bar,
        contract=contract,
        columns=table.columns,
        horizon=horizon,
    )


def on_clock(times: NDArray[np.datetime64], every: str | None) -> NDArray[np.bool_]:
    """Which moments are divisible by a duration, counted from 00:00 UTC."""
    if every is None:
        return np.ones(len(times), dtype=bool)
    return (times - EPOCH) % parse_duration(every) == np.timedelta64(0, "ms")
