"""The score that chooses between checkpoints: deterministic log growth per year in the simulator."""

from collections.abc import Sequence

import numpy as np

from gearing.evaluation.playing import Observer, play
from gearing.features import FeatureTable
from gearing.market.data import MarketData, market_list
from gearing.market.timing import YEAR
from gearing.simulation.config import SimulationConfig
from gearing.simulation.paths import path_tables
from gearing.simulation.policy import Policy, check_columns
from gearing.simulation.simulator import Simulator

Markets = MarketData | Sequence[MarketData]
Tables = FeatureTable | Sequence[FeatureTable]
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
    """

    def __init__(
        self, markets: Sequence[MarketData], tables: Sequence[FeatureTable], config: SimulationConfig
    ):
        whole = config.with_(start="first", episode_length=None)
        self.simulator = Simulator(markets, tables, whole, n_accounts=1)
        counts = [edges.size - 1 for edges in self.simulator.tape.boundaries]
        self._cuts = [_cut(count) for count in counts]
        accounts = sum(len(cut) - 1 for cut in self._cuts)
        if accounts > 1:
            self.simulator = Simulator(markets, tables, whole, n_accounts=accounts)

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


def _cut(count: int) -> np.ndarray:
    """Edges of a path's parts: one part, or one for every thousand decisions of a long path."""
    parts = 1 if count < _LONG else count // 1000
    return np.linspace(0, count, parts + 1).astype(np.int64)


def growth_per_year(policy: Policy, market: Markets, table: Tables, config: SimulationConfig) -> float:
    """Deterministic log growth per year of a policy over whole markets.

    Parameters
    ----------
    market, table : one, or as many tables as markets
    """
    return Scorer(*as_lists(market, table), config)(policy)


def as_lists(market: Markets, table: Tables) -> tuple[list[MarketData], list[FeatureTable]]:
    """One market and its table, or several, as lists."""
    markets = market_list(market)
    return markets, path_tables(markets, table)
