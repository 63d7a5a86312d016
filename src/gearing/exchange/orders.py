"""Orders from target leverages: sizing, caps, rounding, posting margin.

Sizing (``w`` margin share, ``E`` equity at the deciding close): the largest quantity with value at the deciding mark
<= |L| w E and, at the fill, initial margin + fee + open loss <= w E, leverage setting max(1, |L|), down to the lot.
An isolated position is backed by its own margin balance and the free balance only: unrealised profits of other
isolated positions do not count.

Posting: an isolated position's margin balance becomes w E less the order's cost. A fill better than the mark has a
negative cost; that gain stays in the free balance, so that the margin balance never exceeds w E. An order that was cut
to its tier's cap posts the initial margin of what is held after it, which the rest of w E does not protect.

With ``free_balance_sizing`` an increase is also limited by the free balance, as venues do: wallet balance plus
unrealised losses, less the initial margin of every position, has to cover initial margin, fee and open loss of the
increase. Unrealised profit does not count then, not even for its own position.
"""

import math

from gearing.exchange.account import (
    REFUSED_MARGIN,
    REFUSED_MINIMUM,
    REFUSED_NOT_TRADABLE,
    affordable_quantity,
    apply_fill,
    assign_margin,
    balance_at,
    close_at,
    fill_price,
    order_fee,
    profit_at,
    slippage_of,
    value_at,
)
from gearing.exchange.marking import hot, index, part, rule
from gearing.exchange.rules import (
    initial_margin,
    largest_notional,
    notional,
    open_loss,
    round_quantity,
    tier_index,
    unit_value,
)
from gearing.exchange.terms import is_inverse

EVERY_DECISION, ON_CHANGE, BAND, NEVER = 0, 1, 2, 3
FREE, UP_ONLY, FLAT_ONLY = 0, 1, 2
_NOTHING = 1e-12  # of the target size
_LAST_BIT = 2.0**-52  # relative step between neighbouring doubles, or up to twice that


@part("with_variants", False)
def keeps_position(position, config, target, leverage):
    """Whether the rebalance mode leaves an open position of the same side unchanged."""
    if config.rebalance == EVERY_DECISION or position.quantity * target <= 0.0:
        return False
    if config.rebalance == ON_CHANGE:
        return target == position.target
    if config.rebalance == BAND:
        return abs(leverage - abs(target)) <= config.band
    return True


@hot
def leverage_setting(position, config, target):
    """Leverage setting of the order, as far as the venue lets it change on an open position of the same side."""
    wanted = max(1.0, abs(target))
    if config.leverage_change == FREE or position.quantity * target <= 0.0:
        return wanted
    if config.leverage_change == UP_ONLY:
        return max(position.leverage, wanted)
    return position.leverage


@hot
def capped_size(size, value, terms, ledger, leverage):
    """A size cut to the largest notional that the leverage setting allows; ``value`` is that of one unit.

    A cut size is on the floor of the tier above and counts as that tier: rounding must not decide it.
    """
    tiers, first, last = terms.tiers, terms.row.tiers_first, terms.row.tiers_last
    if tiers[tier_index(size * value, tiers, first, last)].max_leverage >= leverage:
        if size * value <= tiers[index(last - 1)].cap:
            return size
    cap = largest_notional(leverage, tiers, first, last)
    allowed = cap / value
    if size <= allowed:
        return size
    ledger.capped += 1
    return allowed if allowed * value >= cap else allowed * (1.0 + _LAST_BIT)


@hot
def order_size(account, position, terms, ledger, side, wanted, leverage, margin, price, free):
    """Absolute quantity to hold after the order, down to the lot.

    ``wanted`` is the size of the target, ``margin`` the limit of its initial margin, fee and open loss,
    ``price`` the fill price, ``free`` the balance that pays for an increase. A reduction needs no margin and always
    executes.
    """
    contract, config = terms.contract, terms.config
    held = side * position.quantity  # negative when the order flips the position
    size = wanted
    if wanted > held:
        mark = terms.row.mark_open
        value = unit_value(price, is_inverse(contract))
        cost = order_fee(terms) * value + open_loss(side, price, mark, is_inverse(contract))
        if not config.cross:
            own = position.margin - account.assigned
            margin = min(margin, own + balance_at(account, position, contract, mark))
        size = min(size, affordable_quantity(margin, held, leverage, value, cost))
        if config.free_balance_sizing:
            size = min(size, max(held, 0.0) + max(free, 0.0) / (value / leverage + cost))
        size = capped_size(size, value, terms, ledger, leverage)
        size = max(max(size, held), 0.0)
        if held <= 0.0 and size < _NOTHING * wanted:
            size = 0.0  # a rounding remainder of a fully assigned balance
    return round_quantity(size, contract.lot_size)


@part("with_variants", 0.0)
def free_for_increase(account, position, terms, side, leverage, price, others_profit, others_margin):
    """Free balance that may pay for an increase, after the position has its initial margin.

    Removable margin of the isolated position counts; a flip closes the position first.
    """
    backing, contract = account.wallet_balance - others_margin, terms.contract
    if side * position.quantity >= 0.0:
        profit = profit_at(position, contract, terms.row.mark_open)
        kept = 0.0
        if position.quantity != 0.0:
            kept = value_at(position, contract, position.entry_price) / leverage
        return backing + min(0.0, others_profit + profit) - kept
    profit = profit_at(position, contract, price)
    if not terms.config.cross:
        profit = max(-position.margin, profit)  # the insurance fund bears the rest
    fee = order_fee(terms) * value_at(position, contract, price)
    return backing + min(0.0, others_profit) + profit - fee


@hot
def trade_to_target(account, position, terms, ledger, target, budget, margin, others_profit, others_margin):
    """Send the order that moves a position to its target at the row's open, then post its margin.

    ``budget`` is w E at the deciding close, ``margin`` the part of it that is left at the fill;
    ``others_profit`` and ``others_margin`` are what other positions add to and claim from the free balance.
    A refused order changes nothing; the ledger records the reason.
    """
    contract, config, row = terms.contract, terms.config, terms.row
    held = position.quantity
    if target == 0.0 and held == 0.0:
        return
    if not row.tradable:
        if held == 0.0 or target != 0.0:
            ledger.refused = REFUSED_NOT_TRADABLE
        return
    value = unit_value(position.mark, is_inverse(contract))
    wanted = target * budget / value
    if config.rebalance != EVERY_DECISION and held != 0.0 and budget > 0.0:
        if keeps_position(position, config, target, abs(held) * value / budget):
            return
    leverage = leverage_setting(position, config, target)
    # A reduction trades against its own position: the order's side, not the target's, decides the fill price.
    buying = 1.0 if wanted > held else -1.0
    price = fill_price(row.open, buying, slippage_of(terms, wanted - held), contract)
    side = 1.0 if target > 0.0 else -1.0
    free = 0.0
    if config.free_balance_sizing:
        free = free_for_increase(
            account, position, terms, side, leverage, price, others_profit, others_margin
        )
        if free < 0.0 and side * held > 0.0 and leverage < position.leverage:
            leverage = position.leverage  # a lower setting needs more margin than there is
            free = free_for_increase(
                account, position, terms, side, leverage, price, others_profit, others_margin
            )
    capped = ledger.capped
    size = order_size(account, position, terms, ledger, side, abs(wanted), leverage, margin, price, free)
    before, paid = balance_at(account, position, contract, row.mark_open), ledger.fees
    filled = send_order(account, position, terms, ledger, side * size, price, leverage)
    if filled and position.quantity != 0.0 and not config.cross:
        # The order's cost reduces the posted margin: w E is the most that can be lost.
        cost = before - balance_at(account, position, contract, row.mark_open)
        posted = margin - max(0.0, cost)
        if ledger.capped > capped:
            fee = paid - ledger.fees  # from the free balance
            posted = min(posted, margin_of_cut(position, contract, target, price) - max(0.0, cost - fee))
        post_margin(account, position, contract, config, posted, row.mark_open)


@hot
def margin_of_cut(position, contract, target, price):
    """Margin of a position after an order that was cut to its tier's cap: its value at the fill over the leverage.

    That is the initial margin, and below 1x (or where the venue keeps a higher setting) as much more as an order
    that is not cut posts.
    """
    leverage = min(position.leverage, abs(target))
    return initial_margin(position.quantity, price, leverage, is_inverse(contract))


@hot
def send_order(account, position, terms, ledger, wanted, price, leverage):
    """Trade from the held to the wanted signed quantity; False where refused. Only increases can be refused."""
    held = position.quantity
    order = wanted - held
    if held != 0.0 and abs(order) <= 1e-12 * abs(held):
        position.leverage = leverage
        return True
    same_side = held * wanted > 0.0
    increase = abs(wanted) - abs(held) if same_side else abs(wanted)
    if increase > 0.0 and notional(increase, price, is_inverse(terms.contract)) < terms.contract.min_notional:
        ledger.refused = REFUSED_MINIMUM
        order = 0.0 if same_side else -held  # a flip too small to open its new side only closes
    elif wanted == 0.0 and held == 0.0:
        ledger.refused = REFUSED_MINIMUM if terms.contract.lot_size > 0.0 else REFUSED_MARGIN
    if order == 0.0:
        return False
    apply_fill(
        account, position, terms.contract, terms.config, ledger, order, price, leverage, order_fee(terms)
    )
    if position.quantity != 0.0:
        position.leverage = leverage
    return True


@hot
def post_margin(account, position, contract, config, balance, mark):
    """Bring an isolated position's margin balance (margin + unrealised PnL) to ``balance`` where the venue allows it.

    Margin can always be added from free balance. Unrealised profit cannot be removed: removable is
    the margin above initial margin less open losses (unless the idealised ``profit_is_free`` is chosen).
    """
    profit = profit_at(position, contract, mark)
    change = balance - profit - position.margin
    if change > 0.0:
        change = min(change, max(0.0, account.wallet_balance - account.assigned))
    elif not config.profit_is_free:
        least = value_at(position, contract, position.entry_price) / position.leverage
        least -= min(0.0, profit)
        change = max(change, min(0.0, least - position.margin))
    assign_margin(account, position, change)


@hot
def close_at_open(account, position, terms, ledger):
    """Close a position at the row's open, as a decision's order does."""
    if position.quantity == 0.0 or not terms.row.tradable:
        return
    side = -1.0 if position.quantity > 0.0 else 1.0
    price = fill_price(terms.row.open, side, slippage_of(terms, position.quantity), terms.contract)
    close_at(account, position, terms.contract, terms.config, ledger, price, order_fee(terms))


@rule
def place_guard(position, guard):
    """Replace the resting protective orders of a position."""
    position.stop = guard.stop
    position.take_profit = guard.take_profit
    position.trailing = guard.trailing
    position.trigger_last = guard.trigger_last
    position.guarded = not (
        math.isnan(guard.stop) and math.isnan(guard.take_profit) and math.isnan(guard.trailing)
    )
