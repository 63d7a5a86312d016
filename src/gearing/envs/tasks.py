"""Argument-free tasks whose best leverage is known; ``info["oracle_growth"]`` is the oracle's growth of the same step.

``MarketAFull`` shows the state of the market, ``MarketAHidden`` only prices and funding; ``MarketB`` is the realistic
market under ordinary exchange mechanics. Scores of different agents compare on common random numbers: same seed, same
market.
"""

import sys
from functools import lru_cache
from typing import Any

import numpy as np

from gearing.envs.perpetual import PerpetualEnv
from gearing.envs.vector import PerpetualVectorEnv
from gearing.features import FeatureSet, FeatureTable
from gearing.market.data import MarketData
from gearing.market.synthetic.generators import synthetic_market
from gearing.policies.oracle import oracle_path_growth, state_table
from gearing.simulation.config import market_a_settings, market_b_settings

# Observed columns of market A, three steps a day. ``predicted_rate`` is what the next step pays; the venue publishes it
# before the step begins, and the reference filter reads it too.
HIDDEN_COLUMNS = (
    "log_return", "realized_volatility_24h", "realized_volatility_7d", "realized_volatility_30d", "trend_7d",
    "momentum_30d", "predicted_rate", "funding_rate", "funding_carry_7d",
)  # fmt: skip


@lru_cache(maxsize=4)
def _market(kind: str, seed: int, years: float) -> tuple[MarketData, np.ndarray]:
    """A market and its oracle's growth, made once a process."""
    sys.stderr.write(
        f"gearing: simulating {years:g} years of {kind} and solving its oracle, once in a process; this may take half "
        "a minute.\n"
    )
    market = synthetic_market(kind, seed=seed, years=years)
    return market, oracle_path_growth(market)


def _arguments(task: str, settings: dict[str, Any]) -> dict[str, Any]:
    kind = "market-b" if task == "MarketB" else "market-a"
    defaults: dict[str, Any] = {"market_seed": 0, "years": 6.0 if kind == "market-b" else 400.0}
    own = {name: settings.pop(name, default) for name, default in defaults.items()}
    market, growth = _market(kind, own["market_seed"], own["years"])
    table: FeatureTable | None = None
    if task == "MarketAFull":
        table = state_table(market)
    elif task == "MarketAHidden":
        table = FeatureSet(HIDDEN_COLUMNS).compute(market)
    preset = market_b_settings() if kind == "market-b" else market_a_settings()
    return {
        "market": market, "features": table, "oracle_growth": growth, "episode_length": "120d", **preset, **settings,
    }  # fmt: skip


def scalar(task: str, render_mode: str | None = None, **settings: Any) -> PerpetualEnv:
    """The Gymnasium env of a task; ``market_seed`` and ``years`` choose another path of the same model."""
    return PerpetualEnv(render_mode=render_mode, **_arguments(task, settings))


def vector(task: str, num_envs: int = 1, **settings: Any) -> PerpetualVectorEnv:
    """The native vector env of a task."""
    return PerpetualVectorEnv(num_envs=num_envs, **_arguments(task, settings))
