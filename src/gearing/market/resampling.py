"""Longer bars of a market."""

from __future__ import annotations

from typing import Any

import numpy as np

from gearing.market.data import MarketData
from gearing.market.series import group_ohlc
from gearing.market.timing import duration, label


def resample(market: MarketData, bar: Any, keep_finer: bool = True) -> MarketData:
    """Aggregate to longer bars; incomplete ones at both ends are dropped.

    Parameters
    ----------
    market : MarketData
    bar : str or timedelta
        A multiple of the market's bar; long bars open on multiples of it since 00:00 UTC.
    keep_finer : bool
        Keep the given bars as the path inside the longer ones.

    Raises
    ------
    ValueError
        If the length is no multiple, or no whole long bar fits.
    """
    length = duration(bar)
    if length == market.bar:
        return market
    if length < market.bar or length % market.bar != np.timedelta64(0, "ms"):
        raise ValueError(f"bars of {label(length)} are no multiple of {label(market.bar)}.")
    parts = int(length / market.bar)
    offset = int(-market.open_time[0].astype(np.int64) % length.astype(np.int64)) // int(
        market.bar.astype(np.int64)
    )
    count = (market.n_bars - offset) // parts
    if count < 1:
        raise ValueError(f"{market!r} holds no whole bar of {label(length)}.")
    cut = market._rows(offset, offset + count * parts)

    def group(values: np.ndarray) -> np.ndarray:
        return values.reshape(count, parts, *values.shape[1:])

    tradable = np.asarray(group(cut.tradable).all(axis=1))
    changes: dict[str, Any] = {
        name: np.where(tradable[..., None], group_ohlc(group(value)), np.nan)
        for name in ("last", "mark", "index")
        if (value := getattr(cut, name)) is not None
    }
    for name in ("predicted_rate", "implied_volatility"):
        if (value := getattr(cut, name)) is not None:
            changes[name] = group(value)[:, -1]
    return cut._with(
        open_time=cut.open_time[::parts],
        bar=length,
        volume=group(cut.volume).sum(axis=1),
        tradable=tradable,
        truth=cut._truth(lambda value: value[::parts]),
        finer=cut._with(truth=None, finer=None) if keep_finer else None,
        **changes,
    )
