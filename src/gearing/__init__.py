"""gearing: learn how much leverage to use on perpetual futures.

Importing the package loads numpy, and gymnasium if it is installed (to register the environments); everything else
comes when it is first used.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gearing.lazy import lazy_exports
from gearing.storage.digest import package_version
from gearing.storage.numba_cache import ensure_numba_cache

if TYPE_CHECKING:
    from gearing.agents.train import train as train
    from gearing.contracts import venue as venue
    from gearing.evaluation.backtesting import backtest as backtest
    from gearing.evaluation.conformance import check_policy as check_policy
    from gearing.evaluation.risk.safest_leverage import safest_leverage as safest_leverage
    from gearing.export.runtime import load_bundle as load_bundle
    from gearing.features import (
        FeatureSet as FeatureSet,
        FeatureTable as FeatureTable,
        check_feature as check_feature,
        feature as feature,
    )
    from gearing.market.data import MarketData as MarketData
    from gearing.market.history.load import load_market as load_market
    from gearing.market.oracle.best_leverage import (
        oracle_growth as oracle_growth,
        oracle_leverage as oracle_leverage,
    )
    from gearing.market.synthetic.generators import synthetic_market as synthetic_market
    from gearing.policies import rules as rules
    from gearing.policies.oracle import oracle_policy as oracle_policy
    from gearing.simulation.config import SimulationConfig as SimulationConfig, Slippage as Slippage
    from gearing.simulation.policy import Policy as Policy
    from gearing.simulation.simulator import Simulator as Simulator
    from gearing.studies.comparing.compare import compare as compare
    from gearing.studies.runner import run_study as run_study
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__)
    __all__ += ["__version__"]

__version__ = package_version()

ensure_numba_cache(Path(__file__).parent)


def _register() -> None:
    try:
        from gearing.envs.registration import register_environments
    except ImportError:  # an exported policy runs without gymnasium
        return
    register_environments()


_register()
