"""gearing: learn how much leverage to use on perpetual futures.

Importing the package loads numpy, and gymnasium if it is installed (to register the environments); everything else
comes when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

# Public name -> module that holds it ("" for a module itself).
_HOME = {
    "MarketData": "gearing.market.data",
    "load_market": "gearing.market.load",
    "synthetic_market": "gearing.market.synthetic",
    "FeatureSet": "gearing.features",
    "FeatureTable": "gearing.features",
    "feature": "gearing.features",
    "SimulationConfig": "gearing.simulation.config",
    "Simulator": "gearing.simulation.simulator",
    "Slippage": "gearing.simulation.config",
    "backtest": "gearing.evaluation.backtest",
    "check_policy": "gearing.evaluation.conformance",
    "load_bundle": "gearing.export.runtime",
    "oracle_growth": "gearing.market.oracle",
    "oracle_leverage": "gearing.market.oracle",
    "oracle_policy": "gearing.policies.oracle",
    "safest_leverage": "gearing.evaluation.safest",
    "run_study": "gearing.studies.study",
    "Policy": "gearing.simulation.policy",
    "venue": "gearing.contracts",
}
_MODULES = ("rules",)

__all__ = sorted((*_HOME, *_MODULES, "__version__"))

try:
    __version__ = version("gearing")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0.0.0"


def __getattr__(name: str) -> Any:
    if name == "rules":
        return import_module("gearing.policies.rules")
    if name not in _HOME:
        raise AttributeError(f"module 'gearing' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__


def _register() -> None:
    try:
        from gearing.envs.registration import register_environments
    except ImportError:  # an exported policy runs without gymnasium
        return
    register_environments()


_register()
