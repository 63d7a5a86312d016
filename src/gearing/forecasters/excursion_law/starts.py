"""Daily starts: at every midnight (UTC), today's scale and the largest adverse move that followed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gearing.features.windows import rolling_max, rolling_min
from gearing.forecasters.excursion_law.scale import Array, Scale, days_of, mixed_scale
from gearing.market.data import MarketData
from gearing.market.timing import DAY, bars_in
from gearing.names import shown

SIDES = (1, -1)  # long, short: the order of every axis of sides
_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True, eq=False)
class DailyStarts:
    """What was known at each midnight, and what followed.

    Attributes
    ----------
    symbols : tuple of str
    days : (n_days,) datetime64[D]
        Midnights, UTC, without a gap.
    horizons : tuple of str
        Ascending.
    excursion : (n_horizons, 2, n_contracts, n_days) float64
        Largest adverse log move of the mark within the horizon, for a long and a short; NaN where it is not known.
    scale : (n_horizons, n_contracts, n_days) float64
        Standard deviation of the log price over the horizon, as known at the midnight.
    age : (n_contracts, n_days) float64
        Days since the contract's first bar; NaN where it is not traded.
    """

    symbols: tuple[str, ...]
    days: NDArray[np.datetime64]
    horizons: tuple[str, ...]
    excursion: Array
    scale: Array
    age: Array

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Horizons in days."""
        return np.array([int(days_of(horizon)) for horizon in self.horizons])

    def of(self, symbols: Iterable[str]) -> DailyStarts:
        """The starts of some contracts."""
        at = [self.symbols.index(symbol) for symbol in symbols]
        return replace(
            self,
            symbols=tuple(self.symbols[k] for k in at),
            excursion=self.excursion[:, :, at],
            scale=self.scale[:, at],
            age=self.age[at],
        )

    def until(self, day: np.datetime64) -> DailyStarts:
        """What was known at a midnight: excursions that had not ended are NaN, later days are left out."""
        keep = self.days <= day
        excursion = self.excursion[..., keep].copy()
        for h, length in enumerate(self.lengths):
            excursion[h, :, :, self.days[keep] + length * _DAY > day] = np.nan
        return replace(
            self,
            days=self.days[keep],
            excursion=excursion,
            scale=self.scale[..., keep],
            age=self.age[:, keep],
        )


def daily_starts(
    markets: Sequence[MarketData], horizons: Sequence[str], scale: Scale = mixed_scale
) -> DailyStarts:
    """The starts of all contracts of some markets; a symbol that comes twice is taken once.

    Parameters
    ----------
    horizons : sequence of str
        Whole days from 1d to 30d, such as "7d".
    scale : callable
        ``scale(market, horizons)``, see :func:`gearing.forecasters.excursion_law.scale.mixed_scale`.
    """
    horizons = tuple(dict.fromkeys(sorted(horizons, key=days_of)))
    first = min(market.open_time[0] for market in markets).astype("datetime64[D]")
    last = max(market.close_time[-1] for market in markets).astype("datetime64[D]")
    days = np.arange(first, last + _DAY)
    parts = [_of_market(market, horizons, days, scale) for market in markets]
    symbols: dict[str, tuple[int, int]] = {}
    for m, market in enumerate(markets):
        for c, symbol in enumerate(market.symbols):
            symbols.setdefault(symbol, (m, c))
    places = list(symbols.values())
    return DailyStarts(
        symbols=tuple(symbols),
        days=days,
        horizons=horizons,
        excursion=np.stack([parts[m][0][:, :, c] for m, c in places], axis=2),
        scale=np.stack([parts[m][1][:, c] for m, c in places], axis=1),
        age=np.stack([parts[m][2][c] for m, c in places]),
    )


def _of_market(
    market: MarketData, horizons: tuple[str, ...], days: NDArray[np.datetime64], scale: Scale
) -> tuple[Array, Array, Array]:
    """Excursions, scales and ages of a market's contracts at its own midnights, on the common days."""
    closes = market.close_time
    rows = np.flatnonzero(closes.astype("datetime64[D]") == closes)
    at = (closes[rows].astype("datetime64[D]") - days[0]).astype(np.int64)
    n = market.n_contracts
    excursion = np.full((len(horizons), 2, n, days.size), np.nan)
    scales = np.full((len(horizons), n, days.size), np.nan)
    for h, horizon in enumerate(horizons):
        for s, side in enumerate(SIDES):
            excursion[h, s][:, at] = largest_adverse_move(market, horizon, side)[rows].T
    scales[:, :, at] = np.swapaxes(_scale_of(market, horizons, scale)[:, rows], 1, 2)
    ages = np.full((n, days.size), np.nan)
    ages[:, at] = ages_in_days(market)[rows].T
    return excursion, scales, ages


def _scale_of(market: MarketData, horizons: tuple[str, ...], scale: Scale) -> Array:
    """What a source of volatility gives, of the right shape."""
    if not callable(scale):
        raise TypeError(
            f"scale is {shown(scale)}; give a function of a market and horizons, such as mixed_scale."
        )
    found, wanted = np.asarray(scale(market, horizons)), (len(horizons), market.n_bars, market.n_contracts)
    if found.shape != wanted:
        raise ValueError(
            f"scale gave an array of shape {found.shape} for {market!r}; it must be {wanted}: horizons, bars, "
            "contracts."
        )
    return found


def largest_adverse_move(market: MarketData, horizon: str, side: int) -> Array:
    """Largest adverse log move of the mark after each close within the horizon (n_bars, n_contracts), not below 0.

    Row k uses the lows (for a long) or highs (for a short) of the bars after k; NaN where the horizon is not whole.
    """
    n = bars_in(horizon, market.bar)
    with np.errstate(invalid="ignore"):
        extreme = rolling_min(market.mark_low, n) if side > 0 else rolling_max(market.mark_high, n)
        ahead = np.full_like(extreme, np.nan)
        ahead[: max(len(extreme) - n, 0)] = extreme[n:]
        return np.maximum(side * np.log(market.mark_close / ahead), 0.0)


def ages_in_days(market: MarketData) -> Array:
    """Days since a contract's first bar at every close (n_bars, n_contracts); NaN where it is not traded."""
    ages = np.full(market.tradable.shape, np.nan)
    for contract in range(market.n_contracts):
        traded = np.flatnonzero(market.tradable[:, contract])
        ages[traded, contract] = (traded - traded[0] + 1 if traded.size else traded) * float(market.bar / DAY)
    return ages
