"""Liquidation of an isolated position, in full or in parts, depending on the venue.

``account.py`` tests for liquidation, ``path.py`` finds the mark within a row; ``cross.py`` liquidates cross accounts.
"""

import math

from gearing.exchange.account import (
    assign_margin,
    cancel_orders,
    clear_position,
    is_liquidated,
    position_liquidation_price,
    position_maintenance,
    profit_at,
    value_at,
)
from gearing.exchange.marking import part, rule
from gearing.exchange.rules import (
    ALL_TIERS,
    notional,
    round_quantity,
    settlement_payout,
    tier_index,
    unit_value,
    unrealised_pnl,
)
from gearing.exchange.terms import is_inverse

GONE = -2  # tier of a position that was liquidated in full
LARGE_POSITION = 100_000.0  # [settle coin] Hyperliquid liquidates smaller positions in full
# Of the maintenance margin: with less balance, Hyperliquid's vault takes a position over.
VAULT_SHARE = 2.0 / 3.0
_BELOW_FLOOR = 1e-13  # relative distance at which a notional counts as below a floor, whatever the rounding


@rule
def liquidate_position(account, position, terms, ledger, mark, ceiling=ALL_TIERS):
    """Liquidate an isolated position at ``mark``: in full, or down its tiers, depending on the venue.

    ``ceiling`` is the tier that an earlier liquidation of the same walk has left it in. Returns the tier it is
    left in now, or ``GONE``.
    """
    ledger.liquidation_price = position_liquidation_price(position, terms, position.margin)
    ledger.execution_price = mark
    cancel_orders(position)
    tier = GONE
    if terms.config.tier_step_down:
        tier = step_down_tiers(account, position, terms, ledger, mark, ceiling)
    elif terms.config.fifth_first and ceiling == ALL_TIERS:
        tier = sell_fifth(account, position, terms, ledger, mark)
    if tier != GONE:
        ledger.partial_liquidations += 1
        return tier
    returns = terms.config.fee_then_return and not vault_takes(position, terms, mark)
    profit = profit_at(position, terms.contract, mark)
    remaining = position.margin + profit
    value = value_at(position, terms.contract, mark)
    payout = settlement_payout(remaining, terms.contract.liquidation_fee, value, returns)
    account.wallet_balance += payout - position.margin
    account.insurance += payout - remaining
    ledger.price_pnl += profit
    ledger.liquidation += payout - remaining
    ledger.turnover += value
    ledger.liquidations += 1
    clear_position(account, position)
    return GONE


@part("with_variants", GONE)
def step_down_tiers(account, position, terms, ledger, mark, ceiling):
    """Sell a position to the floor of its tier, and of the tiers below, until its margin suffices.

    Where the venue goes down several tiers at a time (OKX: two), floors between are skipped, and a position with
    fewer tiers below it is liquidated in full. Returns the tier it ends in, or ``GONE`` where nothing would be left.
    Each liquidation within one walk ends at least one tier lower: else a short would sell a dollar at every tick of a
    rise along a floor.
    """
    k = tier_index(
        value_at(position, terms.contract, mark), terms.tiers, terms.row.tiers_first, terms.row.tiers_last
    )
    if ceiling != ALL_TIERS:
        k = min(k, ceiling)
    stride = terms.config.tier_step_down
    while k - stride >= terms.row.tiers_first:
        k -= stride - 1  # to the cap of the tier that many below
        kept = size_below(
            terms.tiers[k].floor, unit_value(mark, is_inverse(terms.contract)), terms.contract, terms.config
        )
        if kept <= 0.0:
            return GONE
        sold = abs(position.quantity) - kept
        if sold > 0.0:
            sell_in_liquidation(account, position, terms.contract, ledger, sold, mark)
            # The position now sits on (or just below) the floor of tier k, which is the cap of the tier below.
            value = notional(kept, mark, is_inverse(terms.contract))
            needed = value * (terms.tiers[k - 1].rate + terms.config.closing_fee) - terms.tiers[k - 1].amount
            profit = profit_at(position, terms.contract, mark)
            if position.margin + profit > needed:
                return k - 1
        k -= 1
    return GONE


@rule
def size_below(floor, value, contract, config):
    """Largest size below ``floor``, at ``value`` of one unit.

    A floor belongs to the tier above. Where requirements jump there, the size stays below it by a lot, or by more
    than rounding.
    """
    size = round_quantity(floor / value, contract.lot_size)
    if config.whole_position_tiers and size * value >= floor * (1.0 - _BELOW_FLOOR):
        size = size - contract.lot_size if contract.lot_size > 0.0 else size * (1.0 - _BELOW_FLOOR)
    return size


@part("with_variants", GONE)
def sell_fifth(account, position, terms, ledger, mark):
    """Sell a fifth of a large position first; ``GONE`` if it is not large, or its margin does not suffice then.

    The rest follows in full if the path continues against it within the row: the venue waits 30 seconds. Otherwise the
    tier it is left in.
    """
    value = value_at(position, terms.contract, mark)
    kept = round_quantity(0.8 * abs(position.quantity), terms.contract.lot_size)
    if value <= LARGE_POSITION or kept <= 0.0 or vault_takes(position, terms, mark):
        return GONE
    sell_in_liquidation(account, position, terms.contract, ledger, abs(position.quantity) - kept, mark)
    if is_liquidated(position, terms, mark):
        return GONE
    left = value_at(position, terms.contract, mark)
    return tier_index(left, terms.tiers, terms.row.tiers_first, terms.row.tiers_last)


@part("with_variants", False)
def vault_takes(position, terms, mark):
    """Whether too little balance is left: the venue's vault takes over the position, and nothing is returned."""
    if not terms.config.fifth_first:
        return False
    profit = profit_at(position, terms.contract, mark)
    needed = position_maintenance(position, terms, mark)
    return position.margin + profit < VAULT_SHARE * needed


@rule
def sell_in_liquidation(account, position, contract, ledger, size, mark):
    """Close ``size`` of a position at ``mark`` on the venue's behalf; profit and clearance fee hit its margin."""
    closed = math.copysign(size, position.quantity)
    profit = unrealised_pnl(closed, position.entry_price, mark, is_inverse(contract))
    value = notional(closed, mark, is_inverse(contract))
    fee = contract.liquidation_fee * value
    account.wallet_balance += profit - fee
    account.insurance -= fee
    ledger.price_pnl += profit
    ledger.liquidation -= fee
    ledger.turnover += value
    position.quantity -= closed
    if position.margin != 0.0:
        assign_margin(account, position, profit - fee)
