"""Accounts in liquidation, and accounts close to it."""

import numpy as np

from gearing.exchange.account import position_maintenance
from gearing.export.account import AccountState
from gearing.export.files import BundleError

NEAR = 0.8  # maintenance margin over margin balance from which only reductions are allowed; 1 liquidates


def check_solvent(state: AccountState) -> tuple[np.ndarray, list[str]]:
    """Positions near liquidation (n_contracts,) bool, and warnings.

    Isolated positions have their own margin balance, margin and unrealised profit; cross ones share the account's
    equity. Both are valued at the deciding mark.

    Raises
    ------
    BundleError
        If a margin balance is at or under its maintenance margin: the venue liquidates.
    """
    positions, rules = state.positions[0], state.rules[0]
    needed = np.array(
        [
            position_maintenance(p, c, rules, state.tiers, row, row.mark_close)
            for p, c, row in zip(positions, state.contracts, state.rows[0], strict=True)
        ]
    )
    balance = np.array(positions.margin + positions.unrealised, np.float64)
    what = [f"the position in {name}" for name in state.names]
    if rules.cross:
        needed, balance = np.array([needed.sum()]), np.array([float(state.account.equity[0])])
        what = ["the account"]
    for one, need, has in zip(what, needed, balance, strict=True):
        if need > 0.0 and has <= need:
            raise BundleError(
                f"account: {one} is in liquidation: its margin balance at the deciding mark is {has:,.2f}, its "
                f"maintenance margin {need:,.2f}. No order mends that; look at the account at the venue."
            )
    near = needed >= NEAR * np.where(needed > 0.0, balance, np.inf)
    warnings = [
        f"WARNING: {one} is near liquidation: its maintenance margin is {need / has:.0%} of its margin balance; from "
        f"{NEAR:.0%} on only reductions are allowed"
        for one, need, has, is_near in zip(what, needed, balance, near, strict=True)
        if is_near
    ]
    return np.broadcast_to(near, positions.shape).copy(), warnings


def reductions_only(
    targets: np.ndarray, near: np.ndarray, state: AccountState
) -> tuple[np.ndarray, list[str]]:
    """Targets of the margin share (n_contracts,) that increase no position near liquidation, and notes.

    A target beyond the position leaves it unchanged (NaN), one on the other side closes it.
    """
    changed, notes, leverage = targets.copy(), [], state.effective_leverage()
    for j in np.flatnonzero(near):
        name, share = state.names[j], float(state.contracts[j].margin_share)
        held = leverage[name] / share
        if np.isnan(targets[j]) or (targets[j] * held >= 0.0 and abs(targets[j]) <= abs(held)):
            continue
        changed[j] = np.nan if targets[j] * held > 0.0 else 0.0
        what = "left unchanged" if targets[j] * held > 0.0 else "closed at most"
        notes.append(
            f"{name}: the target {targets[j] * share:+.2f}x would increase it near liquidation: {what}"
        )
    return changed, notes
