"""The fingerprint of a market: a hash of its values, the same for every copy of the same bars."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from gearing.contracts import Contract

if TYPE_CHECKING:
    from gearing.market.data import MarketData

CHUNK = 1 << 26  # bytes hashed at a time, so that memory-mapped arrays are never loaded whole


def fingerprint(market: MarketData) -> str:
    """SHA-256 over stamps, prices, volume, settlements, contracts, venue and finer bars."""
    digest = _values(market)
    digest.update((market.finer.fingerprint if market.finer is not None else "no finer bars").encode())
    return digest.hexdigest()


def identity(market: MarketData) -> str:
    """The same hash, with a store's digest in place of its arrays' values."""
    if market.origin is None:
        digest = _values(market)
    else:
        span = f"{market.symbols}|{market.open_time[0]}|{market.n_bars}"
        digest = hashlib.sha256(f"gearing-store|{market.origin.digest}|{span}|".encode())
    digest.update((market.finer.identity if market.finer is not None else "no finer bars").encode())
    return digest.hexdigest()


def _values(market: MarketData) -> hashlib._Hash:
    digest = hashlib.sha256(b"gearing-market/1")
    digest.update(f"{market.venue}|{int(market.bar.astype(np.int64))}|".encode())
    for contract in market.contracts:
        digest.update(_describe(contract).encode())
    digest.update(market.open_time.astype("<i8").tobytes())
    for name in ("last", "mark", "volume", "tradable", "index", "predicted_rate", "implied_volatility"):
        _update(digest, name, getattr(market, name))
    settlements = market.settlements
    digest.update(settlements["time"].astype("<i8").tobytes())
    for name in ("contract", "rate", "mark"):
        _update(digest, name, settlements[name])
    return digest


def _describe(contract: Contract) -> str:
    schedules = [
        (str(s.as_of), [(t.floor, t.cap, t.rate, t.amount, t.max_leverage) for t in s.tiers])
        for s in contract.schedules
    ]
    sizes = [
        float(v) for v in (contract.multiplier, contract.tick_size, contract.lot_size, contract.min_notional)
    ]
    return f"{contract.symbol}|{contract.kind}|{sizes}|{contract.settle}|{schedules}|"


def _update(digest: hashlib._Hash, name: str, array: np.ndarray | None) -> None:
    digest.update(name.encode())
    if array is None:
        return
    rows = max(1, CHUNK // max(1, array[:1].nbytes))
    for first in range(0, len(array), rows):
        part = np.ascontiguousarray(array[first : first + rows])
        if part.dtype.kind == "f":
            part = part.astype("<f8") + 0.0  # one zero, not two
            part[np.isnan(part)] = np.nan  # one NaN, not many
        digest.update(part.tobytes())
