"""The two accounts of a paper run, on one Simulator: the mechanics of training, with the venue's filters.

Account `PAPER` holds what was decided in time; account `SIMULATED` what the same bundle holds where no decision is
refused or late. Both begin with the same equity and see the same bars, so they differ by what happened live.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from gearing.contracts import Contract, VenueProfile
from gearing.exchange.records import account_dtype, ledger_dtype, position_dtype, records, step_dtype
from gearing.features import FeatureSet
from gearing.market.data import MarketData
from gearing.market.timing import parse_duration
from gearing.simulation import SimulationConfig, Simulator

PAPER, SIMULATED = 0, 1
NAMES = ("paper", "simulated")
_MADE_BY_BUNDLE: dict[str, Any] = {
    "controls": (),
    "direction": "free",
    "action": "leverage",
    "reward": "log_growth",
}
_OF_A_MARKET = ("row", "last_row", "path", "episode")
_POSITION = ("quantity", "entry_price", "leverage", "margin", "target")


class PaperAccounts:
    """Two accounts that continue from market to market.

    Parameters
    ----------
    contracts : tuple of Contract
    venue : VenueProfile
    config : SimulationConfig
        Of the bundle. The bundle gives signed targets after its risk controls, so side and controls are left out.
    equity : float
        Of each at the first decision [settle coin].

    Attributes
    ----------
    accounts, positions, ledgers, steps : recarrays (2,), (2, n_contracts), (2, n_contracts), (2,)
        State at the last decision, and what the interval before it brought.
    over : (2,) bool
        Which accounts are ruined; they trade no more.
    """

    def __init__(
        self, contracts: tuple[Contract, ...], venue: VenueProfile, config: SimulationConfig, equity: float
    ):
        self.contracts = contracts
        self.config = replace(
            config, **_MADE_BY_BUNDLE, venue=venue, start="first", episode_length=None, initial_equity=equity
        )
        self.interval = parse_duration(config.decision_interval)
        shape = (len(NAMES), len(contracts))
        self.accounts, self.positions = records(shape[0], account_dtype), records(shape, position_dtype)
        self.ledgers, self.steps = records(shape, ledger_dtype), records(shape[0], step_dtype)
        for name in ("wallet_balance", "equity", "peak_equity", "start_equity"):
            self.accounts[name] = equity
        self.over = np.zeros(shape[0], np.bool_)
        self._simulator: Simulator | None = None
        self._reaches: np.datetime64 | None = None  # end of the intervals that the simulator holds
        self._stands: np.datetime64 | None = None

    def advance(
        self,
        moment: np.datetime64,
        targets: np.ndarray,
        guards: np.recarray | None,
        market: Callable[[], MarketData],
    ) -> None:
        """Fill the orders of the decision at ``moment`` and go to the next one.

        Parameters
        ----------
        targets : (2, n_contracts) float64
            Signed target leverage of the margin share; NaN leaves a position unchanged.
        guards : (2, n_contracts) recarray, optional
            Resting orders.
        market : callable
            Called where the market that is held ends: bars from two before the moment (a day before it, where slippage
            depends on volume) to the next decision at least.
        """
        if self._simulator is None or self._stands != moment or self._reaches == moment:
            self._place(market(), moment)
        simulator = self._simulator
        assert simulator is not None
        simulator.step(targets, guards, active=~self.over)
        for name in ("accounts", "positions", "ledgers", "steps"):
            getattr(self, name)[...] = getattr(simulator, name)
        self.over |= simulator.terminated
        self._stands = moment + self.interval

    def _place(self, market: MarketData, moment: np.datetime64) -> None:
        table = FeatureSet(["log_return"]).compute(market)
        simulator = Simulator(market, table, self.config, n_accounts=len(NAMES))
        edges, times = simulator.tape.boundaries[0], np.append(simulator.tape.row_time, market.close_time[-1])
        k = int(np.searchsorted(times[edges[:-1]], moment))
        if k >= edges.size - 1 or times[edges[k]] != moment:
            raise ValueError(f"the bars hold no whole decision interval from {moment} UTC on.")
        first = self._simulator is None
        simulator.begin(np.full(len(NAMES), k), edges.size - 1 - k)
        if first:
            self.positions[...] = simulator.positions  # flat, at the deciding mark
        for name in set(account_dtype.names or ()) - set(_OF_A_MARKET):
            simulator.accounts[name] = self.accounts[name]
        simulator.positions[...] = self.positions
        self._simulator, self._stands, self._reaches = simulator, moment, times[edges[-1]]

    def leverage(self) -> np.ndarray:
        """Effective leverage (2, n_contracts): signed notional at mark over equity; 0 without equity."""
        held = self.positions
        inverse = np.array([contract.kind == "inverse" for contract in self.contracts])
        mark = np.where(held.mark > 0.0, held.mark, 1.0)
        value = held.quantity * np.where(inverse, 1.0 / mark, mark)
        equity = self.accounts.equity[:, None]
        return np.where(equity > 0.0, value / np.where(equity > 0.0, equity, 1.0), 0.0)

    def as_account(self, which: int) -> dict[str, Any]:
        """An account as the JSON that a decision reads."""
        account, positions = self.accounts[which], {}
        for j, contract in enumerate(self.contracts):
            held, one = self.positions[which, j], {}
            if held.quantity != 0.0:
                one = {name: float(held[name]) for name in _POSITION}
            if self.ledgers[which, j].liquidations > 0:
                one = {"quantity": 0.0, **one, "liquidated": True}
            if one:
                positions[contract.symbol] = one
        return {
            "wallet_balance": float(account.wallet_balance),
            "peak_equity": float(account.peak_equity),
            "positions": positions,
        }
