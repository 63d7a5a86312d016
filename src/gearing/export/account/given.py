"""Accounts as they are given: our own format or a venue's answers, from a file or as values; and pending orders."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gearing.exchange.account import open_or_add, reduce_position
from gearing.exchange.loose import blank
from gearing.exchange.records import ledger_dtype
from gearing.exchange.rules import unrealised_pnl
from gearing.export.account.answers import of_venue
from gearing.export.account.reading import LARGEST
from gearing.export.account.state import AccountState
from gearing.export.bundle.files import BundleError
from gearing.export.bundle.manifest import Manifest
from gearing.storage.text import read_json


def load_account(given: Any, manifest: Manifest) -> Mapping[str, Any]:
    """An account in our own format.

    Parameters
    ----------
    given : mapping, sequence of mappings, or path of a JSON file
        Our own format, or the answers of a venue.

    Raises
    ------
    BundleError
        For anything else, or answers that lack what an account needs.
    """
    values = given
    if isinstance(given, str | os.PathLike):
        try:
            values = read_json(Path(given))
        except ValueError as error:
            raise BundleError(f"account: {error}", "account") from error
    if isinstance(values, Mapping) and (not values or {"wallet_balance", "equity"} & values.keys()):
        return values
    if not isinstance(values, Mapping | list | tuple):
        raise BundleError(
            f"account: {str(values)[:80]!r} is neither a mapping nor the path of a JSON file.", "account"
        )
    return of_venue(values, manifest) or _own(values)


def _own(values: Any) -> Mapping[str, Any]:
    """Not a venue's: our own format, which is checked where it is read."""
    if isinstance(values, Mapping) and {"code", "msg"} <= values.keys():  # as Binance refuses
        raise BundleError(
            f"account: the exchange refused the request: {values['code']} {values['msg']}. Ask again; unknown is not "
            "flat.",
            "account",
        )
    if isinstance(values, Mapping):
        return values
    raise BundleError(
        "account: a list that holds no answers of Binance, Bybit or OKX; give the account and the positions.",
        "account",
    )


def read_pending(given: Sequence[Mapping[str, Any]], state: AccountState) -> list[str]:
    """Count orders that were sent and are not filled as filled at the mark; returns notes.

    Raises
    ------
    BundleError
        For an order of a contract that the bundle does not decide on, or without a quantity.
    """
    notes = []
    for one in given:
        name, quantity = (
            (one.get("contract"), one.get("quantity")) if isinstance(one, Mapping) else (None, None)
        )
        if name not in state.names or not _is_quantity(quantity):
            raise BundleError(
                f"pending: {str(one)[:80]} is no order; give contract (one of {', '.join(state.names)}) and the "
                "signed quantity that is not filled.",
                "account",
            )
        if quantity:
            _fill(state, state.names.index(name), float(quantity))
            notes.append(f"{name}: an order of {quantity:+g} is pending and counts as filled")
    return notes


def _is_quantity(value: Any) -> bool:
    """Whether it is a number that an order can have."""
    return not isinstance(value, bool) and isinstance(value, int | float) and abs(value) <= LARGEST


def _fill(state: AccountState, j: int, quantity: float) -> None:
    """Fill at the mark, without a fee."""
    account, position, contract = state.account, state.positions[0, j], state.contracts[j]
    ledger, rules, price = blank(ledger_dtype), state.terms.rules, float(position.mark)
    held = float(position.quantity)
    if held * quantity < 0.0:
        closed = min(abs(held), abs(quantity))
        reduce_position(account, position, contract, rules, ledger, closed, price)
        quantity += closed if held > 0.0 else -closed
    if quantity:
        open_or_add(account, position, contract, rules, quantity, price, max(1.0, float(position.leverage)))
    position.unrealised = unrealised_pnl(position.quantity, position.entry_price, price, contract.inverse)
