"""Operations on one account: fills, funding, margin, liquidation tests and resting stops.

Each function changes its records in place. Layouts and units: ``records.py``; formulas: ``rules.py``; liquidations:
``liquidation.py``; order of events: ``kernel.py``. The functions run compiled in the kernel and as plain Python.
"""

import math

from gearing.exchange.marking import hot, part, rule
from gearing.exchange.rules import (
    average_entry_price,
    first_liquidation_mark,
    initial_margin,
    liquidation_price,
    liquidation_price_at_entry,
    maintenance_margin,
    notional,
    round_price,
    trading_fee,
    unit_value,
    unrealised_pnl,
)
from gearing.exchange.terms import is_inverse

REFUSED_MINIMUM, REFUSED_NOT_TRADABLE, REFUSED_MARGIN = 1, 2, 3
_FAR = 1e12  # times a price: farther than any path goes


@hot
def profit_at(position, contract, mark):
    """Unrealised PnL of a position at ``mark`` [settle coin]."""
    return unrealised_pnl(position.quantity, position.entry_price, mark, is_inverse(contract))


@hot
def value_at(position, contract, price):
    """Absolute value of a position at ``price`` [settle coin]."""
    return notional(position.quantity, price, is_inverse(contract))


@hot
def clear_position(account, position):
    """Make a position flat and reset all its fields."""
    account.assigned -= position.margin
    position.quantity = 0.0
    position.entry_price = 0.0
    position.margin = 0.0
    position.best_price = 0.0
    if position.guarded:
        cancel_orders(position)


@hot
def cancel_orders(position):
    """Cancel resting orders: a venue does so before it liquidates."""
    position.stop = math.nan
    position.take_profit = math.nan
    position.trailing = math.nan
    position.guarded = 0


@hot
def assign_margin(account, position, amount):
    """Move free balance into a position's margin (isolated)."""
    position.margin += amount
    account.assigned += amount


@hot
def reduce_position(account, position, contract, config, ledger, size, price):
    """Realise the profit of ``size`` of a position at ``price``; isolated margin is released pro rata.

    The insurance fund covers a loss beyond the released margin (a fill past the bankruptcy price).
    """
    whole = size >= abs(position.quantity)
    closed = position.quantity if whole else math.copysign(size, position.quantity)
    profit = unrealised_pnl(closed, position.entry_price, price, is_inverse(contract))
    released = position.margin * (closed / position.quantity)
    account.wallet_balance += profit
    ledger.price_pnl += profit
    if not config.cross and released + profit < 0.0:
        cover_shortfall(account, ledger, -(released + profit))
    if whole:
        clear_position(account, position)
    else:
        assign_margin(account, position, -released)
        position.quantity -= closed


@hot
def cover_shortfall(account, ledger, amount):
    """The insurance fund covers a negative balance."""
    account.wallet_balance += amount
    account.insurance += amount
    ledger.liquidation += amount


@hot
def open_or_add(account, position, contract, config, quantity, price, leverage):
    """Open a position or add to it on the same side; isolated: its initial margin becomes assigned margin."""
    opening = position.quantity == 0.0
    position.entry_price = average_entry_price(
        position.quantity, position.entry_price, quantity, price, is_inverse(contract)
    )
    position.quantity += quantity
    position.leverage = leverage
    if opening:
        position.best_price = price
    if not config.cross:
        assign_margin(account, position, initial_margin(quantity, price, leverage, is_inverse(contract)))


@hot
def apply_fill(account, position, contract, config, ledger, quantity, price, leverage, fee_rate):
    """Fill a signed order: open, add, reduce, close or flip (close all, then open the rest at the same price)."""
    fee = trading_fee(quantity, price, fee_rate, is_inverse(contract))
    account.wallet_balance -= fee
    ledger.fees -= fee
    ledger.turnover += notional(quantity, price, is_inverse(contract))
    ledger.fills += 1
    held = position.quantity
    if held * quantity < 0.0:
        closed = min(abs(held), abs(quantity))
        reduce_position(account, position, contract, config, ledger, closed, price)
        quantity += math.copysign(closed, held)
        if abs(quantity) < 1e-12 * abs(held):
            quantity = 0.0  # the remainder of a full close in binary arithmetic
    if quantity != 0.0:
        open_or_add(account, position, contract, config, quantity, price, leverage)
    if not config.cross:
        settle_overdraft(account, position, ledger)


@hot
def settle_overdraft(account, position, ledger):
    """Fees that the free balance cannot pay come from the position's margin, then from the insurance fund.

    Isolated only: a cross wallet may be negative while the profits of other positions outweigh it.
    """
    overdraft = account.assigned - account.wallet_balance
    if overdraft > 0.0:
        taken = min(overdraft, position.margin)
        assign_margin(account, position, -taken)
        if overdraft > taken:
            cover_shortfall(account, ledger, overdraft - taken)


@hot
def settle_funding(account, position, contract, config, ledger, mark, rate):
    """Pay or receive one funding settlement; longs pay while the rate is positive.

    Isolated: the position's margin changes, so its liquidation price moves. Where the venue takes free balance
    first (Bybit), only the rest comes from the margin.
    """
    payment = -position.quantity * unit_value(mark, is_inverse(contract)) * rate
    account.wallet_balance += payment
    ledger.funding += payment
    if not config.cross:
        from_margin = payment
        if config.funding_from_free_balance:
            free = max(0.0, account.wallet_balance - payment - account.assigned)
            from_margin = min(0.0, payment + free)
        assign_margin(account, position, from_margin)


@hot
def position_maintenance(position, terms, mark):
    """Maintenance margin of a position by the venue's rule, with the closing fee where it is reserved."""
    if position.quantity == 0.0:
        return 0.0
    price = position.entry_price if terms.config.maintenance_at_entry else mark
    value = value_at(position, terms.contract, price)
    margin = maintenance_margin(value, terms.tiers, terms.row.tiers_first, terms.row.tiers_last)
    return margin + terms.config.closing_fee * value


@hot
def margin_surplus(position, terms, mark):
    """Unrealised PnL less maintenance margin: what a position adds to margin balance above its requirement."""
    profit = profit_at(position, terms.contract, mark)
    return profit - position_maintenance(position, terms, mark)


@hot
def is_liquidated(position, terms, mark):
    """Isolated: margin balance has fallen to the maintenance margin."""
    return position.margin + margin_surplus(position, terms, mark) <= 0.0


@hot
def position_liquidation_price(position, terms, backing):
    """Liquidation price under the venue's way of valuing maintenance margin; NaN if there is none."""
    contract, config, tiers, row = terms
    if config.whole_position_tiers:
        return touch_from(position, terms, backing, position.entry_price)
    quantity, entry_price = position.quantity, position.entry_price
    first, last = row.tiers_first, row.tiers_last
    if config.maintenance_at_entry:
        return liquidation_price_at_entry(
            quantity, entry_price, backing, tiers, is_inverse(contract), first, last
        )
    return liquidation_price(
        quantity, entry_price, backing, tiers, is_inverse(contract), config.closing_fee, first, last
    )


@part("with_variants", math.nan)
def touch_from(position, terms, backing, mark):
    """First mark that liquidates if the price moves against the position from ``mark`` on."""
    end = mark / _FAR if position.quantity > 0.0 else mark * _FAR
    return touch_on_segment(position, terms, backing, mark, end)


@part("with_variants", math.nan)
def touch_on_segment(position, terms, backing, start, end):
    """First mark from ``start`` to ``end`` that liquidates a position under whole-position tiers; NaN if none."""
    contract, config, tiers, row = terms
    return first_liquidation_mark(
        position.quantity, position.entry_price, backing, tiers, is_inverse(contract), config.closing_fee, start, end,
        row.tiers_first, row.tiers_last,
    )  # fmt: skip


@hot
def liquidation_on_segment(position, terms, start, end):
    """Mark at which an isolated position is liquidated while the mark moves from ``start`` to ``end``; NaN if not.

    A mark that starts beyond the liquidation price liquidates at once, there (a gap).
    """
    if terms.config.whole_position_tiers:
        return touch_on_segment(position, terms, position.margin, start, end)
    if not is_liquidated(position, terms, end):
        return math.nan
    if is_liquidated(position, terms, start):
        return start
    price = position_liquidation_price(position, terms, position.margin)
    if math.isnan(price):
        return end  # a root lost to rounding at the end of the segment
    return min(max(price, min(start, end)), max(start, end))


@rule
def stop_price(position):
    """Price of the nearest resting stop, fixed or trailing; NaN if none rests."""
    side = 1.0 if position.quantity > 0.0 else -1.0
    fixed = position.entry_price * (1.0 - side * position.stop)
    trailing = position.best_price * (1.0 - side * position.trailing)
    if math.isnan(fixed):
        return trailing
    if math.isnan(trailing):
        return fixed
    return max(fixed, trailing) if side > 0.0 else min(fixed, trailing)


@rule
def take_profit_price(position):
    """Price of the resting take-profit; NaN if none rests."""
    side = 1.0 if position.quantity > 0.0 else -1.0
    return position.entry_price * (1.0 + side * position.take_profit)


@hot
def fill_price(reference, side, slippage, contract):
    """Price of a market order: worse than the reference by the slippage, on the tick grid, against the trader."""
    return round_price(reference * (1.0 + side * slippage), contract.tick_size, side)


@hot
def slippage_of(terms, quantity):
    """Slippage of an order at this row [fraction]: the market's part and the order's square-root impact."""
    if terms.row.impact == 0.0:
        return terms.row.slippage
    value = notional(quantity, terms.row.open, is_inverse(terms.contract))
    return terms.row.slippage + terms.row.impact * math.sqrt(value)


@hot
def order_fee(terms):
    """Fee rate of a decision's order."""
    maker, taker = terms.contract.maker_fee, terms.contract.taker_fee
    return maker if terms.config.maker else taker


@rule
def close_at(account, position, contract, config, ledger, price, fee_rate):
    """Close a whole position at a final price."""
    apply_fill(
        account, position, contract, config, ledger, -position.quantity, price, position.leverage, fee_rate
    )


@hot
def affordable_quantity(margin, held, leverage, price, cost):
    """Largest quantity whose initial margin and entry costs fit into ``margin``, given ``held`` (signed to its side).

    ``price`` is the value of one unit at the fill, ``cost`` the fee and open loss of trading one unit: an
    increase pays them on what is added, a flip also on what it closes.
    """
    return (margin + cost * held) / (price / leverage + cost)


@hot
def balance_at(account, position, contract, mark):
    """Wallet balance plus the unrealised PnL of one position at ``mark``."""
    return account.wallet_balance + profit_at(position, contract, mark)
