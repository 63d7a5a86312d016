"""Memory-mapped markets: many contracts of short bars without loading them all.

A store is a folder of plain ``.npy`` arrays, contract after contract, and ``whole.json``. It is built one contract at
a time and opened without reading; the operating system loads the pages that are used, and all processes of the
machine share them. Arrays computed from its markets (feature tables, the simulator's rows) are cached in its folder
``derived``, which may be deleted at any time.

>>> build_store("store", "data", symbols, "1m", start="2020-01-01", end="2025-01-01")   # doctest: +SKIP
>>> market = open_store("store")                                                        # doctest: +SKIP
>>> markets = [market.select(symbol) for symbol in market.symbols]  # episodes on one contract each  # doctest: +SKIP
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from gearing.contracts import Contract
from gearing.market.data import COLUMNS, PRICES, SETTLEMENT_DTYPE, MarketData, Origin, sorted_settlements
from gearing.market.history.load import load_market
from gearing.storage.mapped import META, ArrayFile, mapped, write_folder
from gearing.storage.text import read_json

LAYOUT = 2


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
        Folder of the store; replaced atomically when complete.
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
    if final.exists() and not (final / META).is_file():
        raise ValueError(f"{final} exists and is not a market store; choose another folder, or remove it.")
    write_folder(final, lambda draft: _write(draft, markets))
    return final


def open_store(target: str | os.PathLike[str]) -> MarketData:
    """Open a store; its arrays are memory-mapped.

    Raises
    ------
    ValueError
        If the folder is not a store, or of an older layout.
    """
    home = Path(target).absolute()
    if not (home / META).is_file():
        raise ValueError(f"{home} is not a market store (no {META}); build_store makes one.")
    metadata = read_json(home / META, dict)
    if metadata.get("layout") != LAYOUT:
        raise ValueError(f"{home} is not a store of layout {LAYOUT}; build it again.")
    try:
        market = _opened(home, metadata)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{home / META} and the files next to it do not fit; build the store again."
        ) from error
    return market


def _opened(home: Path, metadata: dict[str, Any]) -> MarketData:
    bar, shape = np.timedelta64(metadata["bar_ms"], "ms"), (metadata["n_bars"], len(metadata["contracts"]))
    arrays = {name: mapped(home / f"{name}.npy").swapaxes(0, 1) for name in metadata["arrays"]}
    if any(values.shape[:2] != shape for values in arrays.values()):
        raise ValueError("an array has another number of bars or contracts.")
    return MarketData.trusted(
        open_time=np.datetime64(metadata["start"], "ms") + bar * np.arange(metadata["n_bars"]),
        bar=bar,
        contracts=tuple(Contract.from_dict(c) for c in metadata["contracts"]),
        settlements=mapped(home / "settlements.npy", SETTLEMENT_DTYPE),
        name=metadata["name"],
        venue=metadata["venue"],
        notes=tuple(metadata["notes"]),
        origin=Origin(home, metadata["digest"], open_store),
        **arrays,
    )


def _write(draft: Path, markets: Iterable[MarketData]) -> dict[str, Any]:
    """Fill a folder, contract after contract; returns the store's description."""
    digest, settlements = hashlib.sha256(f"gearing-store/{LAYOUT}".encode()), []
    contracts: list[dict[str, Any]] = []
    notes: list[str] = []
    first: dict[str, Any] | None = None
    arrays: dict[str, ArrayFile] = {}  # an optional one is stored if every contract has it
    with ExitStack() as files:
        for market in markets:
            if first is None:
                first = _grid(market)
                for name, values in market.arrays().items():
                    file = ArrayFile(draft / f"{name}.npy", values.dtype, (len(values), *values.shape[2:]))
                    arrays[name] = files.enter_context(file)
            _check_same_grid(first, market)
            digest.update(market.fingerprint.encode())
            arrays = {name: file for name, file in arrays.items() if name in market.arrays()}
            for k in range(market.n_contracts):
                rows = market.settlements[market.settlements["contract"] == k].copy()
                rows["contract"] = len(contracts)
                settlements.append(rows)
                for name, file in arrays.items():
                    file.append(getattr(market, name)[None, :, k])
                contracts.append(market.contracts[k].to_dict())
            notes += [note for note in market.notes if note not in notes]
    if first is None:
        raise ValueError("a store needs at least one contract.")
    with ArrayFile(draft / "settlements.npy", SETTLEMENT_DTYPE) as file:
        file.append(sorted_settlements(settlements))
    for name in {*PRICES, *COLUMNS} - arrays.keys():
        (draft / f"{name}.npy").unlink(missing_ok=True)
    return first | {
        "layout": LAYOUT,
        "digest": digest.hexdigest(),
        "arrays": list(arrays),
        "contracts": contracts,
        "name": f"store of {len(contracts)} contracts",
        "notes": notes,
    }


def _grid(market: MarketData) -> dict[str, Any]:
    return {
        "n_bars": market.n_bars,
        "bar_ms": int(market.bar.astype(np.int64)),
        "start": str(market.open_time[0]),
        "venue": market.venue,
    }


def _check_same_grid(first: dict[str, Any], market: MarketData) -> None:
    if _grid(market) != first:
        raise ValueError(
            f"{market!r} is not on the store's grid: {first['n_bars']:,} bars from {first['start']}. "
            "Load all with the same bar, start and end."
        )
