"""Aggregate a market to longer bars."""

from pathlib import Path
from typing import Any

import numpy as np

from gearing.market.data import PRICES, PUBLISHED, MarketData
from gearing.market.history.series import group_ohlc
from gearing.market.timing import label, positive_duration
from gearing.storage.digest import digest
from gearing.storage.mapped import ArrayFile, cached_folder, mapped

CACHED_FROM = 1 << 20  # bars x contracts; fewer are quickly aggregated again


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
        If the length is not a multiple, or no whole long bar fits.
    """
    length = positive_duration(bar)
    if length == market.bar:
        return market
    if length < market.bar or length % market.bar != np.timedelta64(0, "ms"):
        raise ValueError(f"bars of {label(length)} are not a multiple of {label(market.bar)}.")
    parts = int(length / market.bar)
    offset = int(-market.open_time[0].astype(np.int64) % length.astype(np.int64)) // int(
        market.bar.astype(np.int64)
    )
    count = (market.n_bars - offset) // parts
    if count < 1:
        raise ValueError(f"{market!r} holds no whole bar of {label(length)}.")
    cut = market.rows(offset, offset + count * parts)

    if cut.cache_folder is not None and cut.n_bars * cut.n_contracts >= CACHED_FROM:
        changes = _cached_longer(cut, length, parts)
    else:
        changes = _longer(cut, parts)
    return cut.replace(
        open_time=cut.open_time[::parts],
        bar=length,
        truth=cut.map_truth(lambda value: value[::parts]),
        finer=cut.replace(truth=None, finer=None) if keep_finer else None,
        **changes,
    )


def _longer(market: MarketData, parts: int) -> dict[str, np.ndarray]:
    """Arrays of bars of ``parts`` bars each."""

    def group(values: np.ndarray) -> np.ndarray:
        return values.reshape(market.n_bars // parts, parts, *values.shape[1:])

    tradable = np.asarray(group(market.tradable).all(axis=1))
    changes: dict[str, np.ndarray] = {
        name: np.where(tradable[..., None], group_ohlc(group(value)), np.nan)
        for name, value in market.arrays(PRICES).items()
    }
    changes |= {name: group(value)[:, -1] for name, value in market.arrays(PUBLISHED).items()}
    return changes | {"volume": group(market.volume).sum(axis=1), "tradable": tradable}


def _cached_longer(market: MarketData, length: np.timedelta64, parts: int) -> dict[str, np.ndarray]:
    """The same, cached next to the market's store: aggregating reads all of it."""

    def write(draft: Path) -> dict[str, Any]:
        arrays = _longer(market, parts)
        for name, values in arrays.items():
            with ArrayFile(draft / f"{name}.npy", values.dtype, values.shape[1:]) as file:
                file.append(values)
        return {"arrays": list(arrays)}

    assert market.cache_folder is not None
    key = digest("resample/1", market.identity, label(length), length=24)
    folder, metadata = cached_folder(market.cache_folder, f"bars-{key}", write)
    return {name: mapped(folder / f"{name}.npy") for name in metadata["arrays"]}
