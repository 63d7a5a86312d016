"""Closed-form rules of an exchange: value, costs, margins and liquidation prices of positions.

Every rule is a plain function of numbers, called by users, tests and the exported runtime; the kernel compiles the
same function (``compiled.rule``) and adds nothing to it.

Signs and units
---------------
``quantity`` is signed: positive long, negative short. A linear contract counts base coins and settles in
quote; an inverse one counts quote (contracts x multiplier) and settles in base. Money is in the settle coin.
``tiers`` is a record array of ``margin_tier_dtype``, ascending by ``floor``, the first floor zero; where an array
holds several schedules, ``first`` and ``last`` bound the one to use.

Sources: Binance support pages on liquidation and maintenance margin, Bybit and OKX help pages; the formulas are those
of the conformance cases in ``tests/conformance``.
"""

import math

import numpy as np

from gearing.exchange.marking import hot, index, rule

NO_PRICE = math.nan  # no such price, e.g. of a position that cannot be liquidated
ALL_TIERS = -1  # default of ``last``: up to the end of the array
_ON_GRID = 1e-14  # relative distance to its grid at which a value is on it
# A root this small (or large) against the entry price is rounding noise of a position without debt.
_NEVER = 1e-12


@hot
def unit_value(price, inverse):
    """Value of one unit of quantity at ``price`` [settle coin]."""
    if inverse:
        return 1.0 / price
    return price


@hot
def notional(quantity, price, inverse):
    """Absolute value of a position at ``price`` [settle coin]."""
    return abs(quantity) * unit_value(price, inverse)


@hot
def unrealised_pnl(quantity, entry_price, price, inverse):
    """Profit of a position if it were closed at ``price`` [settle coin]."""
    if quantity == 0.0:
        return 0.0  # a flat position's entry price is meaningless
    if inverse:
        return quantity * (1.0 / entry_price - 1.0 / price)
    return quantity * (price - entry_price)


@hot
def average_entry_price(quantity, entry_price, added, price, inverse):
    """Entry price after adding on the same side: arithmetic mean (linear), harmonic mean (inverse)."""
    if quantity == 0.0:
        return price
    if inverse:
        return (quantity + added) / (quantity / entry_price + added / price)
    return (quantity * entry_price + added * price) / (quantity + added)


@hot
def trading_fee(quantity, price, rate, inverse):
    """Fee of one fill [settle coin]; negative for a maker rebate."""
    return rate * notional(quantity, price, inverse)


@hot
def initial_margin(quantity, entry_price, leverage, inverse):
    """Margin required to open the position [settle coin]."""
    return notional(quantity, entry_price, inverse) / leverage


@hot
def open_loss(quantity, price, mark, inverse):
    """Loss an order makes at once because it fills worse than the mark, >= 0 [settle coin].

    A buy above mark or a sell below mark; Binance charges it up front ("cost required to open a position").
    """
    return max(0.0, -unrealised_pnl(quantity, price, mark, inverse))


@hot
def tier_index(position_notional, tiers, first=0, last=ALL_TIERS):
    """Index of the margin tier of a notional: the last whose floor is not above it (floors inclusive)."""
    last = tiers.size if last == ALL_TIERS else last
    k = index(first)
    while k + 1 < last and position_notional >= tiers[index(k + 1)].floor:
        k = index(k + 1)
    return k


@hot
def maintenance_margin(position_notional, tiers, first=0, last=ALL_TIERS):
    """Equity a position must have to avoid liquidation [settle coin].

    ``amount`` makes the schedule continuous: without it, growing a position by one dollar across a floor
    would raise the margin of all of it at once.
    """
    tier = tiers[tier_index(position_notional, tiers, first, last)]
    return position_notional * tier.rate - tier.amount


@rule
def maintenance_amount(floor, rate_below, rate, amount_below):
    """Amount of a tier that keeps the schedule continuous at its floor [settle coin]."""
    return amount_below + floor * (rate - rate_below)


@rule
def largest_notional(leverage, tiers, first=0, last=ALL_TIERS):
    """Largest notional that may be opened at a leverage setting; 0 if no tier allows that leverage."""
    last = tiers.size if last == ALL_TIERS else last
    k = last - 1
    while k >= first and tiers[k].max_leverage < leverage:
        k -= 1
    return tiers[k].cap if k >= first else 0.0


@rule
def largest_leverage(position_notional, tiers, first=0, last=ALL_TIERS):
    """Highest leverage setting at which a notional may be held."""
    return tiers[tier_index(position_notional, tiers, first, last)].max_leverage


@rule
def funding_payment(quantity, mark, rate, inverse):
    """Cash flow of one settlement to the position; longs pay while the rate is positive."""
    return -quantity * unit_value(mark, inverse) * rate


@rule
def is_price(price, entry_price):
    """Whether a root is a price: a linear long without debt has none but zero, an inverse short none but infinity."""
    return _NEVER * entry_price < price < entry_price / _NEVER


@rule
def bankruptcy_price(quantity, entry_price, wallet, inverse):
    """Price at which a position's margin balance is exactly zero; NaN where none is positive.

    ``wallet`` is the margin that backs it: assigned margin (isolated) or the whole wallet (cross).
    """
    if inverse:
        denominator = wallet + quantity / entry_price
        price = quantity / denominator if denominator != 0.0 else NO_PRICE
    else:
        price = entry_price - wallet / quantity
    return price if is_price(price, entry_price) else NO_PRICE


@rule
def margin_with_addition(quantity, initial, added, fee_rate):
    """Margin that backs an inverse position after margin was added by hand, on Bybit [settle coin].

    The fee of closing what the addition carries is set aside: added / (1 + side x fee rate). Its bankruptcy and
    liquidation prices are those of this margin, rounded to the tick towards the entry.
    """
    side = 1.0 if quantity > 0.0 else -1.0
    return initial + added / (1.0 + side * fee_rate)


@rule
def price_at_margin(quantity, entry_price, backing, rate, amount, inverse):
    """Price at which margin balance equals ``rate`` x notional - ``amount``; may be non-positive or infinite.

    ``backing`` is wallet plus, in cross mode, unrealised PnL less maintenance margin of the other positions.
    """
    side = 1.0 if quantity > 0.0 else -1.0
    size = abs(quantity)
    if inverse:
        denominator = backing + amount + quantity / entry_price
        return size * (side + rate) / denominator if denominator != 0.0 else math.inf
    return (backing + amount - quantity * entry_price) / (size * (rate - side))


@rule
def liquidation_price(
    quantity, entry_price, backing, tiers, inverse, closing_fee=0.0, first=0, last=ALL_TIERS
):
    """Mark price at which margin balance equals maintenance margin; NaN if the position cannot be liquidated.

    The tier is the one *at the liquidation price*: each is tried, the one whose price gives a notional inside
    it is taken (margin balance less maintenance margin is monotone in the price, so at most one fits; the
    last tier counts as unbounded). ``closing_fee`` is added to the maintenance rate on venues that reserve
    the fee of the closing order (OKX, Gate); 0 on the others.
    """
    last = tiers.size if last == ALL_TIERS else last
    for k in range(first, last):
        price = price_at_margin(
            quantity, entry_price, backing, tiers[k].rate + closing_fee, tiers[k].amount, inverse
        )
        if not is_price(price, entry_price):
            continue
        # A root that lies on a floor up to rounding belongs to both neighbours and has one price.
        value = notional(quantity, price, inverse)
        slack = 1e-12 * value
        if value >= tiers[k].floor - slack and (k + 1 == last or value < tiers[k + 1].floor + slack):
            return price
    return NO_PRICE


@rule
def liquidation_price_at_entry(quantity, entry_price, backing, tiers, inverse, first=0, last=ALL_TIERS):
    """Liquidation price where the venue values maintenance margin once, at the entry price (Bybit, isolated)."""
    margin = maintenance_margin(notional(quantity, entry_price, inverse), tiers, first, last)
    price = price_at_margin(quantity, entry_price, backing, 0.0, -margin, inverse)
    return price if is_price(price, entry_price) else NO_PRICE


@rule
def first_liquidation_mark(
    quantity, entry_price, backing, tiers, inverse, closing_fee, start, end, first=0, last=ALL_TIERS
):
    """First mark from ``start`` to ``end`` with margin balance <= maintenance margin; NaN if there is none.

    For tiers under which the whole position pays its tier's rate (``TierSchedule.marginal`` False): the requirement
    jumps at a floor, so that a mark between the ends of the path may liquidate, and several tiers may each
    have a liquidation price. In the position's notional both sides are linear within a tier, so its ends are enough.
    """
    last = tiers.size if last == ALL_TIERS else last
    value, goal = notional(quantity, start, inverse), notional(quantity, end, inverse)
    side = 1.0 if quantity > 0.0 else -1.0
    gain = -side if inverse else side  # of the balance, per unit of notional
    owed = gain * notional(quantity, entry_price, inverse) - backing
    k, mark = tier_index(value, tiers, first, last), start
    while True:
        edge = goal
        if goal > value and k + 1 < last:
            edge = min(goal, tiers[k + 1].floor)
        elif goal < value:
            edge = max(goal, tiers[k].floor)
        slope, debt = gain - tiers[k].rate - closing_fee, owed - tiers[k].amount
        if slope * value <= debt:
            return mark
        if slope * edge <= debt:
            return price_of_value(quantity, debt / slope, inverse)
        climbs = goal > value and k + 1 < last and goal >= tiers[k + 1].floor
        if edge == goal and not climbs:
            return NO_PRICE
        value, mark = edge, price_of_value(quantity, edge, inverse)
        k += 1 if climbs else -1


@rule
def price_of_value(quantity, value, inverse):
    """Price at which a position has a notional."""
    return abs(quantity) / value if inverse else value / abs(quantity)


@hot
def round_price(price, tick, side):
    """Fill price on the tick grid, never in the trader's favour: buys up, sells down; tick 0 does not round."""
    if tick <= 0.0:
        return price
    steps = price / tick
    nearest = np.floor(steps + 0.5)
    if abs(steps - nearest) < _ON_GRID * max(1.0, steps):
        return nearest * tick  # already on the grid up to binary representation
    return (np.ceil(steps) if side > 0.0 else np.floor(steps)) * tick


@hot
def round_quantity(size, lot):
    """Absolute quantity on the lot grid, rounded down; lot 0 does not round."""
    if lot <= 0.0:
        return size
    steps = size / lot
    nearest = np.floor(steps + 0.5)
    if abs(steps - nearest) < _ON_GRID * max(1.0, steps):
        return nearest * lot
    return np.floor(steps) * lot


@rule
def settlement_payout(remaining, liquidation_fee, position_notional, fee_then_return):
    """Share of the remaining margin returned to a liquidated trader, never negative [settle coin]."""
    if not fee_then_return:
        return 0.0
    return max(0.0, remaining - liquidation_fee * position_notional)
