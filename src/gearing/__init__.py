"""gearing: learn how much leverage to use on perpetual futures.

Importing the package loads numpy, and gymnasium if it is installed (to register the environments); everything else
comes when it is first used.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from gearing.lazy import lazy_exports

_HOME = {
    "MarketData": "gearing.market.data",
    "load_market": "gearing.market.history.load",
    "synthetic_market": "gearing.market.synthetic.generators",
    "FeatureSet": "gearing.features",
    "FeatureTable": "gearing.features",
    "feature": "gearing.features",
    "SimulationConfig": "gearing.simulation.config",
    "Simulator": "gearing.simulation.simulator",
    "Slippage": "gearing.simulation.config",
    "backtest": "gearing.evaluation.backtesting",
    "check_policy": "gearing.evaluation.conformance",
    "load_bundle": "gearing.export.runtime",
    "oracle_growth": "gearing.market.oracle.best_leverage",
    "oracle_leverage": "gearing.market.oracle.best_leverage",
    "oracle_policy": "gearing.policies.oracle",
    "safest_leverage": "gearing.evaluation.risk.safest_leverage",
    "run_study": "gearing.studies.runner",
    "Policy": "gearing.simulation.policy",
    "venue": "gearing.contracts",
}
__getattr__, __dir__, __all__ = lazy_exports(__name__, _HOME, {"rules": "gearing.policies.rules"})
__all__ += ["__version__"]

try:
    __version__ = version("gearing")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0.0.0"


def _register() -> None:
    try:
        from gearing.envs.registration import register_environments
    except ImportError:  # an exported policy runs without gymnasium
        return
    register_environments()


_register()
