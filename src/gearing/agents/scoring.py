"""The score that chooses between checkpoints: deterministic log growth per year in the simulator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gearing.evaluation.playing import Observer, play
from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.market.timing import YEAR
from gearing.simulation.config import SimulationConfig
from gearing.simulation.policy import Policy, check_columns
from gearing.simulation.simulator import Simulator

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
        return float(growth.sum() / decisions * float(YEAR / self.simulator.interval))

    def parts(self, policy: Policy, *observers: Observer) -> list[tuple[np.ndarray, np.ndarray]]:
        """Log growth and number of decisions of every part, market by market; observers see every decision."""
        simulator, cuts = self.simulator, self._cuts
        check_columns(policy, tuple(simulator.view))
        path = np.repeat(np.arange(len(cuts)), [len(cut) - 1 for cut in cuts])
        length = [np.diff(cut) for cut in cuts]
        simulator.begin(np.concatenate([cut[:-1] for cut in cuts]), np.concatenate(length), path)
        recorder = _Growth()
        play(simulator, policy, *observers, recorder)
        growth = np.split(recorder.growth, np.cumsum([len(part) for part in length])[:-1])
        return list(zip(growth, length, strict=True))


class _Growth(Observer):
    """Records the log growth of every account (n_accounts,)."""

    def begin(self, simulator: Simulator, count: int) -> None:
        self.growth = np.zeros(simulator.n_accounts)

    def stepped(self, k: int, simulator: Simulator, active: np.ndarray) -> None:
        self.growth += np.where(active, simulator.steps.log_growth, 0.0)
        ruined = active & simulator.terminated
        self.growth[ruined] = np.minimum(self.growth[ruined], np.log(0.001))


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
