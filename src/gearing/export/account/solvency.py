"""Accounts in liquidation, and accounts close to it."""

import numpy as np

from gearing.exchange.account import position_maintenance
from gearing.exchange.rules import unrealised_pnl
from gearing.export.account.state import AccountState
from gearing.export.bundle.files import BundleError

NEAR = 0.8  # maintenance margin over margin balance from which only reductions are allowed; 1 liquidates


def check_solvent(state: AccountState, marks: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Positions near liquidation (n_contracts,) bool, and warnings.

    Isolated positions have their own margin balance, margin and unrealised profit; cross ones share the account's
    equity. Both are valued at the deciding mark, and at the newest one.

    Parameters
    ----------
    marks : (n_contracts,) float64
        Newest mark prices.

    Raises
    ------
    BundleError
        If a margin balance is at or under its maintenance margin: the venue liquidates.
    """
    near, warnings = np.zeros(len(state.names), bool), dict[str, str]()
    if not any(p.quantity for p in state.positions[0]):
        return near, []
    at = [("deciding", state.quotes.mark), ("newest", marks)]
    for when, prices in at[:1] if np.array_equal(state.quotes.mark, marks) else at:
        what, needed, balance = margins(state, prices)
        for k, (one, need, has) in enumerate(zip(what, needed, balance, strict=True)):
            if need > 0.0 and not has > need:
                raise BundleError(
                    f"account: {one} is in liquidation: its margin balance at the {when} mark is {has:,.2f}, its "
                    f"maintenance margin {need:,.2f}. No order mends that; look at the account at the venue.",
                    "liquidation",
                )
            if need > 0.0 and need >= NEAR * has:
                near[slice(None) if len(what) < len(near) else k] = True
                warning = (
                    f"WARNING: {one} is near liquidation: its maintenance margin is {need / has:.0%} of its margin "
                    f"balance at the {when} mark; from {NEAR:.0%} on only reductions are allowed"
                )
                warnings.setdefault(one, warning)
    return near, list(warnings.values())


def margins(state: AccountState, prices: np.ndarray) -> tuple[list[str], np.ndarray, np.ndarray]:
    """What has a margin balance of its own, its maintenance margin and its balance at mark prices."""
    positions, rules, contracts = state.positions[0], state.terms.rules, state.contracts
    needed = np.array(
        [
            position_maintenance(p, state.of_position(j), price)
            for j, (p, price) in enumerate(zip(positions, prices.tolist(), strict=True))
        ]
    )
    profit = np.array(
        [
            unrealised_pnl(p.quantity, p.entry_price, price, bool(c.inverse))
            for p, c, price in zip(positions, contracts, prices.tolist(), strict=True)
        ]
    )
    if rules.cross:
        equity = float(state.account.wallet_balance) + profit.sum()
        return ["the account"], np.array([needed.sum()]), np.array([equity])
    return (
        [f"the position in {name}" for name in state.names],
        needed,
        np.array([p.margin for p in positions]) + profit,
    )
