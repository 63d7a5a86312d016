"""Inside a row of a cross account: all its positions back each other and are liquidated together.

No order of the contracts' extremes within a row is known, so all marks move together along a straight line from the
opens to the extremes that hurt (section 3 of the exchange rules); stops fire in the order of that line.
"""

import math

from gearing.exchange.account import (
    cancel_orders,
    margin_surplus,
    position_liquidation_price,
    profit_at,
    stop_price,
    value_at,
)
from gearing.exchange.liquidation import sell_in_liquidation
from gearing.exchange.marking import part, rule
from gearing.exchange.path import (
    finish_row,
    fire_at_open,
    fire_order,
    stop_touched,
    watched_extreme,
    watched_open,
)
from gearing.exchange.rules import price_of_value, settlement_payout
from gearing.exchange.terms import Terms, contract_of, is_inverse

_BISECTIONS = 80  # enough for the last bit of a double
_SHORTEST_STEP = 1e-13  # of a leg of the joint line: smallest step of a search
_NEAR_FLOOR = 1e-9  # of a leg of the joint line: distance that decides the side of a tier's floor


@rule
def legs_surplus(positions, market, r, j, mark):
    """Surplus of all legs of contract ``j`` at one mark."""
    terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
    if not market.config.hedge:
        return margin_surplus(positions[j], terms, mark)
    return margin_surplus(positions[2 * j], terms, mark) + margin_surplus(positions[2 * j + 1], terms, mark)


@rule
def worse_extreme(positions, market, r, j):
    """Extreme of the row that hurts the net of a contract's legs more."""
    terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
    low, high = watched_extreme(terms, False), watched_extreme(terms, True)
    at_low = legs_surplus(positions, market, r, j, low)
    at_high = legs_surplus(positions, market, r, j, high)
    return low if at_low <= at_high else high


@rule
def joint_mark(positions, market, r, j, way):
    """Mark of a contract at a fraction ``way`` of the straight line from the opens to the worse extremes.

    From 1 to 2 the line continues to the other extremes, where only requirements that jump liquidate.
    """
    terms, worse = (
        Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j]),
        worse_extreme(positions, market, r, j),
    )
    if way > 1.0:
        low, high = watched_extreme(terms, False), watched_extreme(terms, True)
        return worse + (way - 1.0) * ((low if worse == high else high) - worse)
    start = watched_open(terms)
    return start + way * (worse - start)


@rule
def joint_surplus(account, positions, market, r, way):
    """Margin balance less maintenance margin of a cross account on the joint line."""
    surplus = account.wallet_balance
    for j in range(market.contracts.size):
        mark = joint_mark(positions, market, r, j, way)
        surplus += legs_surplus(positions, market, r, j, mark)
    return surplus


@rule
def joint_liquidation(account, positions, market, r, begin):
    """First fraction of the joint line with margin balance <= maintenance margin; NaN if there is none.

    A surplus above zero at the end means none before it: each contract's legs add up to a surplus concave in the
    price (linear) or its reciprocal (inverse), and end at their worse extreme, so no earlier point is lower.
    """
    if market.config.whole_position_tiers:
        return jumping_liquidation(account, positions, market, r, begin)
    if joint_surplus(account, positions, market, r, 1.0) > 0.0:
        return math.nan
    if market.config.hedge:  # the legs of a contract may gain before they lose
        return first_dip(account, positions, market, r, begin, 1.0)
    return first_deficit(account, positions, market, r, begin, 1.0)


@rule
def first_dip(account, positions, market, r, begin, end):
    """First fraction between ``begin`` and ``end``, on one leg of the joint line, with a surplus not above zero.

    Between two points the surplus lies above its chord less an eighth of its bend times their distance squared. So
    the search advances while that stays above zero, and halves its step otherwise, which also finds dips that
    recover. NaN if there is none.
    """
    bend = joint_bend(positions, market, r, 0.0 if begin < 1.0 else 1.0)
    at_end = joint_surplus(account, positions, market, r, end)
    if bend == 0.0:
        if at_end > 0.0:
            return math.nan
        return first_deficit(account, positions, market, r, begin, end)
    safe, surplus = begin, joint_surplus(account, positions, market, r, begin)
    if surplus <= 0.0:
        return begin
    step = end - begin
    while safe < end:
        ahead, there = end, at_end
        if safe + step < end:
            ahead = safe + step
            there = joint_surplus(account, positions, market, r, ahead)
        if min(surplus, there) > 0.125 * bend * (ahead - safe) ** 2:
            safe, surplus = ahead, there
            step *= 2.0
        elif ahead - safe <= _SHORTEST_STEP:
            return ahead
        else:
            step = 0.5 * (ahead - safe)
    return math.nan


@rule
def joint_bend(positions, market, r, leg):
    """Largest upward bend (second derivative) of the joint surplus on a leg of the joint line.

    Linear contracts have none. Inverse net shorts bend upwards: their gain is proportional to the price's reciprocal.
    """
    bend = 0.0
    for j in range(market.contracts.size):
        if not is_inverse(market.contracts[j]):
            continue
        net = 0.0
        for s in range(positions.size):
            if contract_of(s, market.config) == j:
                net += positions[s].quantity
        start = joint_mark(positions, market, r, j, leg)
        end = joint_mark(positions, market, r, j, leg + 1.0)
        bend += max(0.0, -net) * 2.0 * (end - start) ** 2 / min(start, end) ** 3
    return bend


@rule
def first_deficit(account, positions, market, r, begin, end):
    """Fraction at which the surplus falls to zero between ``begin`` and an ``end`` where it is not above."""
    if joint_surplus(account, positions, market, r, begin) <= 0.0:
        return begin
    safe, hit = begin, end
    for _ in range(_BISECTIONS):
        middle = 0.5 * (safe + hit)
        if joint_surplus(account, positions, market, r, middle) <= 0.0:
            hit = middle
        else:
            safe = middle
    return hit


@rule
def jumping_liquidation(account, positions, market, r, begin):
    """``joint_liquidation`` where requirements jump at floors: piece by piece, up to the other extremes.

    Between two floors the surplus of linear contracts is straight, that of inverse ones bent: see ``first_dip``.
    """
    while begin < 2.0:
        end = next_floor(positions, market, r, begin)
        before = max(begin, end - _NEAR_FLOOR) if end < 2.0 else end
        if joint_surplus(account, positions, market, r, begin) <= 0.0:
            return begin
        after = min(begin + _NEAR_FLOOR, before)
        if joint_surplus(account, positions, market, r, after) <= 0.0:
            return after
        found = first_dip(account, positions, market, r, after, before)
        if not math.isnan(found):
            return found
        begin = end
    return math.nan


@rule
def next_floor(positions, market, r, begin):
    """Next fraction after ``begin`` at which a notional meets a tier's floor or the line turns; at most 2."""
    found = 1.0 if begin < 1.0 else 2.0
    leg = 0.0 if begin < 1.0 else 1.0
    for s in range(positions.size):
        position, j = positions[s], contract_of(s, market.config)
        if position.quantity == 0.0:
            continue
        terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
        start = joint_mark(positions, market, r, j, leg)
        end = joint_mark(positions, market, r, j, leg + 1.0)
        if start == end:
            continue
        for k in range(terms.row.tiers_first + 1, terms.row.tiers_last):
            floor = terms.tiers[k].floor
            price = price_of_value(position.quantity, floor, is_inverse(terms.contract))
            way = leg + (price - start) / (end - start)
            if begin + _NEAR_FLOOR < way < found:
                found = way
    return found


@rule
def joint_stop(positions, market, r, begin):
    """(fraction, slot) of the first resting stop on the joint line; (NaN, -1) if none is reached.

    A stop that watches another series than liquidation does has an unknown place on the line: fraction 1.
    """
    config, first, slot = market.config, math.nan, -1
    for s in range(positions.size):
        position = positions[s]
        if position.quantity == 0.0 or not position.guarded:
            continue
        j = contract_of(s, market.config)
        terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
        stop = stop_touched(position, terms)
        if math.isnan(stop):
            continue
        way = 1.0
        if position.trigger_last == config.last_price_liquidation and not config.close_only:
            start = watched_open(terms)
            extreme = worse_extreme(positions, market, r, contract_of(s, config))
            if (stop - start) * (extreme - start) >= 0.0 and extreme != start:
                way = min(1.0, max(begin, (stop - start) / (extreme - start)))
        if slot < 0 or way < first:
            first, slot = way, s
    return first, slot


@part("with_cross")
def walk_cross(account, positions, market, r, ledgers):
    """One row of a cross account: stops and the joint liquidation in the order of the joint line."""
    if joint_surplus(account, positions, market, r, 0.0) > 0.0:
        for s in range(positions.size):
            if positions[s].guarded and positions[s].quantity != 0.0:
                j = contract_of(s, market.config)
                terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
                fire_at_open(account, positions[s], terms, ledgers[s])
    begin = 0.0
    while open_slots(positions) > 0:
        way = joint_liquidation(account, positions, market, r, begin)
        stop_way, slot = joint_stop(positions, market, r, begin)
        if slot >= 0 and (math.isnan(way) or stop_way < way):
            ledgers[slot].stops += 1
            stop = stop_price(positions[slot])
            j = contract_of(slot, market.config)
            terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
            fire_order(account, positions[slot], terms, ledgers[slot], stop)
            begin = stop_way
            continue
        if math.isnan(way):
            break
        liquidate_cross(account, positions, market, r, ledgers, way)
        begin = way  # remaining positions continue from here
    for s in range(positions.size):
        if positions[s].quantity != 0.0:
            j = contract_of(s, market.config)
            terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
            finish_row(account, positions[s], terms, ledgers[s])


@rule
def liquidate_cross(account, positions, market, r, ledgers, way):
    """Liquidate a cross account at the joint marks: all at once, or largest loss first until margin suffices.

    The marks are those of the trigger: they are recorded first, because closing one leg of a hedged contract
    changes its losing side.
    """
    for s in range(positions.size):
        if positions[s].quantity != 0.0:
            positions[s].trigger = joint_mark(positions, market, r, contract_of(s, market.config), way)
    liquidate_at_triggers(account, positions, market, r, ledgers)


@rule
def liquidate_at_triggers(account, positions, market, r, ledgers):
    """Liquidate a cross account at the marks recorded in its positions; its open orders are cancelled first."""
    for s in range(positions.size):
        cancel_orders(positions[s])
    while market.config.largest_loss_first and open_slots(positions) > 1:
        slot = largest_loss(positions, market)
        note_liquidation(account, positions, slot, market, r, ledgers)
        position = positions[slot]
        j = contract_of(slot, market.config)
        terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
        contract = terms.contract
        size, mark = abs(position.quantity), position.trigger
        sell_in_liquidation(account, position, contract, ledgers[slot], size, mark)
        reset_slot(position)
        if trigger_surplus(account, positions, market, r) > 0.0:
            return
    close_all_cross(account, positions, market, r, ledgers)


@rule
def trigger_surplus(account, positions, market, r):
    """Margin balance less maintenance margin of a cross account at the marks of the trigger."""
    surplus = account.wallet_balance
    for s in range(positions.size):
        j = contract_of(s, market.config)
        terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
        surplus += margin_surplus(positions[s], terms, positions[s].trigger)
    return surplus


@rule
def open_slots(positions):
    """Number of positions that are not flat."""
    count = 0
    for s in range(positions.size):
        if positions[s].quantity != 0.0:
            count += 1
    return count


@rule
def reset_slot(position):
    """Make a slot flat without resting orders (cross: no margin is assigned)."""
    position.quantity = 0.0
    position.entry_price = 0.0
    cancel_orders(position)


@rule
def largest_loss(positions, market):
    """Slot with the largest unrealised loss at the marks of the trigger; -1 if all are flat."""
    worst, slot = math.inf, -1
    for s in range(positions.size):
        if positions[s].quantity != 0.0:
            contract = market.contracts[contract_of(s, market.config)]
            profit = profit_at(positions[s], contract, positions[s].trigger)
            if profit < worst:
                worst, slot = profit, s
    return slot


@rule
def note_liquidation(account, positions, slot, market, r, ledgers):
    """Record where a cross position is liquidated and its what-if price (other marks frozen at the trigger)."""
    position, j = positions[slot], contract_of(slot, market.config)
    terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
    own = margin_surplus(position, terms, position.trigger)
    backing = trigger_surplus(account, positions, market, r) - own
    ledgers[slot].liquidation_price = position_liquidation_price(position, terms, backing)
    ledgers[slot].execution_price = position.trigger
    ledgers[slot].liquidations += 1


@rule
def close_all_cross(account, positions, market, r, ledgers):
    """All positions close at the marks of the trigger; what remains of the wallet follows the settlement rule."""
    value, remaining, fees = 0.0, account.wallet_balance, 0.0
    for s in range(positions.size):
        position, contract = positions[s], market.contracts[contract_of(s, market.config)]
        if position.quantity != 0.0:
            note_liquidation(account, positions, s, market, r, ledgers)
            size = value_at(position, contract, position.trigger)
            value += size
            fees += size * contract.liquidation_fee
            remaining += profit_at(position, contract, position.trigger)
    payout = settlement_payout(remaining, fees / value, value, market.config.fee_then_return)
    for s in range(positions.size):
        position, contract = positions[s], market.contracts[contract_of(s, market.config)]
        if position.quantity != 0.0:
            size = value_at(position, contract, position.trigger)
            ledgers[s].price_pnl += profit_at(position, contract, position.trigger)
            ledgers[s].liquidation += (payout - remaining) * (size / value)
            ledgers[s].turnover += size
            reset_slot(position)
    account.wallet_balance = payout
    account.insurance += payout - remaining
