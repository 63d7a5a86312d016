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

GONE = -2  # tier of a position that was liquidated in full
LARGE_POSITION = 100_000.0  # [settle coin] Hyperliquid liquidates smaller positions in full
# Of the maintenance margin: with less balance, Hyperliquid's vault takes a position over.
VAULT_SHARE = 2.0 / 3.0
_BELOW_FLOOR = 1e-13  # relative distance at which a notional counts as below a floor, whatever the rounding


@rule
def liquidate_position(account, position, contract, config, tiers, row, ledger, mark, ceiling=ALL_TIERS):
    """Liquidate an isolated position at ``mark``: in full, or down its tiers, depending on the venue.

    ``ceiling`` is the tier that an earlier liquidation of the same walk has left it in. Returns the tier it is
    left in now, or ``GONE``.
    """
    ledger.liquidation_price = position_liquidation_price(
        position, contract, config, tiers, row, position.margin
    )
    ledger.execution_price = mark
    cancel_orders(position)
    tier = GONE
    if config.tier_step_down:
        tier = step_down_tiers(account, position, contract, config, tiers, row, ledger, mark, ceiling)
    elif config.fifth_first and ceiling == ALL_TIERS:
        tier = sell_fifth(account, position, contract, config, tiers, row, ledger, mark)
    if tier != GONE:
        ledger.partial_liquidations += 1
        return tier
    returns = config.fee_then_return and not vault_takes(position, contract, config, tiers, row, mark)
    profit = unrealised_pnl(position.quantity, position.entry_price, mark, contract.inverse)
    remaining = position.margin + profit
    value = notional(position.quantity, mark, contract.inverse)
    payout = settlement_payout(remaining, contract.liquidation_fee, value, returns)
    account.wallet_balance += payout - position.margin
    account.insurance += payout - remaining
    ledger.price_pnl += profit
    ledger.liquidation += payout - remaining
    ledger.turnover += value
    ledger.liquidations += 1
    clear_position(account, position)
    return GONE


@part("with_variants", GONE)
def step_down_tiers(account, position, contract, config, tiers, row, ledger, mark, ceiling):
    """Sell a position to the floor of its tier, and of the tiers below, until its margin suffices.

    Where the venue goes down several tiers at a time (OKX: two), floors between are skipped, and a position with
    fewer tiers below it is liquidated in full. Returns the tier it ends in, or ``GONE`` where nothing would be left.
    Each liquidation within one walk ends at least one tier lower: else a short would sell a dollar at every tick of a
    rise along a floor.
    """
    k = tier_index(
        notional(position.quantity, mark, contract.inverse), tiers, row.tiers_first, row.tiers_last
    )
    if ceiling != ALL_TIERS:
        k = min(k, ceiling)
    stride = config.tier_step_down
    while k - stride >= row.tiers_first:
        k -= stride - 1  # to the cap of the tier that many below
        kept = size_below(tiers[k].floor, unit_value(mark, contract.inverse), contract, config)
        if kept <= 0.0:
            return GONE
        sold = abs(position.quantity) - kept
        if sold > 0.0:
            sell_in_liquidation(account, position, contract, ledger, sold, mark)
            # The position now sits on (or just below) the floor of tier k, which is the cap of the tier below.
            value = notional(kept, mark, contract.inverse)
            needed = value * (tiers[k - 1].rate + config.closing_fee) - tiers[k - 1].amount
            profit = unrealised_pnl(position.quantity, position.entry_price, mark, contract.inverse)
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
def sell_fifth(account, position, contract, config, tiers, row, ledger, mark):
    """Sell a fifth of a large position first; ``GONE`` if it is not large, or its margin does not suffice then.

    The rest follows in full if the path continues against it within the row: the venue waits 30 seconds. Otherwise the
    tier it is left in.
    """
    value = notional(position.quantity, mark, contract.inverse)
    kept = round_quantity(0.8 * abs(position.quantity), contract.lot_size)
    if value <= LARGE_POSITION or kept <= 0.0 or vault_takes(position, contract, config, tiers, row, mark):
        return GONE
    sell_in_liquidation(account, position, contract, ledger, abs(position.quantity) - kept, mark)
    if is_liquidated(position, contract, config, tiers, row, mark):
        return GONE
    left = notional(position.quantity, mark, contract.inverse)
    return tier_index(left, tiers, row.tiers_first, row.tiers_last)


@part("with_variants", False)
def vault_takes(position, contract, config, tiers, row, mark):
    """Whether too little balance is left: the venue's vault takes over the position, and nothing is returned."""
    if not config.fifth_first:
        return False
    profit = unrealised_pnl(position.quantity, position.entry_price, mark, contract.inverse)
    needed = position_maintenance(position, contract, config, tiers, row, mark)
    return position.margin + profit < VAULT_SHARE * needed


@rule
def sell_in_liquidation(account, position, contract, ledger, size, mark):
    """Close ``size`` of a position at ``mark`` on the venue's behalf; profit and clearance fee hit its margin."""
    closed = math.copysign(size, position.quantity)
    profit = unrealised_pnl(closed, position.entry_price, mark, contract.inverse)
    value = notional(closed, mark, contract.inverse)
    fee = contract.liquidation_fee * value
    account.wallet_balance += profit - fee
    account.insurance -= fee
    ledger.price_pnl += profit
    ledger.liquidation -= fee
    ledger.turnover += value
    position.quantity -= closed
    if position.margin != 0.0:
        assign_margin(account, position, profit - fee)
