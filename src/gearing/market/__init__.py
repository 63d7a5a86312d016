"""What the world did: bars, mark price, funding; loading, downloading, checking, generating, cutting.

Names are resolved when they are first used, so that importing the room loads numpy only.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "MarketData": "gearing.market.data",
    "SETTLEMENT_DTYPE": "gearing.market.data",
    "describe": "gearing.market.facts",
    "load_market": "gearing.market.load",
    "oracle_for": "gearing.market.oracle",
    "oracle_growth": "gearing.market.oracle",
    "oracle_leverage": "gearing.market.oracle",
    "oracle_step_growth": "gearing.market.oracle",
    "resample": "gearing.market.resample",
    "synthetic_market": "gearing.market.synthetic",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
