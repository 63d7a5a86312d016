"""Market data: bars, mark prices and funding; loading, downloading, checking and generating them.

Names are resolved when they are first used, so that importing the package loads numpy only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gearing.lazy import lazy_exports

if TYPE_CHECKING:
    from gearing.market.data import SETTLEMENT_DTYPE as SETTLEMENT_DTYPE, MarketData as MarketData
    from gearing.market.history.check import check_folder as check_folder
    from gearing.market.history.load import load_market as load_market
    from gearing.market.history.writing import write_market as write_market
    from gearing.market.oracle.best_leverage import (
        oracle_for as oracle_for,
        oracle_growth as oracle_growth,
        oracle_leverage as oracle_leverage,
        oracle_step_growth as oracle_step_growth,
    )
    from gearing.market.resampling import resample as resample
    from gearing.market.sources.download import fetch as fetch
    from gearing.market.sources.freqtrade import (
        import_freqtrade as import_freqtrade,
        trades_signal as trades_signal,
    )
    from gearing.market.sources.importing import import_table as import_table
    from gearing.market.store import (
        build_store as build_store,
        open_store as open_store,
        write_store as write_store,
    )
    from gearing.market.synthetic.generators import (
        market_names as market_names,
        register_market as register_market,
        synthetic_market as synthetic_market,
    )
    from gearing.market.synthetic.stylised_facts import describe as describe, describe_seeds as describe_seeds
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__)
