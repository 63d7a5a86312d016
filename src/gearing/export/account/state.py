"""Read the account of a decision into the kernel's records, so that the rules of training apply.

Account: a mapping or a JSON file with

    wallet_balance   settle coin; or ``equity`` instead (wallet balance + unrealised profit at the last mark)
    peak_equity      highest equity so far (optional; without it the drawdown is 0)
    positions        symbol -> quantity (signed), entry_price, leverage, and for isolated margin ``margin``
                     (assigned margin; default quantity x entry_price / leverage); a contract without one is flat.
                     ``target``: the last target leverage, where the bundle rebalances only on its change;
                     ``liquidated``: true where the exchange liquidated it since the last decision.
                     An account without positions says so, ``{}``: unknown is not flat

Example: {"equity": 10000, "positions": {"BTCUSDT": {"quantity": 0.02, "entry_price": 61000, "leverage": 3}}}
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gearing.exchange.account import fill_price
from gearing.exchange.kernel import trade
from gearing.exchange.observing import observe_account
from gearing.exchange.records import (
    account_dtype,
    ledger_dtype,
    margin_tier_dtype,
    position_dtype,
    records,
    row_dtype,
)
from gearing.exchange.rules import initial_margin, notional, unit_value, unrealised_pnl
from gearing.export.bundle.files import BundleError
from gearing.export.bundle.manifest import Manifest
from gearing.export.deciding.decision import Order
from gearing.export.deciding.exact import leverage_setting, on_grid
from gearing.market.data import MarketData
from gearing.names import check_names
from gearing.simulation.kernel_records import config_record, contract_records
from gearing.storage.text import read_json

_ACCOUNT = ("wallet_balance", "equity", "peak_equity", "positions")
_POSITION = ("quantity", "entry_price", "leverage", "margin", "target", "liquidated")
_LARGEST = 1e18  # of any number in an account
_RESTING = ("stop", "take_profit", "trailing")
_REFUSED = {1: "below the smallest order", 2: "the contract is not tradable", 3: "no margin for it"}


@dataclass(frozen=True, eq=False)
class AccountState:
    """An account at the deciding close, as records of the kernel (``exchange.records``)."""

    account: np.recarray  # (1,)
    positions: np.recarray  # (1, n_contracts), as the rows
    rows: np.recarray  # the last bar of every contract
    tiers: np.recarray
    contracts: np.recarray
    rules: np.recarray
    liquidated: np.ndarray  # (n_contracts,) bool, since the last decision
    notes: tuple[str, ...]  # assumptions made
    names: tuple[str, ...]  # symbols of the contracts
    leverage_step: float  # of settings at the venue

    def observe(self) -> np.ndarray:
        """Position and account columns of the observation (n_columns,) float32, by the kernel's function."""
        slots = self.positions.shape[1]
        columns, ledgers = np.zeros((1, 4 * slots + 2), np.float32), records((1, slots), ledger_dtype)
        observe_account(
            self.account[0], self.positions, 0, self.contracts, self.rules[0], self.tiers, self.rows, 0,
            ledgers, columns, 0, 0,
        )  # fmt: skip
        return columns[0]

    def effective_leverage(self) -> dict[str, float]:
        """Signed notional at mark over equity, per contract."""
        equity = float(self.account.equity[0])
        return {
            name: float(p.quantity * unit_value(p.mark, bool(contract.inverse)) / equity)
            for name, p, contract in zip(self.names, self.positions[0], self.contracts, strict=True)
        }

    def resulting_leverage(self, orders: Sequence[Order]) -> dict[str, float]:
        """`effective_leverage` after the orders, costs aside."""
        now, equity = self.effective_leverage(), float(self.account.equity[0])
        for order, p, contract in zip(orders, self.positions[0], self.contracts, strict=True):
            signed = order.quantity if order.side == "buy" else -order.quantity
            now[order.contract] += float(signed * unit_value(p.mark, bool(contract.inverse)) / equity)
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

    def trade(self, targets: np.ndarray, guards: np.recarray) -> tuple[tuple[Order, ...], list[str]]:
        """Orders of signed target leverages (n_contracts,), filled by the kernel's function on a copy.

        Parameters
        ----------
        guards : (1, n_contracts) recarray
            Protective orders to rest afterwards.
        """
        account, positions = self.account.copy(), self.positions.copy()
        ledgers = records(positions.shape, ledger_dtype)
        trade(
            account[0], positions, 0, self.contracts, self.rules[0], self.tiers, self.rows, 0, ledgers,
            targets.reshape(1, -1), 0, guards, 0, False,
        )  # fmt: skip
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
        change = float(after.quantity - before.quantity)
        quantity, whole = on_grid(abs(change), float(contract.lot_size))
        side = "none" if float(quantity) == 0.0 else ("buy" if change > 0.0 else "sell")
        filled = fill_price(float(row.open), math.copysign(1.0, change), float(row.slippage), contract)
        price, _ = on_grid(filled, float(contract.tick_size))
        return Order(
            contract=self.names[j],
            side=side,
            quantity=float(quantity),
            price=float(price),
            exact_quantity=quantity,
            exact_price=price,
            notional=float(notional(float(quantity), float(price), bool(contract.inverse))),
            leverage_setting=leverage_setting(
                float(after.leverage), self.leverage_step, max(self.top_leverage(j), float(before.leverage))
            ),
            margin=float(after.margin),
            reduces=bool(
                abs(after.quantity) < abs(before.quantity) and after.quantity * before.quantity >= 0.0
            ),
            **{name: None if math.isnan(guard[name]) else float(guard[name]) for name in _RESTING},
        ), whole


def read_account(given: Any, manifest: Manifest, market: MarketData) -> AccountState:
    """The account at the market's last close.

    Raises
    ------
    BundleError
        For an unknown or missing field, a contract outside the bundle, or an account without equity.
    """
    values, names = _loaded(given), manifest.symbols
    check_names("account: no field", values, _ACCOUNT, BundleError)
    if not {"wallet_balance", "equity"} & set(values):
        raise BundleError("account: neither wallet_balance nor equity; give one of them in the settle coin.")
    held = _positions(values)
    rows, tiers = _last_rows(manifest, market)
    contracts = contract_records(manifest.contracts, manifest.venue, manifest.config)
    positions = records((1, len(names)), position_dtype)
    for name in _RESTING:
        positions[name] = np.nan
    positions.mark = rows.mark_close
    for symbol, one in held.items():
        if symbol not in names:
            raise BundleError(
                f"account: a position in {symbol!r}, which this bundle does not decide on ({', '.join(names)}); "
                "leave it out, and its margin out of the balance."
            )
        j = names.index(symbol)
        _fill_position(positions[0, j], one, symbol, manifest, bool(contracts[j].inverse))
    account = records(1, account_dtype)
    notes = _fill_account(account, positions, values)
    rules = config_record(manifest.config, manifest.venue, manifest.contracts)
    liquidated = np.array([_flag(held.get(name, {}), name) for name in names])
    return AccountState(
        account, positions, rows, tiers, contracts, rules, liquidated, tuple(notes), names,
        manifest.venue.leverage_step,
    )  # fmt: skip


def _positions(values: Mapping[str, Any]) -> Mapping[str, Any]:
    held = values.get("positions")
    if not isinstance(held, Mapping):
        given = "are missing" if "positions" not in values else f"are {str(held)[:80]!r}"
        raise BundleError(
            f"account: positions {given}; give an object, symbol to position, and {{}} for an account without any "
            "(unknown is not flat)."
        )
    return held


def _flag(position: Mapping[str, Any], symbol: str) -> bool:
    value = position.get("liquidated", False)
    if not isinstance(value, bool):
        raise BundleError(
            f"account, position in {symbol}: liquidated is {value!r}; it must be true or false."
        )
    return value


def _loaded(given: Any) -> Mapping[str, Any]:
    if isinstance(given, Mapping):
        return given
    if not isinstance(given, str | os.PathLike):
        raise BundleError(f"account: {str(given)[:80]!r} is neither a mapping nor the path of a JSON file.")
    try:
        values: Mapping[str, Any] = read_json(Path(given), dict)
    except ValueError as error:
        raise BundleError(f"account: {error}") from error
    return values


def _number(values: Mapping[str, Any], name: str, what: str, default: float) -> float:
    if name not in values:
        return default
    value = values[name]
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not is_number or not abs(value) < _LARGEST:
        given = f"the text {value[:80]!r}" if isinstance(value, str) else repr(value)[:80]
        raise BundleError(f"{what}: {name} is {given}; it must be a finite number, without quotes.")
    return float(value)


def _fill_position(
    position: Any, values: Mapping[str, Any], symbol: str, manifest: Manifest, inverse: bool
) -> None:
    what = f"account, position in {symbol}"
    if not isinstance(values, Mapping):
        raise BundleError(f"{what} is {str(values)[:80]!r}; give an object with {', '.join(_POSITION)}.")
    check_names(f"{what}: no field", values, _POSITION, BundleError)
    if "quantity" not in values and not values.get("liquidated"):
        raise BundleError(f"{what}: no quantity; give 0 for a flat one (unknown is not flat).")
    quantity = _number(values, "quantity", what, 0.0)
    if quantity == 0.0:
        return
    missing = [name for name in ("entry_price", "leverage") if name not in values]
    if missing:
        raise BundleError(
            f"{what}: no {', '.join(missing)}; an open position needs quantity, entry_price, leverage."
        )
    entry, leverage = (_number(values, name, what, math.nan) for name in ("entry_price", "leverage"))
    if not (entry > 0.0 and leverage >= 1.0):
        raise BundleError(f"{what}: entry_price {entry} must be positive and leverage {leverage} at least 1.")
    position.quantity, position.entry_price, position.leverage = quantity, entry, leverage
    position.target = _number(values, "target", what, math.nan)
    position.unrealised = unrealised_pnl(quantity, entry, position.mark, inverse)
    if manifest.config.margin_mode == "isolated":
        position.margin = _number(values, "margin", what, initial_margin(quantity, entry, leverage, inverse))
        if position.margin < 0.0:
            raise BundleError(f"{what}: margin {float(position.margin)} must not be negative.")


def _fill_account(account: Any, positions: Any, values: Mapping[str, Any]) -> list[str]:
    unrealised = float(positions.unrealised.sum())
    stated = _number(values, "equity", "account", math.nan)
    wallet = _number(values, "wallet_balance", "account", stated - unrealised)
    equity = wallet + unrealised
    if not equity > 0.0:
        raise BundleError(
            f"account: equity at the last mark is {equity:g}, so the account is in liquidation or empty; there is "
            "nothing to decide on. Settle it at the venue first."
        )
    notes = []
    if "wallet_balance" in values and abs(stated - equity) > 0.01 * equity:
        notes.append(f"equity at the deciding mark is {equity:,.2f}; the account states {stated:,.2f}")
    peak = _number(values, "peak_equity", "account", equity)
    if not peak > 0.0:
        raise BundleError(f"account: peak_equity {peak:g} must be positive: it is the highest equity so far.")
    account.wallet_balance, account.equity, account.start_equity = wallet, equity, equity
    account.peak_equity = max(peak, equity)
    account.assigned = positions.margin.sum()
    if float(account.assigned[0]) > wallet * (1.0 + 1e-9):
        raise BundleError(
            f"account: margins of {float(account.assigned[0]):,.2f} exceed the wallet balance of {wallet:,.2f}; "
            "give each position's assigned margin."
        )
    return notes


def _last_rows(manifest: Manifest, market: MarketData) -> tuple[np.recarray, np.recarray]:
    """The last bar of every contract as one kernel row, with the tiers in force; orders fill at its close."""
    time = market.close_time[-1]
    flat: list[tuple[float, ...]] = []
    rows = records((1, len(manifest.contracts)), row_dtype)
    for j, contract in enumerate(manifest.contracts):
        first = len(flat)
        schedule = contract.schedule_at(time)
        flat += [(t.floor, t.cap, t.rate, t.amount, t.max_leverage) for t in schedule.tiers]
        row = rows[0, j]
        for name in ("open", "high", "low", "close"):
            row[name], row[f"mark_{name}"] = market.close[-1, j], market.mark_close[-1, j]
        spread = (market.high[-1, j] - market.low[-1, j]) / market.close[-1, j]
        row.slippage = manifest.config.slippage.constant + manifest.config.slippage.range_share * spread
        row.tiers_first, row.tiers_last = first, len(flat)
        row.tradable = 1
        row.next_row = row.exit_row = -1
    tiers = records(len(flat), margin_tier_dtype)
    tiers[:] = flat
    return rows, tiers
