"""The fingerprint of a market: a hash of its values, the same for every copy of the same bars."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from gearing.contracts import Contract

CHUNK = 1 << 26  # bytes hashed at a time, so that memory-mapped arrays are never loaded whole


def fingerprint(fields: Mapping[str, Any]) -> str:
    """SHA-256 over stamps, prices, volume, settlements, contracts, venue and finer bars of a market's fields."""
    digest, finer = _values(fields), fields["finer"]
    digest.update((finer.fingerprint if finer is not None else "no finer bars").encode())
    return digest.hexdigest()


def identity(fields: Mapping[str, Any]) -> str:
    """The same hash, with a store's digest in place of its arrays' values."""
    origin, open_time, finer = fields["origin"], fields["open_time"], fields["finer"]
    if origin is None:
        digest = _values(fields)
    else:
        span = f"{tuple(c.symbol for c in fields['contracts'])}|{open_time[0]}|{open_time.size}"
        digest = hashlib.sha256(f"gearing-store|{origin.digest}|{span}|".encode())
    digest.update((finer.identity if finer is not None else "no finer bars").encode())
    return digest.hexdigest()


def _values(fields: Mapping[str, Any]) -> hashlib._Hash:
    digest = hashlib.sha256(b"gearing-market/1")
    digest.update(f"{fields['venue']}|{int(fields['bar'].astype(np.int64))}|".encode())
    for contract in fields["contracts"]:
        digest.update(_describe(contract).encode())
    digest.update(fields["open_time"].astype("<i8").tobytes())
    for name in ("last", "mark", "volume", "tradable", "index", "predicted_rate", "implied_volatility"):
        _update(digest, name, fields[name])
    settlements = fields["settlements"]
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
