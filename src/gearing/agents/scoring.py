"""The score that chooses between checkpoints: deterministic log growth per year in the simulator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from gearing.evaluation.backtesting import answer
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

    All paths are played side by side. A long one is cut into parts, each from a fresh start; what a part's first
    order costs is lost in hundreds of decisions.

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
        self.simulator, self._cuts = _parted(markets, tables, whole, n_parts)

    def __call__(self, policy: Policy) -> float:
        """Log growth per year, all markets together; ruin counts as the loss of all but a thousandth."""
        played = self.parts(policy)
        growth = np.concatenate([part for part, _ in played])
        decisions = sum(int(count.sum()) for _, count in played)
        return float(growth.sum() / decisions * float(_YEAR / self.simulator.interval))

    def parts(self, policy: Policy, watch: Watch | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
        """Log growth and number of decisions of every part, market by market.

        Parameters
        ----------
        watch : callable, optional
            Called at every decision with the simulator, the signed targets and which accounts are still playing.
        """
        growth, ends = (
            _play(policy, self.simulator, self._cuts, watch),
            np.cumsum([len(c) - 1 for c in self._cuts]),
        )
        parts = np.split(growth, ends[:-1])
        return [(part, np.diff(cuts)) for part, cuts in zip(parts, self._cuts, strict=True)]


def _parted(
    markets: Sequence[MarketData],
    tables: Sequence[FeatureTable],
    config: SimulationConfig,
    n_parts: int | None,
) -> tuple[Simulator, list[np.ndarray]]:
    """An account for every part of every path, and where each path is cut."""
    simulator, cuts = Simulator(markets, tables, config, n_accounts=1), []
    for edges in simulator.tape.boundaries:
        count = edges.size - 1
        parts = n_parts or (1 if count < _LONG else count // 1000)
        cuts.append(np.linspace(0, count, parts + 1).astype(np.int64))
    accounts = sum(len(c) - 1 for c in cuts)
    return simulator if accounts == 1 else Simulator(markets, tables, config, n_accounts=accounts), cuts


def _play(policy: Policy, simulator: Simulator, cuts: list[np.ndarray], watch: Watch | None) -> np.ndarray:
    """Log growth of every part, all parts of all paths side by side (n_accounts,)."""
    check_columns(policy, tuple(simulator.view))
    n, paths = simulator.n_accounts, simulator.tape.boundaries
    spans = [edges[a : b + 1] for edges, c in zip(paths, cuts, strict=True) for a, b in pairwise(c)]
    first, last = (np.array([span[end] for span in spans]) for end in (0, -1))
    path = np.repeat(np.arange(len(cuts)), [len(c) - 1 for c in cuts])
    simulator.reset(seed=0)
    simulator._put(np.arange(n), path, first, last, np.zeros(n, np.int64))
    simulator._kernel.observe(np.ones(n, np.bool_))
    growth, state = np.zeros(n), None
    begins, active = np.ones(n, np.bool_), np.ones(n, np.bool_)
    if hasattr(policy, "ahead"):
        policy = policy.ahead(simulator, _decisions(spans))
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
    return growth


def _decisions(spans: list[np.ndarray]) -> np.ndarray:
    """Rows at which each account decides (n_accounts, n_decisions); a shorter part repeats its last one."""
    most = max(span.size for span in spans) - 1
    return np.stack([span[np.minimum(np.arange(most), span.size - 2)] for span in spans])


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
