"""The account of a decision in the kernel's records, so that the rules of training apply."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gearing.exchange import terms as exchange
from gearing.exchange.account import fill_price
from gearing.exchange.kernel import trade
from gearing.exchange.loose import blanks, copied
from gearing.exchange.observing import observe_account
from gearing.exchange.records import ledger_dtype
from gearing.exchange.rules import notional, unit_value
from gearing.export.account.quotes import Quotes
from gearing.export.account.terms import Terms
from gearing.export.deciding.decision import Order
from gearing.export.deciding.exact import leverage_setting, on_grid

_RESTING = ("stop", "take_profit", "trailing")
_REFUSED = {1: "below the smallest order", 2: "the contract is not tradable", 3: "no margin for it"}


@dataclass(frozen=True, eq=False)
class AccountState:
    """An account at the deciding close, as plain records (``exchange.loose``) of the kernel's layouts."""

    account: Any
    positions: Any  # (1, n_contracts), as the rows
    rows: Any  # the last bar of every contract
    tiers: Any
    terms: Terms
    liquidated: np.ndarray  # (n_contracts,) bool, since the last decision
    notes: tuple[str, ...]  # assumptions made
    quotes: Quotes

    @property
    def names(self) -> tuple[str, ...]:
        """Symbols of the contracts."""
        return self.terms.manifest.symbols

    @property
    def contracts(self) -> Any:
        """Records of the contracts."""
        return self.terms.contracts

    @property
    def equity(self) -> float:
        """At the deciding mark [settle coin]."""
        return float(self.account.equity)

    @cached_property
    def leverage(self) -> np.ndarray:
        """Signed notional at mark over equity (n_contracts,)."""
        return np.array(
            [
                p.quantity * unit_value(p.mark, c.inverse) / self.equity
                for p, c in zip(self.positions[0], self.contracts, strict=True)
            ],
            np.float64,
        )

    def observe(self) -> np.ndarray:
        """Position and account columns of the observation (n_columns,) float32, by the kernel's function."""
        slots = self.positions.shape[1]
        columns, ledgers = np.zeros(4 * slots + 2, np.float32), blanks((slots,), ledger_dtype)
        observe_account(self.account, self.positions[0], self._market, 0, ledgers, columns, 0)
        return columns

    @cached_property
    def _market(self) -> exchange.Market:
        """What the kernel's functions read: one row, without settlements."""
        return exchange.Market(self.contracts, self.terms.rules, self.tiers, self.rows, ())

    def of_position(self, j: int) -> exchange.Terms:
        """What applies to the position in a contract."""
        return exchange.Terms(self.contracts[j], self.terms.rules, self.tiers, self.rows[0, j])

    def effective_leverage(self) -> dict[str, float]:
        """`leverage` by contract."""
        return dict(zip(self.names, self.leverage.tolist(), strict=True))

    def resulting_leverage(self, orders: Sequence[Order]) -> dict[str, float]:
        """`effective_leverage` after the orders, costs aside."""
        now = self.effective_leverage()
        for order, p, contract in zip(orders, self.positions[0], self.contracts, strict=True):
            signed = order.quantity if order.side == "buy" else -order.quantity
            now[order.contract] += float(signed * unit_value(p.mark, contract.inverse) / self.equity)
        return now

    def top_leverage(self, j: int) -> float:
        """Highest leverage setting of a contract, that of its lowest tier."""
        return float(self.tiers[int(self.rows[0, j].tiers_first)].max_leverage)

    def held(self, j: int, target: float) -> float:
        """Notional held on the side of a target [settle coin]."""
        position = self.positions[0, j]
        if position.quantity * target <= 0.0:
            return 0.0
        return float(notional(position.quantity, position.mark, bool(self.contracts[j].inverse)))

    def trade(self, targets: np.ndarray, guards: Any) -> tuple[tuple[Order, ...], list[str]]:
        """Orders of signed target leverages (n_contracts,), filled by the kernel's function on a copy.

        Parameters
        ----------
        guards : (1, n_contracts) plain records
            Protective orders to rest afterwards.
        """
        account, positions = copy(self.account), copied(self.positions)
        ledgers = blanks(positions.shape, ledger_dtype)
        trade(account, positions[0], self._market, 0, ledgers[0], targets.tolist())
        orders, notes = [], []
        for j, name in enumerate(self.names):
            order, whole = self._order(positions[0, j], guards[0, j], j)
            orders.append(order)
            if not whole:
                notes.append(
                    f"{name}: the position is off the lot of the contract, and so is what is left of it"
                )
            if ledgers[0, j].refused:
                notes.append(f"{name}: order refused, {_REFUSED[int(ledgers[0, j].refused)]}")
            if ledgers[0, j].capped:
                notes.append(f"{name}: reduced to the largest notional its margin tier allows")
        return tuple(orders), notes

    def _order(self, after: Any, guard: Any, j: int) -> tuple[Order, bool]:
        """The order to a position, and whether the change is a number of lots."""
        before, contract, row = self.positions[0, j], self.contracts[j], self.rows[0, j]
        change, step = float(after.quantity - before.quantity), self.terms.manifest.venue.leverage_step
        top = max(self.top_leverage(j), float(before.leverage))
        quantity, whole = on_grid(abs(change), float(contract.lot_size))
        side = "none" if float(quantity) == 0.0 else ("buy" if change > 0.0 else "sell")
        filled = fill_price(float(row.open), math.copysign(1.0, change), float(row.slippage), contract)
        price, _ = on_grid(filled, float(contract.tick_size))
        if j in self.quotes.unknown and before.quantity == 0.0:
            price = "0"  # the price of 1 stands for none
        return Order(
            contract=self.names[j],
            side=side,
            quantity=float(quantity),
            price=float(price),
            exact_quantity=quantity,
            exact_price=price,
            notional=float(notional(float(quantity), float(price), bool(contract.inverse))),
            leverage_setting=leverage_setting(float(after.leverage), step, top),
            margin=float(after.margin),
            reduces=bool(
                abs(after.quantity) < abs(before.quantity) and after.quantity * before.quantity >= 0.0
            ),
            **{name: None if math.isnan(guard[name]) else float(guard[name]) for name in _RESTING},
        ), whole
