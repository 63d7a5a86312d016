"""The path inside a row: liquidations and resting orders along the mark price.

The order within one row is unknown, so each choice is conservative (table in section 3 of the exchange rules):
adverse extreme before favourable, liquidation before a stop unless the stop provably lies nearer on the same price
series, stop before take-profit, a gap fills at the open. This module handles single positions; ``cross.py`` handles
the positions of a cross account, which back each other.
"""

import math

from gearing.exchange.account import (
    close_at,
    fill_price,
    is_liquidated,
    liquidation_on_segment,
    margin_surplus,
    profit_at,
    slippage_of,
    stop_price,
    take_profit_price,
)
from gearing.exchange.liquidation import liquidate_position
from gearing.exchange.marking import hot, part
from gearing.exchange.rules import ALL_TIERS


@hot
def watched_open(terms):
    """Opening price of the series that liquidates."""
    if terms.config.close_only:
        return terms.row.close if terms.config.last_price_liquidation else terms.row.mark_close
    return terms.row.open if terms.config.last_price_liquidation else terms.row.mark_open


@hot
def extreme_of(row, last, upper):
    """Highest (``upper``) or lowest last price of a row, or mark price."""
    if last:
        return row.high if upper else row.low
    return row.mark_high if upper else row.mark_low


@hot
def watched_extreme(terms, upper):
    """Extreme of the series that liquidates; the close if only closes are checked."""
    if terms.config.close_only:
        return watched_open(terms)
    return extreme_of(terms.row, terms.config.last_price_liquidation, upper)


@part("with_stops")
def fire_order(account, position, terms, ledger, reference):
    """A resting order becomes a market order at ``reference``."""
    side = -1.0 if position.quantity > 0.0 else 1.0
    price = fill_price(reference, side, slippage_of(terms, position.quantity), terms.contract)
    close_at(account, position, terms.contract, terms.config, ledger, price, terms.contract.taker_fee)


@part("with_stops")
def fire_at_open(account, position, terms, ledger):
    """Stop or take-profit already passed by the row's open: filled at the open of the traded price."""
    watched = terms.row.open if position.trigger_last else terms.row.mark_open
    side = 1.0 if position.quantity > 0.0 else -1.0
    if side * (watched - stop_price(position)) <= 0.0:
        ledger.stops += 1
        fire_order(account, position, terms, ledger, terms.row.open)
    elif side * (watched - take_profit_price(position)) >= 0.0:
        ledger.take_profits += 1
        fire_order(account, position, terms, ledger, terms.row.open)


@part("with_stops", math.nan)
def stop_touched(position, terms):
    """Stop price if the adverse extreme of the row reaches it, else NaN."""
    row = terms.row
    price, long = stop_price(position), position.quantity > 0.0
    extreme = extreme_of(row, position.trigger_last, not long)
    touched = extreme <= price if long else extreme >= price
    return price if touched else math.nan


@part("with_stops", math.nan)
def stop_before(position, terms, start, mark):
    """Stop price if the row reaches it before the position is liquidated at ``mark`` (NaN: not at all), else NaN.

    A stop fires before a liquidation only if it lies between open and liquidation mark on the same series.
    """
    stop = stop_touched(position, terms)
    if math.isnan(stop) or math.isnan(mark):
        return stop
    if position.trigger_last != terms.config.last_price_liquidation:
        return math.nan
    side = 1.0 if position.quantity > 0.0 else -1.0
    return stop if side * (stop - mark) > 0.0 and side * (start - stop) >= 0.0 else math.nan


@part("with_stops")
def favourable_orders(account, position, terms, ledger):
    """After a survived adverse extreme: take-profit, trailing stop after a new best price."""
    long, row = position.quantity > 0.0, terms.row
    side = 1.0 if long else -1.0
    best = extreme_of(row, position.trigger_last, long)
    close = row.close if position.trigger_last else row.mark_close
    target = take_profit_price(position)
    if side * (best - target) >= 0.0:
        ledger.take_profits += 1
        fire_order(account, position, terms, ledger, target)
        return
    if side * (best - position.best_price) > 0.0:
        position.best_price = best
        # From the new best price to the close the path must have crossed a trailing stop between them.
        trail = stop_price(position)
        if side * (close - trail) <= 0.0:
            ledger.stops += 1
            fire_order(account, position, terms, ledger, trail)


@part("with_variants")
def deleverage_winner(account, position, terms, ledger):
    """Stress: a winner is closed once the row moved ``deleveraging_move`` its way, at that price, without fee."""
    side = 1.0 if position.quantity > 0.0 else -1.0
    price = terms.row.mark_open * (1.0 + side * terms.config.deleveraging_move)
    best = extreme_of(terms.row, False, side > 0.0)
    if side * (best - price) >= 0.0 and profit_at(position, terms.contract, price) > 0.0:
        ledger.deleveragings += 1
        close_at(account, position, terms.contract, terms.config, ledger, price, 0.0)


@hot
def adverse_extreme(position, terms):
    """Extreme of the row that hurts a position more; where requirements jump with size, a long's may be the high."""
    extreme = watched_extreme(terms, position.quantity < 0.0)
    if terms.config.whole_position_tiers:
        other = watched_extreme(terms, position.quantity > 0.0)
        here = margin_surplus(position, terms, extreme)
        if margin_surplus(position, terms, other) < here:
            return other
    return extreme


@part("with_variants")
def walk_back(account, position, terms, ledger, start, tier):
    """From the adverse extreme to the other one; only where the requirement jumps may a better mark liquidate."""
    low, high = watched_extreme(terms, False), watched_extreme(terms, True)
    end = low if start == high else high
    while position.quantity != 0.0:
        mark = liquidation_on_segment(position, terms, start, end)
        if math.isnan(mark):
            return
        tier = liquidate_position(account, position, terms, ledger, mark, tier)
        start = mark


@hot
def walk_isolated(account, position, terms, ledger):
    """One row of one isolated position."""
    start = watched_open(terms)
    # Beyond both at the open, the order of stop and liquidation is unknown: the liquidation comes first.
    if position.guarded and not is_liquidated(position, terms, start):
        fire_at_open(account, position, terms, ledger)
    tier = ALL_TIERS
    extreme = start
    while position.quantity != 0.0:
        extreme = adverse_extreme(position, terms)
        mark = liquidation_on_segment(position, terms, start, extreme)
        if position.guarded:
            stop = stop_before(position, terms, start, mark)
            if not math.isnan(stop):
                ledger.stops += 1
                fire_order(account, position, terms, ledger, stop)
                return
        if math.isnan(mark):
            break
        tier = liquidate_position(account, position, terms, ledger, mark, tier)
        start = mark
    if terms.config.whole_position_tiers:
        walk_back(account, position, terms, ledger, extreme, tier)
    if position.quantity != 0.0:
        finish_row(account, position, terms, ledger)


@hot
def finish_row(account, position, terms, ledger):
    """Events of a position that survived the row's adverse extreme."""
    if position.guarded:
        favourable_orders(account, position, terms, ledger)
    if terms.config.deleveraging_move > 0.0 and position.quantity != 0.0:
        deleverage_winner(account, position, terms, ledger)
