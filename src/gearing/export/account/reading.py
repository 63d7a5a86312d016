"""Read the account of a decision into the kernel's records, so that the rules of training apply.

Account: a mapping or a JSON file with

    wallet_balance   settle coin; or ``equity`` instead (wallet balance + unrealised profit at the last mark)
    peak_equity      highest equity so far (optional; without it the drawdown is 0)
    positions        symbol -> quantity (signed), entry_price, leverage, and for isolated margin ``margin``
                     (assigned margin; default quantity x entry_price / leverage); a contract without one is flat.
                     ``target``: the last target leverage, where the bundle rebalances only on its change;
                     ``liquidated``: true where the exchange liquidated it since the last decision;
                     ``mark``: the venue's mark price, used where the bars cannot be read
                     An account without positions says so, ``{}``: unknown is not flat
    time             when it was requested (optional)

or what Binance, Bybit and OKX return, see :mod:`gearing.export.account.answers`.

Example: {"equity": 10000, "positions": {"BTCUSDT": {"quantity": 0.02, "entry_price": 61000, "leverage": 3}}}
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gearing.exchange.loose import blank
from gearing.exchange.records import account_dtype
from gearing.exchange.rules import initial_margin, unrealised_pnl
from gearing.export.account.quotes import Quotes
from gearing.export.account.state import AccountState
from gearing.export.account.terms import Terms
from gearing.export.bundle.files import BundleError
from gearing.export.bundle.manifest import Manifest
from gearing.names import check_names

_ACCOUNT = ("wallet_balance", "equity", "peak_equity", "positions", "time")
_POSITION = ("quantity", "entry_price", "leverage", "margin", "target", "liquidated", "mark")
LARGEST = 1e18  # of any number in an account


def read_account(values: Mapping[str, Any], terms: Terms, quotes: Quotes) -> AccountState:
    """The account at the deciding close.

    Raises
    ------
    BundleError
        For an unknown or missing field, a contract outside the bundle, or an account without equity.
    """
    manifest, names = terms.manifest, terms.manifest.symbols
    check_names("account: no field", values, _ACCOUNT, BundleError)
    if not {"wallet_balance", "equity"} & set(values):
        raise BundleError("account: neither wallet_balance nor equity; give one of them in the settle coin.")
    held = _positions(values)
    rows, tiers = terms.last_rows(quotes)
    positions = terms.flat_positions(quotes)
    for symbol, one in held.items():
        if symbol not in names:
            raise BundleError(
                f"account: a position in {symbol!r}, which this bundle does not decide on ({', '.join(names)}); "
                "leave it out, and its margin out of the balance."
            )
        j = names.index(symbol)
        _fill_position(positions[0, j], one, symbol, manifest, bool(terms.contracts[j].inverse))
    account = blank(account_dtype)
    notes = _fill_account(account, positions[0], values)
    liquidated = np.array([_flag(held.get(name, {}), name) for name in names])
    return AccountState(account, positions, rows, tiers, terms, liquidated, tuple(notes), quotes)


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


def _number(values: Mapping[str, Any], name: str, what: str, default: float) -> float:
    if name not in values:
        return default
    value = values[name]
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not is_number or not abs(value) < LARGEST:
        given = f"the text {value[:80]!r}" if isinstance(value, str) else repr(value)[:80]
        raise BundleError(
            f"{what}: {name} is {given}; it must be a finite number below 1e18, without quotes."
        )
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
            raise BundleError(f"{what}: margin {position.margin} must not be negative.")


def _fill_account(account: Any, positions: Any, values: Mapping[str, Any]) -> list[str]:
    unrealised = float(sum(p.unrealised for p in positions))
    stated = _number(values, "equity", "account", math.nan)
    wallet = _number(values, "wallet_balance", "account", stated - unrealised)
    equity = wallet + unrealised
    if not equity > 0.0:
        raise BundleError(
            f"account: equity at the last mark is {equity:g}, so the account is in liquidation or empty; there is "
            "nothing to decide on. Settle it at the venue first.",
            "liquidation",
        )
    notes = []
    if "wallet_balance" in values and abs(stated - equity) > 0.01 * equity:
        notes.append(f"equity at the deciding mark is {equity:,.2f}; the account states {stated:,.2f}")
    peak = _number(values, "peak_equity", "account", equity)
    if not peak > 0.0:
        raise BundleError(f"account: peak_equity {peak:g} must be positive: it is the highest equity so far.")
    account.wallet_balance, account.equity, account.start_equity = wallet, equity, equity
    account.peak_equity = max(peak, equity)
    account.assigned = float(sum(p.margin for p in positions))
    if account.assigned > wallet * (1.0 + 1e-9):
        raise BundleError(
            f"account: margins of {account.assigned:,.2f} exceed the wallet balance of {wallet:,.2f}; "
            "give each position's assigned margin."
        )
    return notes
