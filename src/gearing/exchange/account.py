"""What the exchange does to one account: fills, funding, margin, liquidation, resting stops.

Each function changes the records it is given, in place. Layouts and units: ``records.py``; formulas:
``rules.py``; order of events: ``kernel.py``. The functions run compiled in the kernel and as plain Python.
"""

import math

from gearing.exchange.compiled import hot, rule
from gearing.exchange.rules import (
    ALL_TIERS,
    average_entry_price,
    first_liquidation_mark,
    initial_margin,
    liquidation_price,
    liquidation_price_at_entry,
    maintenance_margin,
    notional,
    round_price,
    round_quantity,
    settlement_payout,
    tier_index,
    trading_fee,
    unit_value,
    unrealised_pnl,
)

LARGE_POSITION = 100_000.0  # [settle coin] Hyperliquid liquidates in full what is not above it
VAULT_SHARE = (
    2.0 / 3.0
)  # of the maintenance margin: with less balance, Hyperliquid's vault takes a position over
REFUSED_MINIMUM, REFUSED_NOT_TRADABLE, REFUSED_MARGIN = 1, 2, 3
GONE = -2  # tier of a position that was liquidated in full
_BELOW_FLOOR = 1e-13  # relative distance at which a notional counts as below a floor, whatever the rounding
_FAR = 1e12  # times a price: beyond every path


@hot
def clear_position(account, position):
    """Make a position flat; nothing of it may leak into the next one."""
    account.assigned -= position.margin
    position.quantity = 0.0
    position.entry_price = 0.0
    position.margin = 0.0
    position.best_price = 0.0
    if position.guarded:
        cancel_orders(position)


@hot
def cancel_orders(position):
    """Nothing rests any more: a venue cancels open orders before it liquidates."""
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

    Nobody owes an exchange: a loss beyond the released margin (a fill past the bankruptcy price) is borne by
    the insurance fund.
    """
    whole = size >= abs(position.quantity)
    closed = position.quantity if whole else math.copysign(size, position.quantity)
    profit = unrealised_pnl(closed, position.entry_price, price, contract.inverse)
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
    """The insurance fund pays what the trader cannot lose."""
    account.wallet_balance += amount
    account.insurance += amount
    ledger.liquidation += amount


@hot
def open_or_add(account, position, contract, config, quantity, price, leverage):
    """Open a position or add to it on the same side; isolated: its initial margin becomes assigned margin."""
    opening = position.quantity == 0.0
    position.entry_price = average_entry_price(
        position.quantity, position.entry_price, quantity, price, contract.inverse
    )
    position.quantity += quantity
    position.leverage = leverage
    if opening:
        position.best_price = price
    if not config.cross:
        assign_margin(account, position, initial_margin(quantity, price, leverage, contract.inverse))


@hot
def apply_fill(account, position, contract, config, ledger, quantity, price, leverage, fee_rate):
    """Fill a signed order: open, add, reduce, close or flip (close all, then open the rest at the same price)."""
    fee = trading_fee(quantity, price, fee_rate, contract.inverse)
    account.wallet_balance -= fee
    ledger.fees -= fee
    ledger.turnover += notional(quantity, price, contract.inverse)
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
    first (Bybit), only what is missing comes from the margin.
    """
    payment = -position.quantity * unit_value(mark, contract.inverse) * rate
    account.wallet_balance += payment
    ledger.funding += payment
    if not config.cross:
        from_margin = payment
        if config.funding_from_free_balance:
            free = max(0.0, account.wallet_balance - payment - account.assigned)
            from_margin = min(0.0, payment + free)
        assign_margin(account, position, from_margin)


@hot
def position_maintenance(position, contract, config, tiers, row, mark):
    """Maintenance margin of a position as the venue values it, with the closing fee where it is reserved."""
    if position.quantity == 0.0:
        return 0.0
    price = position.entry_price if config.maintenance_at_entry else mark
    value = notional(position.quantity, price, contract.inverse)
    return maintenance_margin(value, tiers, row.tiers_first, row.tiers_last) + config.closing_fee * value


@hot
def margin_surplus(position, contract, config, tiers, row, mark):
    """Unrealised PnL less maintenance margin: what a position adds to margin balance above its requirement."""
    profit = unrealised_pnl(position.quantity, position.entry_price, mark, contract.inverse)
    return profit - position_maintenance(position, contract, config, tiers, row, mark)


@hot
def is_liquidated(position, contract, config, tiers, row, mark):
    """Isolated: margin balance has fallen to the maintenance margin."""
    return position.margin + margin_surplus(position, contract, config, tiers, row, mark) <= 0.0


@hot
def position_liquidation_price(position, contract, config, tiers, row, backing):
    """Liquidation price under the venue's way of valuing maintenance margin; NaN if there is none."""
    if config.whole_position_tiers:
        return touch_from(position, contract, config, tiers, row, backing, position.entry_price)
    if config.maintenance_at_entry:
        return liquidation_price_at_entry(
            position.quantity,
            position.entry_price,
            backing,
            tiers,
            contract.inverse,
            row.tiers_first,
            row.tiers_last,
        )
    return liquidation_price(
        position.quantity, position.entry_price, backing, tiers, contract.inverse, config.closing_fee,
        row.tiers_first, row.tiers_last,
    )  # fmt: skip


@rule
def touch_from(position, contract, config, tiers, row, backing, mark):
    """Mark that liquidates first if the price moves against the position from ``mark`` on, by ``rules``' search."""
    end = mark / _FAR if position.quantity > 0.0 else mark * _FAR
    return touch_on_segment(position, contract, config, tiers, row, backing, mark, end)


@rule
def touch_on_segment(position, contract, config, tiers, row, backing, start, end):
    """First mark from ``start`` to ``end`` that liquidates a position under whole-position tiers; NaN if none."""
    return first_liquidation_mark(
        position.quantity, position.entry_price, backing, tiers, contract.inverse, config.closing_fee, start, end,
        row.tiers_first, row.tiers_last,
    )  # fmt: skip


@rule
def liquidation_on_segment(position, contract, config, tiers, row, start, end):
    """Mark at which an isolated position is liquidated while the mark moves from ``start`` to ``end``; NaN if not.

    A mark that starts beyond the liquidation price liquidates at once, there (a gap).
    """
    if config.whole_position_tiers:
        return touch_on_segment(position, contract, config, tiers, row, position.margin, start, end)
    if not is_liquidated(position, contract, config, tiers, row, end):
        return math.nan
    if is_liquidated(position, contract, config, tiers, row, start):
        return start
    price = position_liquidation_price(position, contract, config, tiers, row, position.margin)
    if math.isnan(price):
        return end  # a root lost to rounding at the very end of the segment
    return min(max(price, min(start, end)), max(start, end))


@rule
def liquidate_position(account, position, contract, config, tiers, row, ledger, mark, ceiling=ALL_TIERS):
    """Liquidate an isolated position at ``mark``: in full, or down its tiers where the venue does so.

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


@rule
def step_down_tiers(account, position, contract, config, tiers, row, ledger, mark, ceiling):
    """Sell a position to the floor of its tier, and of the tiers below, until its margin suffices.

    Where the venue goes down several tiers at a time (OKX: two), floors between are passed over, and a position with
    fewer tiers below it is liquidated in full. Returns the tier it ends in, or ``GONE`` where nothing would be left.
    Each liquidation within one walk ends at least one tier lower: else a short would shed a dollar at every tick of a
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
    """Largest size that a tier holds below ``floor``, at ``value`` of one unit.

    A floor belongs to the tier above. That makes a difference where requirements jump there: a size on it stays below
    by a lot, or by what no rounding undoes.
    """
    size = round_quantity(floor / value, contract.lot_size)
    if config.whole_position_tiers and size * value >= floor * (1.0 - _BELOW_FLOOR):
        size = size - contract.lot_size if contract.lot_size > 0.0 else size * (1.0 - _BELOW_FLOOR)
    return size


@rule
def sell_fifth(account, position, contract, config, tiers, row, ledger, mark):
    """Sell a fifth of a large position first; ``GONE`` if it is not large, or its margin does not suffice then.

    The rest follows in full if the path goes on against it within the row: the venue waits 30 seconds. Otherwise the
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


@rule
def vault_takes(position, contract, config, tiers, row, mark):
    """Whether too little balance is left for the book: the venue's vault takes the position, and nothing returns."""
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
def slippage_of(row, quantity, contract):
    """Slippage of an order at this row [fraction]: the market's part and the order's own square-root impact."""
    if row.impact == 0.0:
        return row.slippage
    return row.slippage + row.impact * math.sqrt(notional(quantity, row.open, contract.inverse))


@hot
def order_fee(contract, config):
    """Fee rate of a decision's order."""
    maker, taker = contract.maker_fee, contract.taker_fee
    return maker if config.maker else taker


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
    return account.wallet_balance + unrealised_pnl(
        position.quantity, position.entry_price, mark, contract.inverse
    )
