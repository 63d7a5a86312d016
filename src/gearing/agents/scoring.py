"""The score that chooses between checkpoints: deterministic log growth per year in the simulator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gearing.evaluation.backtest import answer
from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.simulation.config import SimulationConfig
from gearing.simulation.policy import Policy, check_columns
from gearing.simulation.simulator import Simulator

_YEAR = np.timedelta64(365, "D")


class Scorer:
    """Runs policies over whole markets, one account each, from the first decision to the last.

    Parameters
    ----------
    markets, tables : one table per market
    config : SimulationConfig
        Its episodes are ignored: a score covers everything.
    """

    def __init__(
        self, markets: Sequence[MarketData], tables: Sequence[FeatureTable], config: SimulationConfig
    ):
        whole = config.with_(start="first", episode_length=None)
        self.simulators = [
            Simulator(market, table, whole, n_accounts=1)
            for market, table in zip(markets, tables, strict=True)
        ]

    def __call__(self, policy: Policy) -> float:
        """Log growth per year, all markets together; ruin counts as the loss of all but a thousandth."""
        growth, intervals = 0.0, 0
        for simulator in self.simulators:
            grown, count = _run(policy, simulator)
            growth, intervals = growth + grown, intervals + count
        return growth / intervals * float(_YEAR / self.simulators[0].interval)


def _run(policy: Policy, simulator: Simulator) -> tuple[float, int]:
    check_columns(policy, tuple(simulator.view))
    simulator.reset(seed=0)
    count = simulator.n_decisions
    growth, state, begins = 0.0, None, np.ones(1, np.bool_)
    for _ in range(count):
        targets, state = answer(policy, simulator, state, begins)
        begins = np.zeros(1, np.bool_)
        simulator.step(targets)
        growth += float(simulator.steps.log_growth[0])
        if simulator.steps.terminated[0]:
            return min(growth, np.log(0.001)), count
    return growth, count


def growth_per_year(
    policy: Policy,
    market: MarketData | Sequence[MarketData],
    table: FeatureTable | Sequence[FeatureTable],
    config: SimulationConfig,
) -> float:
    """Deterministic log growth per year of a policy over whole markets.

    Parameters
    ----------
    policy : Policy
    market, table : one, or as many tables as markets
    config : SimulationConfig
    """
    markets = [market] if isinstance(market, MarketData) else list(market)
    tables = [table] if isinstance(table, FeatureTable) else list(table)
    return Scorer(markets, tables, config)(policy)
