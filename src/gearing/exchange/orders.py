"""From a target leverage to an order: sizing, caps, rounding, posting margin.

Sizing (``w`` margin share, ``E`` equity at the deciding close): the largest quantity with value at the deciding mark
<= |L| w E and, at the fill, initial margin + fee + open loss <= w E, leverage setting max(1, |L|), down to the lot.
"""

import math

from numba.extending import register_jitable

from gearing.exchange.account import (
    REFUSED_MARGIN,
    REFUSED_MINIMUM,
    REFUSED_NOT_TRADABLE,
    affordable_quantity,
    apply_fill,
    assign_margin,
    fill_price,
    slippage_of,
)
from gearing.exchange.rules import (
    initial_margin,
    largest_notional,
    notional,
    open_loss,
    round_quantity,
    unit_value,
    unrealised_pnl,
)

EVERY_DECISION, ON_CHANGE, BAND, NEVER = 0, 1, 2, 3
FREE, UP_ONLY, FLAT_ONLY = 0, 1, 2


@register_jitable
def keeps_position(position, config, target, leverage):
    """Whether the rebalance mode leaves an open position of the same side as it is."""
    if position.quantity * target <= 0.0:
        return False
    if config.rebalance == ON_CHANGE:
        return target == position.target
    if config.rebalance == BAND:
        return abs(leverage - abs(target)) <= config.band
    return config.rebalance == NEVER


@register_jitable
def leverage_setting(position, config, target):
    """Leverage setting of the order, as far as the venue lets it change on an open position of the same side."""
    wanted = max(1.0, abs(target))
    if position.quantity * target <= 0.0 or config.leverage_change == FREE:
        return wanted
    if config.leverage_change == UP_ONLY:
        return max(position.leverage, wanted)
    return position.leverage


@register_jitable
def target_size(
    position, contract, config, tiers, row, ledger, target, leverage, budget, margin, mark, price
):
    """Absolute quantity that a target leverage leads to, before rounding.

    ``budget`` is w E at the deciding close, valued at ``mark`` of that close; ``margin`` is what the margin check at
    the fill may use, ``price`` the fill price.
    """
    side = 1.0 if target > 0.0 else -1.0
    held = side * position.quantity  # negative when the order flips the position
    wanted = abs(target) * budget / unit_value(mark, contract.inverse)
    if wanted <= held:
        return wanted  # a reduction needs no margin and always executes
    fee_rate = contract.maker_fee if config.maker else contract.taker_fee
    value = unit_value(price, contract.inverse)
    cost = fee_rate * value + open_loss(side, price, row.mark_open, contract.inverse)
    size = min(wanted, affordable_quantity(margin, held, leverage, value, cost))
    allowed = largest_notional(leverage, tiers, row.tiers_first, row.tiers_last) / value
    if size > allowed:
        ledger.capped += 1
        size = allowed
    return max(size, held, 0.0)


@register_jitable
def trade_to_target(account, position, contract, config, tiers, row, ledger, target, budget, margin, mark):
    """Send the order that brings a position to its target at the row's open, then post its margin.

    A refused order changes nothing; the ledger says why.
    """
    if target == 0.0 and position.quantity == 0.0:
        return
    if not row.tradable:
        if position.quantity == 0.0 or target != 0.0:
            ledger.refused = REFUSED_NOT_TRADABLE
        return
    effective = 0.0
    if position.quantity != 0.0 and budget > 0.0:
        effective = notional(position.quantity, mark, contract.inverse) / budget
    if keeps_position(position, config, target, effective):
        return
    side = 1.0 if target > 0.0 else -1.0
    if target == 0.0:
        side = -1.0 if position.quantity > 0.0 else 1.0
    leverage = leverage_setting(position, config, target)
    wanted = abs(target) * budget / unit_value(mark, contract.inverse)
    # The order's side decides on which side of the open it fills: a reduction trades against its own position.
    buying = side * wanted > position.quantity if target != 0.0 else side > 0.0
    order_side = 1.0 if buying else -1.0
    rough = side * wanted - position.quantity if target != 0.0 else -position.quantity
    price = fill_price(row.open, order_side, slippage_of(row, rough, contract), contract)
    size = 0.0
    if target != 0.0:
        size = target_size(
            position, contract, config, tiers, row, ledger, target, leverage, budget, margin, mark, price
        )
    size = round_quantity(size, contract.lot_size)
    fees_before = ledger.fees
    send_order(account, position, contract, config, ledger, side * size, price, leverage)
    if position.quantity != 0.0 and not config.cross:
        post_margin(account, position, contract, config, margin + (ledger.fees - fees_before), row.mark_open)


@register_jitable
def send_order(account, position, contract, config, ledger, wanted, price, leverage):
    """Trade from the held to the wanted signed quantity, or refuse; only increases can be refused."""
    order = wanted - position.quantity
    held = abs(position.quantity)
    reducing = position.quantity * wanted >= 0.0 and abs(wanted) <= held
    if abs(order) <= 1e-12 * held:
        position.leverage = leverage
        return
    increase = abs(wanted) - held if position.quantity * wanted > 0.0 else abs(wanted)
    if not reducing and notional(increase, price, contract.inverse) < contract.min_notional:
        ledger.refused = REFUSED_MINIMUM
        if position.quantity * wanted >= 0.0:
            return
        order = -position.quantity  # the flip is too small to open its new side: it only closes
    if order == 0.0:
        if wanted == 0.0 and held == 0.0:
            ledger.refused = REFUSED_MARGIN
        return
    fee_rate = contract.maker_fee if config.maker else contract.taker_fee
    apply_fill(account, position, contract, config, ledger, order, price, leverage, fee_rate)
    if position.quantity != 0.0:
        position.leverage = leverage


@register_jitable
def post_margin(account, position, contract, config, balance, mark):
    """Bring an isolated position's margin balance (margin + unrealised PnL) to ``balance`` where the venue allows it.

    Margin can always be added from free balance. Unrealised profit does not leave a position: what is removable is
    the margin above initial margin less open losses (unless the idealised ``profit_is_free`` is chosen).
    """
    profit = unrealised_pnl(position.quantity, position.entry_price, mark, contract.inverse)
    change = balance - profit - position.margin
    if change > 0.0:
        change = min(change, max(0.0, account.wallet_balance - account.assigned))
    elif not config.profit_is_free:
        least = initial_margin(position.quantity, position.entry_price, position.leverage, contract.inverse)
        least -= min(0.0, profit)
        change = max(change, min(0.0, least - position.margin))
    assign_margin(account, position, change)


@register_jitable
def place_guards(position, guard):
    """Replace the resting protective orders of a position."""
    position.stop = guard.stop
    position.take_profit = guard.take_profit
    position.trailing = guard.trailing
    position.trigger_last = guard.trigger_last
    position.guarded = not (
        math.isnan(guard.stop) and math.isnan(guard.take_profit) and math.isnan(guard.trailing)
    )
