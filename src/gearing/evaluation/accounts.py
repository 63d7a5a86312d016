"""Many leverage series as accounts of one Simulator on one path, for comparisons and placebo tests."""

from dataclasses import replace
from functools import cached_property

import numpy as np

from gearing.evaluation.closes import Closes
from gearing.evaluation.columns import SHORTEST, settings_columns
from gearing.evaluation.metrics import (
    Performance,
    daily_log_growth,
    daily_returns,
    log_growth,
    performance,
    sharpe_ratio,
    volatility,
    years_between,
)
from gearing.evaluation.playing import Observer, decision_times, play
from gearing.evaluation.result import BacktestResult
from gearing.features import FeatureSet, FeatureTable
from gearing.market.data import MarketData
from gearing.simulation.simulator import Simulator

Floats = np.ndarray


class Accounts(Observer):
    """Records several accounts on one path, all from the same decision on.

    Attributes
    ----------
    time : (n_decisions + 1,) datetime64[ms]
    equity : (n_accounts, n_decisions + 1) float64
    hits : (n_accounts, n_decisions) int64
        Liquidations of each interval.
    ruined : (n_accounts,) bool
    fees : (n_accounts,) float64
        Sum over the intervals, each interval's as a share of the equity at its start.
    drawdown : (n_accounts,) float64
        Largest loss from a peak at the closes of all bars.
    """

    def begin(self, simulator: Simulator, count: int) -> None:
        """Before the first decision."""
        n = simulator.n_accounts
        self.time = decision_times(simulator)[: count + 1]
        self.equity = np.empty((n, count + 1))
        self.equity[:] = simulator.accounts.equity[:, None]
        self.hits, self.ruined = np.zeros((n, count), np.int64), np.zeros(n, np.bool_)
        self.fees, self.drawdown = np.zeros(n), np.zeros(n)
        self._gross, self._lived = np.zeros(n), np.zeros(n, np.int64)
        self._closes = Closes(simulator, self.time, every_row=False)
        self._peak = simulator.accounts.equity.copy()

    def stepped(self, k: int, simulator: Simulator, active: Floats) -> None:
        """Add an interval."""
        steps, equity = simulator.steps, simulator.accounts.equity
        self.equity[:, k + 1] = equity
        self._gross += active * np.abs(simulator.view["effective_leverage"]).sum(axis=1)
        self._lived += active
        self.hits[:, k] = active * steps.liquidations
        self.fees -= active * steps.fees / steps.equity_before
        fallen = np.maximum(1.0 - steps.lowest / self._peak, steps.drawdown)
        self.drawdown = np.maximum(self.drawdown, active * fallen)
        self._peak = np.maximum(self._peak, steps.highest)
        self.ruined |= active & simulator.terminated
        if self.ruined.all():
            self.equity[:, k + 1 :] = equity[:, None]

    @cached_property
    def _daily(self) -> tuple[Floats, Floats]:
        return self._closes.daily(self.equity, self._lived)

    @property
    def daily_equity(self) -> Floats:
        """Equity at the start and every 24 hours from there (n_accounts, n_days + 1)."""
        return np.concatenate([self.equity[:, :1], self._daily[0]], axis=1)

    @cached_property
    def daily_log_growth(self) -> Floats:
        """Log growth of each 24 hours (n_accounts, n_days)."""
        return np.stack([daily_log_growth(self._days, path) for path in self.daily_equity])

    @cached_property
    def daily_returns(self) -> Floats:
        """Simple returns of each 24 hours (n_accounts, n_days)."""
        return np.stack([daily_returns(self._days, path) for path in self.daily_equity])

    @property
    def _days(self) -> Floats:
        return np.append(self.time[0], self._closes.days)

    @property
    def leverage(self) -> Floats:
        """Mean effective leverage (gross notional over equity) at the daily closes while the account lived
        (n_accounts,); at the ends of its intervals if it lived less than a day."""
        lived = self._closes.days <= self.time[self._lived][:, None]
        gross = np.abs(self._daily[1]).sum(axis=2)
        days = lived.sum(axis=1)
        mean = (gross * lived).sum(axis=1) / np.maximum(days, 1)
        return np.where(days > 0, mean, self._gross / self._lived)

    def performance(self, i: int) -> Performance:
        """Growth, risk and ratios of one account."""
        time, place = np.unique(np.concatenate([self.time, self._closes.days]), return_index=True)
        equity = np.concatenate([self.equity[i], self._daily[0][i]])[place]
        return performance(time, equity, bool(self.ruined[i]), float(self.drawdown[i]))

    @property
    def liquidations(self) -> Floats:
        """Number of liquidations of each account (n_accounts,)."""
        return self.hits.sum(axis=1)

    @property
    def growth(self) -> Floats:
        """Log growth per year (n_accounts,)."""
        years = years_between(self.time[0], self.time[-1])
        return np.array([log_growth(path, years) for path in self.equity])

    @property
    def volatility(self) -> Floats:
        """Volatility of daily returns per year (n_accounts,)."""
        return np.array([volatility(returns) for returns in self.daily_returns])

    @property
    def sharpe(self) -> Floats:
        """Sharpe ratio per year, NaN where ruined (n_accounts,)."""
        ratios = [sharpe_ratio(returns) for returns in self.daily_returns]
        return np.where(self.ruined, np.nan, ratios)


def play_sizes(simulator: Simulator, sizes: Floats) -> Accounts:
    """Run leverage magnitudes to the end of the path; the simulation's direction sets the side.

    Parameters
    ----------
    sizes : (n_accounts, n_decisions, n_slots) or broadcastable to it
        Signed where the direction is free; NaN holds.
    """
    shape = (simulator.n_accounts, simulator.n_decisions, len(simulator.slots))
    accounts = Accounts()
    play(simulator, np.broadcast_to(sizes, shape), accounts)
    return accounts


def simulator_like(
    result: BacktestResult, market: MarketData, table: FeatureTable | None, n_accounts: int
) -> Simulator:
    """Accounts under the settings of a result, from its first decision on; without its risk controls."""
    config = result.config.with_(start=str(result.time[0]), controls=())
    if table is None:
        table = FeatureSet([SHORTEST, *settings_columns(config)]).compute(market)
    if config.decision == "at_entry":
        table = _known_from(table, result.time[0])
    simulator = Simulator(market, table, config, n_accounts)
    simulator.reset(seed=0)
    if simulator.n_decisions != len(result.target):
        raise ValueError(
            f"{result!r} has {len(result.target)} decisions, this market {simulator.n_decisions} from there on; give "
            "the market of the result."
        )
    return simulator


def _known_from(table: FeatureTable, first: np.datetime64) -> FeatureTable:
    """The table, complete from ``first`` on.

    A trade that is on when the columns become known is entered then: earlier columns are another first entry.
    """
    values = np.where((table.close_time < first)[:, None, None], np.nan, table.values)
    return replace(table, values=values.astype(np.float32))
