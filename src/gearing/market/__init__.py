"""What the world did: bars, mark price, funding; loading, downloading, checking, generating, cutting.

Names are resolved when they are first used, so that importing the room loads numpy only.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "MarketData": "gearing.market.data",
    "SETTLEMENT_DTYPE": "gearing.market.data",
    "build_store": "gearing.market.store",
    "check_folder": "gearing.market.check",
    "describe": "gearing.market.facts",
    "describe_seeds": "gearing.market.facts",
    "fetch": "gearing.market.download",
    "import_freqtrade": "gearing.market.importing",
    "import_table": "gearing.market.importing",
    "load_market": "gearing.market.load",
    "open_store": "gearing.market.store",
    "oracle_for": "gearing.market.oracle",
    "oracle_growth": "gearing.market.oracle",
    "oracle_leverage": "gearing.market.oracle",
    "oracle_step_growth": "gearing.market.oracle",
    "resample": "gearing.market.resampling",
    "synthetic_market": "gearing.market.synthetic",
    "trades_signal": "gearing.market.importing",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
