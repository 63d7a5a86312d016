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
    value_at,
)
from gearing.exchange.marking import hot, index, part
from gearing.exchange.rules import price_at_margin
from gearing.exchange.terms import Terms, contract_of, is_inverse, n_slots

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
def observed_liquidation_price(position, terms, backing):
    """``position_liquidation_price``, with the lowest tier tried first: most positions need it.

    Of several liquidation prices under whole-position tiers, the one that a fall from the last mark meets first.
    """
    config, contract = terms.config, terms.contract
    if config.whole_position_tiers:
        return touch_from(position, terms, backing, terms.row.mark_close)
    if not config.maintenance_at_entry:
        first = terms.tiers[index(terms.row.tiers_first)]
        rate = first.rate + config.closing_fee
        price = price_at_margin(
            position.quantity, position.entry_price, backing, rate, first.amount, is_inverse(contract)
        )
        if price <= 0.0:
            return math.nan  # amounts grow with the tiers, so no higher tier has a price either
        if 0.001 * position.entry_price < price < 1000.0 * position.entry_price:
            if value_at(position, contract, price) < first.cap:
                return price
    return position_liquidation_price(position, terms, backing)


@part("with_cross", 0.0)
def account_surplus(account, positions, market, r):
    """Wallet balance plus the surplus of every position over its maintenance margin, at the closes of row ``r``."""
    surplus = account.wallet_balance
    for s in range(n_slots(market)):
        j = contract_of(s, market.config)
        terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
        surplus += margin_surplus(positions[s], terms, terms.row.mark_close)
    return surplus


@hot
def backing_of(position, terms, surplus):
    """Balance that backs a position: its margin, or all that a cross account has besides it at the row's close."""
    if not terms.config.cross:
        return position.margin
    return surplus - margin_surplus(position, terms, terms.row.mark_close)


@part("with_cross", 0.0)
def total_maintenance(positions, market, r):
    """Maintenance margin of all positions at the closes of row ``r``."""
    total = 0.0
    for s in range(n_slots(market)):
        j = contract_of(s, market.config)
        terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
        total += position_maintenance(positions[s], terms, terms.row.mark_close)
    return total


@hot
def note_liquidation_prices(account, positions, market, r, ledgers):
    """Write the liquidation price of every open position into its ledger."""
    surplus = 0.0
    if market.config.cross:
        surplus = account_surplus(account, positions, market, r)
    for s in range(n_slots(market)):
        if positions[s].quantity != 0.0:
            j = contract_of(s, market.config)
            terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
            backing = backing_of(positions[s], terms, surplus)
            ledgers[s].liquidation_price = observed_liquidation_price(positions[s], terms, backing)


@hot
def observe_account(account, positions, market, r, ledgers, observation, offset):
    """Write the position and account columns into an observation from ``offset`` on; returns how many were saturated.

    The liquidation price of an open position also goes into its ledger.

    ``margin_ratio`` is maintenance margin over margin balance (1 liquidates), of the position where isolated, of
    the account where cross; ``liquidation_distance`` the relative move of the mark to the liquidation price (1 = none).
    """
    saturated = 0
    equity = account.equity
    scale = 1.0 / equity if equity > 0.0 else 0.0
    requirement = total_maintenance(positions, market, r) if market.config.cross else 0.0
    note_liquidation_prices(account, positions, market, r, ledgers)
    for s in range(n_slots(market)):
        position, j = positions[s], contract_of(s, market.config)
        terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
        effective, ratio, distance = 0.0, 0.0, 1.0
        if position.quantity != 0.0:
            mark = terms.row.mark_close
            effective = math.copysign(value_at(position, terms.contract, mark), position.quantity) * scale
            if market.config.cross:
                ratio = requirement * scale
            else:
                needed = position_maintenance(position, terms, mark)
                balance = position.margin + position.unrealised
                ratio = needed / balance if balance > needed else 1.0
            price = ledgers[s].liquidation_price
            distance = 1.0 if math.isnan(price) else min(1.0, abs(price / mark - 1.0))
        base = offset + 4 * s
        effective, moved = saturate(effective, -1000.0, 1000.0)
        saturated += moved
        share, moved = saturate(position.unrealised * scale, -100.0, 100.0)
        saturated += moved
        observation[base] = effective
        observation[base + 1] = min(ratio, 1.0)
        observation[base + 2] = distance
        observation[base + 3] = share
    base = offset + 4 * n_slots(market)
    observation[base] = max(0.0, min(1.0, 1.0 - equity / account.peak_equity))
    observation[base + 1] = max(0.0, min(1.0, (account.wallet_balance - account.assigned) * scale))
    return saturated


@hot
def observe(account, positions, market, features, ledgers, observation):
    """Write one account's observation, at the close of the bar before its next row."""
    r = index(account.row - 1)
    columns = index(features.shape[1])
    bar = index(market.rows[r, 0].bar)
    for k in range(columns):
        observation[k] = features[bar, k]
    return observe_account(account, positions, market, r, ledgers, observation, columns)
