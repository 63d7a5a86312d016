"""Account columns of an observation, which follow the market's columns.

effective_leverage    signed notional at mark over equity
margin_ratio          maintenance margin over margin balance, of the position (isolated) or account (cross)
liquidation_distance  relative move of the mark to the liquidation price; 1 = none, or at least 100 % away
unrealised_share      unrealised PnL over equity
drawdown              1 - equity over its peak since the start of the episode
free_share            wallet balance that is not assigned to an isolated position, over equity
"""

import math

from gearing.exchange.account import (
    margin_surplus,
    position_liquidation_price,
    position_maintenance,
    touch_from,
)
from gearing.exchange.cross import contract_of
from gearing.exchange.marking import hot, index, rule
from gearing.exchange.rules import notional, price_at_margin

POSITION_COLUMNS = ("effective_leverage", "margin_ratio", "liquidation_distance", "unrealised_share")
POSITION_BOUNDS = ((-1000.0, 1000.0), (0.0, 1.0), (0.0, 1.0), (-100.0, 100.0))
ACCOUNT_COLUMNS = ("drawdown", "free_share")
ACCOUNT_BOUNDS = ((0.0, 1.0), (0.0, 1.0))


@hot
def saturate(value, low, high):
    """Value clipped to its bounds, and 1 if it was clipped."""
    if value < low:
        return low, 1
    if value > high:
        return high, 1
    return value, 0


@hot
def observed_liquidation_price(position, contract, config, tiers, row, backing):
    """``position_liquidation_price``, with the lowest tier tried first: most positions need it.

    Of several liquidation prices under whole-position tiers, the one that a fall from the last mark meets first.
    """
    if config.whole_position_tiers:
        return touch_from(position, contract, config, tiers, row, backing, row.mark_close)
    if not config.maintenance_at_entry:
        first = tiers[index(row.tiers_first)]
        price = price_at_margin(
            position.quantity, position.entry_price, backing, first.rate + config.closing_fee, first.amount,
            contract.inverse,
        )  # fmt: skip
        if price <= 0.0:
            return math.nan  # amounts grow with the tiers, so no higher tier has a price either
        if 0.001 * position.entry_price < price < 1000.0 * position.entry_price:
            if notional(position.quantity, price, contract.inverse) < first.cap:
                return price
    return position_liquidation_price(position, contract, config, tiers, row, backing)


@hot
def account_surplus(account, positions, i, contracts, config, tiers, rows, r):
    """Wallet balance plus the surplus of every position over its maintenance margin, at the closes of row ``r``."""
    surplus = account.wallet_balance
    for s in range(positions.shape[1]):
        j = contract_of(s, config)
        surplus += margin_surplus(
            positions[i, s], contracts[j], config, tiers, rows[r, j], rows[r, j].mark_close
        )
    return surplus


@hot
def backing_of(position, contract, config, tiers, row, surplus):
    """Balance that backs a position: its margin, or all that a cross account has besides it at the row's close."""
    if not config.cross:
        return position.margin
    return surplus - margin_surplus(position, contract, config, tiers, row, row.mark_close)


@rule
def note_liquidation_prices(account, positions, i, contracts, config, tiers, rows, r, ledgers):
    """Write the liquidation price of every open position into its ledger, as ``observe_account`` does."""
    surplus = 0.0
    if config.cross:
        surplus = account_surplus(account, positions, i, contracts, config, tiers, rows, r)
    for s in range(positions.shape[1]):
        if positions[i, s].quantity != 0.0:
            j = contract_of(s, config)
            backing = backing_of(positions[i, s], contracts[j], config, tiers, rows[r, j], surplus)
            ledgers[i, s].liquidation_price = observed_liquidation_price(
                positions[i, s], contracts[j], config, tiers, rows[r, j], backing
            )


@hot
def observe_account(
    account, positions, i, contracts, config, tiers, rows, r, ledgers, observations, line, offset
):
    """Write the position and account columns into a line, after the market's; returns how many were saturated.

    The liquidation price of an open position also goes into its ledger.

    ``margin_ratio`` is maintenance margin over margin balance (1 liquidates), of the position where isolated, of
    the account where cross; ``liquidation_distance`` the relative move of the mark to the liquidation price (1 = none).
    """
    saturated = 0
    equity = account.equity
    scale = 1.0 / equity if equity > 0.0 else 0.0
    requirement, surplus = 0.0, 0.0
    if config.cross:
        surplus = account_surplus(account, positions, i, contracts, config, tiers, rows, r)
        for s in range(positions.shape[1]):
            j = contract_of(s, config)
            requirement += position_maintenance(
                positions[i, s], contracts[j], config, tiers, rows[r, j], rows[r, j].mark_close
            )
    for s in range(positions.shape[1]):
        position = positions[i, s]
        effective, ratio, distance = 0.0, 0.0, 1.0
        if position.quantity != 0.0:
            j = contract_of(s, config)
            mark = rows[r, j].mark_close
            effective = (
                math.copysign(notional(position.quantity, mark, contracts[j].inverse), position.quantity)
                * scale
            )
            if config.cross:
                ratio = requirement * scale
            else:
                needed = position_maintenance(position, contracts[j], config, tiers, rows[r, j], mark)
                balance = position.margin + position.unrealised
                ratio = needed / balance if balance > needed else 1.0
            backing = backing_of(position, contracts[j], config, tiers, rows[r, j], surplus)
            price = observed_liquidation_price(position, contracts[j], config, tiers, rows[r, j], backing)
            ledgers[line, s].liquidation_price = price
            distance = 1.0 if math.isnan(price) else min(1.0, abs(price / mark - 1.0))
        base = offset + 4 * s
        effective, moved = saturate(effective, -1000.0, 1000.0)
        saturated += moved
        share, moved = saturate(position.unrealised * scale, -100.0, 100.0)
        saturated += moved
        observations[line, base] = effective
        observations[line, base + 1] = min(ratio, 1.0)
        observations[line, base + 2] = distance
        observations[line, base + 3] = share
    base = offset + 4 * positions.shape[1]
    observations[line, base] = max(0.0, min(1.0, 1.0 - equity / account.peak_equity))
    observations[line, base + 1] = max(0.0, min(1.0, (account.wallet_balance - account.assigned) * scale))
    return saturated


@hot
def observe(account, positions, i, contracts, config, tiers, rows, features, ledgers, observations, line):
    """Write one account's observation into a line, at the close of the bar before its next row.

    ``line`` is also the account's line of ``ledgers``.
    """
    row = index(account.row - 1)
    columns = index(features.shape[1])
    bar = index(rows[row, 0].bar)
    for k in range(columns):
        observations[line, k] = features[bar, k]
    return observe_account(
        account, positions, i, contracts, config, tiers, rows, row, ledgers, observations, line, columns
    )
