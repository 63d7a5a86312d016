"""Market data: bars, mark prices and funding; loading, downloading, checking and generating them.

Names are resolved when they are first used, so that importing the package loads numpy only.
"""

from __future__ import annotations

from gearing.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "MarketData": "gearing.market.data",
        "SETTLEMENT_DTYPE": "gearing.market.data",
        "build_store": "gearing.market.store",
        "check_folder": "gearing.market.history.check",
        "describe": "gearing.market.synthetic.stylised_facts",
        "describe_seeds": "gearing.market.synthetic.stylised_facts",
        "fetch": "gearing.market.sources.download",
        "import_freqtrade": "gearing.market.sources.importing",
        "import_table": "gearing.market.sources.importing",
        "load_market": "gearing.market.history.load",
        "open_store": "gearing.market.store",
        "oracle_for": "gearing.market.oracle.best_leverage",
        "oracle_growth": "gearing.market.oracle.best_leverage",
        "oracle_leverage": "gearing.market.oracle.best_leverage",
        "oracle_step_growth": "gearing.market.oracle.best_leverage",
        "resample": "gearing.market.resampling",
        "synthetic_market": "gearing.market.synthetic.generators",
        "trades_signal": "gearing.market.sources.importing",
    },
)
