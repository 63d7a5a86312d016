"""Memory-mapped markets: many contracts of short bars without loading them all.

A store is a folder of plain ``.npy`` arrays, interleaved by contract as the simulator reads them, and ``market.json``.
It is built contract by contract and opened without reading; the operating system brings in the pages that are used.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gearing.contracts import Contract
from gearing.market.data import SETTLEMENT_DTYPE, MarketData
from gearing.market.load import load_market
from gearing.market.timing import stamp

ARRAYS = {
    "last": (np.float64, (4,)),
    "mark": (np.float64, (4,)),
    "volume": (np.float64, ()),
    "tradable": (np.bool_, ()),
}
CHUNK = 100_000  # bars interleaved at a time
META = "market.json"


def build_store(
    target: str | os.PathLike[str],
    folder: str | os.PathLike[str] | None,
    symbols: Sequence[str],
    bar: Any = "1m",
    start: Any = None,
    end: Any = None,
    **options: Any,
) -> Path:
    """Build a store from a data folder, holding one contract in memory at a time.

    Parameters
    ----------
    target : path
        Folder of the store; replaced as a whole when it is finished.
    folder, symbols, bar, start, end, **options
        As in :func:`gearing.load_market`; ``start`` and ``end`` are required, so that all contracts share a grid.
    """
    if start is None or end is None:
        raise ValueError("a store needs start= and end=, so that all its contracts share one grid.")

    def one(symbol: str) -> MarketData:
        return load_market(folder, symbol, bar, start=start, end=end, **options)

    return write_store(target, (one(symbol) for symbol in symbols))


def write_store(target: str | os.PathLike[str], markets: Iterable[MarketData]) -> Path:
    """Write the contracts of several markets on the same grid into one store, one market at a time."""
    final = Path(target)
    part = final.with_name(f".{final.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        meta = _write_columns(part, markets)
        _interleave(part, meta)
        (part / META).write_text(json.dumps(meta), encoding="utf-8")
        shutil.rmtree(final, ignore_errors=True)
        part.rename(final)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return final


def open_store(target: str | os.PathLike[str]) -> MarketData:
    """Open a store; its arrays are read when they are touched.

    Raises
    ------
    ValueError
        If the folder is no store.
    """
    home = Path(target)
    if not (home / META).is_file():
        raise ValueError(f"{home} is no market store (no {META}); build_store makes one.")
    meta = json.loads((home / META).read_text(encoding="utf-8"))
    arrays = {name: np.load(home / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
    bar = np.timedelta64(meta["bar_ms"], "ms")
    return MarketData._trusted(
        open_time=stamp(meta["start"]) + bar * np.arange(meta["n_bars"]),
        bar=bar,
        contracts=tuple(Contract.from_dict(c) for c in meta["contracts"]),
        settlements=np.load(home / "settlements.npy"),
        name=meta["name"],
        venue=meta["venue"],
        notes=tuple(meta["notes"]),
        **arrays,
    )


def _write_columns(part: Path, markets: Iterable[MarketData]) -> dict[str, Any]:
    """One contiguous file per contract and array; returns the store's description."""
    contracts: list[dict[str, Any]] = []
    notes: list[str] = []
    settlements = []
    first: MarketData | None = None
    for market in markets:
        first = first or market._with(
            last=np.empty(0), mark=np.empty(0), volume=np.empty(0), finer=None, truth=None
        )
        _check_same_grid(first, market)
        for k in range(market.n_contracts):
            rows = market.settlements[market.settlements["contract"] == k].copy()
            rows["contract"] = len(contracts)
            settlements.append(rows)
            for name in ARRAYS:
                np.save(part / f"{name}-{len(contracts)}.npy", getattr(market, name)[:, k])
            contracts.append(market.contracts[k].to_dict())
        notes += [note for note in market.notes if note not in notes]
    if first is None:
        raise ValueError("a store needs at least one contract.")
    joined = np.concatenate([np.empty(0, SETTLEMENT_DTYPE), *settlements])
    np.save(part / "settlements.npy", joined[np.lexsort((joined["contract"], joined["time"]))])
    return {
        "n_bars": first.n_bars,
        "bar_ms": int(first.bar.astype(np.int64)),
        "start": str(first.open_time[0]),
        "contracts": contracts,
        "name": f"store of {len(contracts)} contracts",
        "venue": first.venue,
        "notes": notes,
    }


def _interleave(part: Path, meta: dict[str, Any]) -> None:
    n, m = meta["n_bars"], len(meta["contracts"])
    for name, (dtype, tail) in ARRAYS.items():
        whole = np.lib.format.open_memmap(part / f"{name}.npy", "w+", dtype, (n, m, *tail))
        files = [part / f"{name}-{k}.npy" for k in range(m)]
        columns = [np.load(file, mmap_mode="r") for file in files]
        for row in range(0, n, CHUNK):
            whole[row : row + CHUNK] = np.stack([c[row : row + CHUNK] for c in columns], axis=1)
        whole.flush()
        for file in files:
            file.unlink()


def _check_same_grid(first: MarketData, market: MarketData) -> None:
    same = market.bar == first.bar and market.n_bars == first.n_bars and market.venue == first.venue
    if not same or market.open_time[0] != first.open_time[0]:
        raise ValueError(
            f"{market!r} is not on the store's grid: {first!r}. Load all with the same start and end."
        )
