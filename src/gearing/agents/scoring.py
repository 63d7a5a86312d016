"""The score that chooses between checkpoints: deterministic log growth per year in the simulator."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gearing.evaluation.backtest import answer
from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.simulation.config import SimulationConfig
from gearing.simulation.policy import Policy, check_columns
from gearing.simulation.simulator import Simulator

_YEAR = np.timedelta64(365, "D")
Watch = Callable[[Simulator, np.ndarray, np.ndarray], None]

_LONG = 2_000  # decisions from which a path is scored in parts that run side by side


class Scorer:
    """Runs policies over whole markets, from the first decision to the last.

    A long path is cut into parts that accounts play side by side, each from a fresh start; what a part's first order
    costs is lost in hundreds of decisions.

    Parameters
    ----------
    markets, tables : one table per market
    config : SimulationConfig
        Its episodes are ignored: a score covers everything.
    n_parts : int, optional
        Parts of each path; by default one, and one more for every thousand decisions of a path of 2,000 or more.
    """

    def __init__(
        self,
        markets: Sequence[MarketData],
        tables: Sequence[FeatureTable],
        config: SimulationConfig,
        n_parts: int | None = None,
    ):
        whole = config.with_(start="first", episode_length=None)
        self.simulators = [
            _parted(market, table, whole, n_parts) for market, table in zip(markets, tables, strict=True)
        ]

    def __call__(self, policy: Policy) -> float:
        """Log growth per year, all markets together; ruin counts as the loss of all but a thousandth."""
        played = self.parts(policy)
        growth = np.concatenate([part for part, _ in played])
        decisions = sum(int(count.sum()) for _, count in played)
        return float(growth.sum() / decisions * float(_YEAR / self.simulators[0].interval))

    def parts(self, policy: Policy, watch: Watch | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
        """Log growth and number of decisions of every part, market by market.

        Parameters
        ----------
        watch : callable, optional
            Called at every decision with the simulator, the signed targets and which accounts are still playing.
        """
        return [_play(policy, simulator, watch) for simulator in self.simulators]


def _parted(
    market: MarketData, table: FeatureTable, config: SimulationConfig, n_parts: int | None
) -> Simulator:
    simulator = Simulator(market, table, config, n_accounts=1)
    count = simulator.tape.boundaries[0].size - 1
    parts = n_parts or (1 if count < _LONG else count // 1000)
    return simulator if parts == 1 else Simulator(market, table, config, n_accounts=parts)


def _play(policy: Policy, simulator: Simulator, watch: Watch | None = None) -> tuple[np.ndarray, np.ndarray]:
    check_columns(policy, tuple(simulator.view))
    edges, n = simulator.tape.boundaries[0], simulator.n_accounts
    cuts = np.linspace(0, edges.size - 1, n + 1).astype(np.int64)
    simulator.reset(seed=0)
    everyone = np.arange(n)
    simulator._put(everyone, np.zeros(n, np.int64), edges[cuts[:-1]], edges[cuts[1:]], np.zeros(n, np.int64))
    simulator._kernel.observe(np.ones(n, np.bool_))
    growth, state = np.zeros(n), None
    begins, active = np.ones(n, np.bool_), np.ones(n, np.bool_)
    while active.any():
        targets, state = answer(policy, simulator, state, begins)
        begins = np.zeros(n, np.bool_)
        if watch is not None:
            watch(simulator, targets, active)
        simulator.step(targets, active=active)
        growth += np.where(active, simulator.steps.log_growth, 0.0)
        ruined = active & simulator.terminated
        growth[ruined] = np.minimum(growth[ruined], np.log(0.001))
        active = active & ~(simulator.terminated | simulator.truncated)
    return growth, np.diff(cuts)


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
