"""Many leverage series as accounts of one Simulator on one path: what comparisons and placebos are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gearing.evaluation.backtesting import asked_columns, decision_times
from gearing.evaluation.metrics import daily_returns, log_growth, sharpe_ratio, volatility, years_between
from gearing.evaluation.result import BacktestResult
from gearing.features import FeatureSet, FeatureTable
from gearing.market.data import MarketData
from gearing.simulation.observation import Observation
from gearing.simulation.simulator import Simulator

Floats = np.ndarray


@dataclass(frozen=True, eq=False)
class Accounts:
    """What several accounts did side by side.

    Attributes
    ----------
    time : (n_decisions + 1,) datetime64[ms]
    equity : (n_accounts, n_decisions + 1) float64
    leverage : (n_accounts,) float64
        Mean effective leverage (gross notional over equity) while the account lived.
    hits : (n_accounts, n_decisions) int64
        Liquidations of each interval.
    ruined : (n_accounts,) bool
    fees : (n_accounts,) float64
        Paid in all, each interval's in parts of the equity at its start.
    drawdown : (n_accounts,) float64
        Largest loss from a peak at the closes of all bars.
    """

    time: Floats
    equity: Floats
    leverage: Floats
    hits: Floats
    ruined: Floats
    fees: Floats
    drawdown: Floats

    @property
    def liquidations(self) -> Floats:
        """How often each account was liquidated (n_accounts,)."""
        return self.hits.sum(axis=1)

    @property
    def growth(self) -> Floats:
        """Log growth per year (n_accounts,)."""
        years = years_between(self.time[0], self.time[-1])
        return np.array([log_growth(path, years) for path in self.equity])

    @property
    def volatility(self) -> Floats:
        """Volatility of daily returns per year (n_accounts,)."""
        return np.array([volatility(daily_returns(self.time, path)) for path in self.equity])

    @property
    def sharpe(self) -> Floats:
        """Sharpe ratio per year, NaN where ruined (n_accounts,)."""
        ratios = [sharpe_ratio(daily_returns(self.time, path)) for path in self.equity]
        return np.where(self.ruined, np.nan, ratios)


def simulator_like(
    result: BacktestResult, market: MarketData, table: FeatureTable | None, n_accounts: int
) -> Simulator:
    """Accounts under the settings of a result, from its first decision on; without its risk controls."""
    config = result.config.with_(start=str(result.time[0]), controls=())
    if table is None:
        table = FeatureSet(["log_return", *asked_columns(config)]).compute(market)
    simulator = Simulator(market, table, config, n_accounts)
    simulator.reset(seed=0)
    if simulator.n_decisions != len(result.target):
        raise ValueError(
            f"{result!r} has {len(result.target)} decisions, this market {simulator.n_decisions} from there on; give "
            "the market that the result was made on."
        )
    return simulator


def play_sizes(simulator: Simulator, sizes: Floats) -> Accounts:
    """Play leverage magnitudes; the simulation's direction gives them their side.

    Parameters
    ----------
    sizes : (n_accounts, n_decisions, n_slots) or broadcastable to it
        Signed where the direction is free; NaN holds.
    """
    n, count = simulator.n_accounts, simulator.n_decisions
    sizes = np.broadcast_to(sizes, (n, count, len(simulator.slots)))
    time = decision_times(simulator)
    equity = np.empty((n, count + 1))
    equity[:, 0] = simulator.accounts.equity
    gross, lived, fees = np.zeros(n), np.zeros(n), np.zeros(n)
    hits, alive = np.zeros((n, count), np.int64), np.ones(n, np.bool_)
    peak, worst, steps = simulator.accounts.equity.copy(), np.zeros(n), simulator.steps
    for k in range(count):
        simulator.step(simulator.directed(sizes[:, k]), active=alive)
        equity[:, k + 1] = simulator.accounts.equity
        gross += alive * np.abs(simulator.view["effective_leverage"]).sum(axis=1)
        hits[:, k] = alive * simulator.steps.liquidations
        fees -= alive * simulator.steps.fees / simulator.steps.equity_before
        worst = np.maximum(worst, alive * np.maximum(1.0 - steps.lowest / peak, steps.drawdown))
        peak = np.maximum(peak, steps.highest)
        lived += alive
        alive = alive & ~simulator.terminated
    return Accounts(time, equity, gross / lived, hits, ~alive, fees, worst)


def all_decisions(simulator: Simulator) -> tuple[Observation, Floats]:
    """Every decision of the first account's episode as one batch of observations, and each one's side.

    A rule that reads nothing of its account answers all of them at once. The account's columns are zero.

    Returns
    -------
    observation : of n_decisions accounts
    sides : (n_decisions, n_slots) float64
        What the simulation's direction multiplies leverage by.
    """
    table, layout = simulator.tables[0], simulator.layout
    rows = np.searchsorted(table.close_time, decision_times(simulator)[:-1])
    array = np.zeros((rows.size, layout.size), np.float32)
    market_columns = table.values[rows].reshape(rows.size, -1)
    array[:, : market_columns.shape[1]] = market_columns
    view = Observation(layout, array)
    if simulator.config.signal_column is not None:
        return view, view[simulator.config.signal_column].astype(np.float64)
    side = -1.0 if simulator.config.direction == "short" else 1.0
    return view, np.full((rows.size, len(simulator.slots)), side)
