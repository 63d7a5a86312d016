"""What happened to the paper account, bar by bar: every fill, settlement and liquidation, with its price.

The ledger of an interval has sums; a statement needs each event. The account is stepped once more through the same
rules with a decision at every bar: the journal's where one is due, and none in between. It must arrive at the same
positions and balance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gearing.exchange.account import position_liquidation_price
from gearing.exchange.kernel import place_guards, settle, test_open, trade
from gearing.exchange.records import ledger_dtype, records
from gearing.exchange.rules import bankruptcy_price, unrealised_pnl
from gearing.exchange.terms import Market, Terms
from gearing.features import FeatureSet
from gearing.market.data import MarketData
from gearing.market.timing import label
from gearing.simulation import SimulationConfig, Simulator


@dataclass(frozen=True)
class Happening:
    """One thing that happened to a position.

    Attributes
    ----------
    kind : {"fill", "liquidation", "funding", "adl", "position"}
        "position" is its state at the close of a bar in which something happened, and at the end.
    time : int
        Milliseconds.
    contract : int
    quantity, price : float
        Signed quantity of the order, or of the position at a settlement or as a state; price of the fill, or mark.
    before, after : float
        Signed quantity of the position.
    entry : float
        Entry price of the position before it was closed, or after the order.
    realised, fee, funding, rate : float
        Profit of what was closed (unrealised of a state), fee paid, funding received, rate of the settlement.
    margin, leverage, liquidation_price : float
        Of a state; NaN without a liquidation price.
    trigger : float
        Mark at which a liquidation was due; its ``price`` leaves nothing of the margin.
    """

    kind: str
    time: int
    contract: int
    quantity: float
    price: float
    before: float
    after: float
    entry: float
    realised: float = 0.0
    fee: float = 0.0
    funding: float = 0.0
    rate: float = 0.0
    margin: float = 0.0
    leverage: float = 0.0
    liquidation_price: float = math.nan
    trigger: float = math.nan


class Trace:
    """The account's path through a market.

    Parameters
    ----------
    market : MarketData
    config : SimulationConfig
        Of the paper account.
    start : datetime64[ms]
        The first decision.
    digits : int
        Decimals with which the venue prints margins.
    """

    def __init__(self, market: MarketData, config: SimulationConfig, start: np.datetime64, digits: int = 8):
        self.digits = digits
        table = FeatureSet(["log_return"]).compute(market)
        by_bar = replace(config, decision_interval=label(market.bar))
        self.market, self.simulator = market, Simulator(market, table, by_bar)
        edges, times = self.simulator.tape.boundaries[0], self.simulator.tape.row_time
        k = int(np.searchsorted(times[edges[:-1]], start))
        self.simulator.begin(np.array([k]), edges.size - 1 - k)
        self._rates = {(int(s["time"].astype(np.int64)), int(s["contract"])): s for s in market.settlements}

    @property
    def _rules(self) -> Market:
        """What the exchange's functions read."""
        s = self.simulator
        return Market(
            s.kernel_contracts[0], s.kernel_config[0], s.tape.tiers, s.tape.rows, s.tape.settlements
        )

    def play(self, decisions: Mapping[int, tuple[np.ndarray, np.recarray | None]]) -> Iterator[Happening]:
        """Step to the end of the market; yields what happens.

        Parameters
        ----------
        decisions : mapping of milliseconds to (targets, guards)
            Targets (1, n_contracts) and resting orders of the decision that falls there.
        """
        nothing = np.full((1, len(self.simulator.slots)), np.nan)
        while not self.simulator.ended[0]:
            time = int(self.simulator.time[0].astype(np.int64))
            targets, guards = decisions.get(time, (nothing, None))
            happened = self._step(time, targets, guards)
            yield from happened
            if self.simulator.ended[0] or happened:
                yield from self._states(time)

    def _step(self, time: int, targets: np.ndarray, guards: np.recarray | None) -> list[Happening]:
        s = self.simulator
        account, positions = s.accounts.copy(), s.positions.copy()
        begun, ledgers = positions.copy(), records(positions.shape, ledger_dtype)
        row, market = int(s.accounts.row[0]), self._rules
        settle(account[0], positions[0], market, row, ledgers[0], 0, 0)
        happened = self._settled(time, begun, ledgers, False)
        at_open = positions.copy()
        test_open(account[0], positions[0], market, row, ledgers[0])
        happened += self._closed(time, at_open, positions, ledgers, None)
        before, fills = positions.copy(), ledgers.copy()
        trade(account[0], positions[0], market, row, ledgers[0], targets[0])
        if guards is not None:
            place_guards(positions[0], market, targets[0], guards[0])
        for j in range(len(s.contracts)):
            if ledgers[0, j].fills > fills[0, j].fills:
                happened.append(self._order(time, j, before[0, j], positions[0, j], ledgers[0, j]))
        ordered, until_here = positions.copy(), ledgers.copy()
        s.step(targets, guards)
        happened += self._settled(time, ordered, s.ledgers, True, until_here)
        return happened + self._closed(time, ordered, s.positions, s.ledgers, until_here)

    def _settled(
        self, time: int, held: np.recarray, ledgers: np.recarray, inside: bool, before: Any = None
    ) -> list[Happening]:
        """Settlements at a bar's open, or inside it."""
        found, bar = [], int(self.market.bar.astype("timedelta64[ms]").astype(np.int64))
        for (moment, j), settlement in self._rates.items():
            within = time < moment < time + bar if inside else moment == time
            if not within or held[0, j].quantity == 0.0:
                continue
            received = float(ledgers[0, j].funding) - (0.0 if before is None else float(before[0, j].funding))
            mark, quantity = float(settlement["mark"]), float(held[0, j].quantity)
            if math.isnan(mark):
                mark = float(self.simulator.tape.rows[int(self.simulator.accounts.row[0]), j].mark_open)
            found.append(
                Happening(
                    "funding", moment, j, quantity, mark, quantity, quantity, float(held[0, j].entry_price),
                    funding=received, rate=float(settlement["rate"]),
                )
            )  # fmt: skip
        return found

    def _order(self, time: int, j: int, before: Any, after: Any, ledger: Any) -> Happening:
        traded = float(after.quantity - before.quantity)
        price = self._price_of(traded, float(ledger.turnover), j)
        closed = (
            min(abs(traded), abs(float(before.quantity))) if traded * float(before.quantity) < 0.0 else 0.0
        )
        realised = float(
            unrealised_pnl(
                math.copysign(closed, before.quantity), before.entry_price, price, self._inverse(j)
            )
        )
        entry = float(after.entry_price if after.quantity != 0.0 else before.entry_price)
        return Happening(
            "fill", time, j, traded, price, float(before.quantity), float(after.quantity), entry,
            realised=realised if closed else 0.0, fee=-float(ledger.fees),
        )  # fmt: skip

    def _closed(
        self, time: int, held: np.recarray, after: np.recarray, ledgers: np.recarray, before: Any
    ) -> list[Happening]:
        """Liquidations, and positions that a resting order closed."""
        found = []
        for j in range(len(self.simulator.contracts)):
            ledger, quantity = ledgers[0, j], float(held[0, j].quantity)
            if ledger.partial_liquidations:
                raise ValueError(
                    f"{self.simulator.slots[j]} was liquidated in parts at {np.datetime64(time, 'ms')} UTC, which no "
                    "statement is written of; trade with liquidation='full'."
                )
            fills = int(ledger.fills) - (0 if before is None else int(before[0, j].fills))
            entry = float(held[0, j].entry_price)
            if ledger.liquidations and (before is None or not before[0, j].liquidations):
                backing = float(held[0, j].margin) + (
                    0.0 if before is None else float(ledger.funding - before[0, j].funding)
                )
                price = float(bankruptcy_price(quantity, entry, backing, self._inverse(j)))
                profit = float(unrealised_pnl(quantity, entry, price, self._inverse(j)))
                found.append(
                    Happening(
                        "liquidation", time, j, -quantity, price, quantity, 0.0, entry, realised=profit,
                        trigger=float(ledger.execution_price),
                    )
                )  # fmt: skip
            elif before is not None and fills > 0:
                turnover = float(ledger.turnover - before[0, j].turnover)
                price = self._price_of(quantity, turnover, j)
                profit = float(unrealised_pnl(quantity, entry, price, self._inverse(j)))
                kind, fee = (
                    ("adl", 0.0)
                    if ledger.deleveragings
                    else ("fill", -float(ledger.fees - before[0, j].fees))
                )
                found.append(Happening(kind, time, j, -quantity, price, quantity, 0.0, entry, profit, fee))
        return found

    def _states(self, time: int) -> Iterator[Happening]:
        """Positions at the close of the bar that opened at ``time``, just before it."""
        s, bar = self.simulator, int(self.market.bar.astype("timedelta64[ms]").astype(np.int64))
        for j, position in enumerate(s.positions[0]):
            if position.quantity == 0.0:
                continue
            row, quantity = s.tape.rows[int(s.accounts.row[0]) - 1, j], float(position.quantity)
            terms = Terms(s.kernel_contracts[0, j], s.kernel_config[0], s.tape.tiers, row)
            printed = round(float(position.margin), self.digits)
            price = position_liquidation_price(position, terms, printed)
            yield Happening(
                "position", time + bar - 1, j, quantity, float(position.mark), quantity, quantity,
                float(position.entry_price), realised=float(position.unrealised), margin=float(position.margin),
                leverage=float(position.leverage), liquidation_price=float(price),
            )  # fmt: skip

    def _price_of(self, quantity: float, turnover: float, j: int) -> float:
        return abs(quantity) / turnover if self._inverse(j) else turnover / abs(quantity)

    def _inverse(self, j: int) -> bool:
        return self.simulator.contracts[j].kind == "inverse"
