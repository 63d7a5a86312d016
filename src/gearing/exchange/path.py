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
    slippage_of,
    stop_price,
    take_profit_price,
)
from gearing.exchange.liquidation import liquidate_position
from gearing.exchange.marking import hot, part, rule
from gearing.exchange.rules import ALL_TIERS, unrealised_pnl


@hot
def watched_open(row, config):
    """Opening price of the series that liquidates."""
    if config.close_only:
        return row.close if config.last_price_liquidation else row.mark_close
    return row.open if config.last_price_liquidation else row.mark_open


@hot
def watched_extreme(row, config, upper):
    """Highest (``upper``) or lowest price of the series that liquidates; the close if only closes are checked."""
    if config.close_only:
        return row.close if config.last_price_liquidation else row.mark_close
    if config.last_price_liquidation:
        return row.high if upper else row.low
    return row.mark_high if upper else row.mark_low


@rule
def fire_order(account, position, contract, config, row, ledger, reference):
    """A resting order becomes a market order at ``reference``."""
    side = -1.0 if position.quantity > 0.0 else 1.0
    price = fill_price(reference, side, slippage_of(row, position.quantity, contract), contract)
    close_at(account, position, contract, config, ledger, price, contract.taker_fee)


@part("with_stops")
def fire_at_open(account, position, contract, config, row, ledger):
    """Stop or take-profit already passed by the row's open: filled at the open of the traded price."""
    watched = row.open if position.trigger_last else row.mark_open
    side = 1.0 if position.quantity > 0.0 else -1.0
    if side * (watched - stop_price(position)) <= 0.0:
        ledger.stops += 1
        fire_order(account, position, contract, config, row, ledger, row.open)
    elif side * (watched - take_profit_price(position)) >= 0.0:
        ledger.take_profits += 1
        fire_order(account, position, contract, config, row, ledger, row.open)


@part("with_stops", math.nan)
def stop_touched(position, config, row):
    """Stop price if the adverse extreme of the row reaches it, else NaN."""
    price = stop_price(position)
    if position.quantity > 0.0:
        extreme = row.low if position.trigger_last else row.mark_low
        return price if extreme <= price else math.nan
    extreme = row.high if position.trigger_last else row.mark_high
    return price if extreme >= price else math.nan


@part("with_stops")
def favourable_orders(account, position, contract, config, row, ledger):
    """After a survived adverse extreme: take-profit, trailing stop after a new best price."""
    long = position.quantity > 0.0
    side = 1.0 if long else -1.0
    best = row.high if position.trigger_last else row.mark_high
    close = row.close if position.trigger_last else row.mark_close
    if not long:
        best = row.low if position.trigger_last else row.mark_low
    target = take_profit_price(position)
    if side * (best - target) >= 0.0:
        ledger.take_profits += 1
        fire_order(account, position, contract, config, row, ledger, target)
        return
    if side * (best - position.best_price) > 0.0:
        position.best_price = best
        # From the new best price to the close the path must have crossed a trailing stop between them.
        trail = stop_price(position)
        if side * (close - trail) <= 0.0:
            ledger.stops += 1
            fire_order(account, position, contract, config, row, ledger, trail)


@part("with_variants")
def deleverage_winner(account, position, contract, config, row, ledger):
    """Stress: a winner is closed once the row moved ``deleveraging_move`` its way, at that price, without fee."""
    side = 1.0 if position.quantity > 0.0 else -1.0
    price = row.mark_open * (1.0 + side * config.deleveraging_move)
    best = row.mark_high if side > 0.0 else row.mark_low
    if (
        side * (best - price) >= 0.0
        and unrealised_pnl(position.quantity, position.entry_price, price, contract.inverse) > 0.0
    ):
        ledger.deleveragings += 1
        close_at(account, position, contract, config, ledger, price, 0.0)


@rule
def adverse_extreme(position, contract, config, tiers, row):
    """Extreme of the row that hurts a position more; where requirements jump with size, a long's may be the high."""
    extreme = watched_extreme(row, config, position.quantity < 0.0)
    if config.whole_position_tiers:
        other = watched_extreme(row, config, position.quantity > 0.0)
        here = margin_surplus(position, contract, config, tiers, row, extreme)
        if margin_surplus(position, contract, config, tiers, row, other) < here:
            return other
    return extreme


@part("with_variants")
def walk_back(account, position, contract, config, tiers, row, ledger, start, tier):
    """From the adverse extreme to the other one; only where the requirement jumps may a better mark liquidate."""
    low, high = watched_extreme(row, config, False), watched_extreme(row, config, True)
    end = low if start == high else high
    while position.quantity != 0.0:
        mark = liquidation_on_segment(position, contract, config, tiers, row, start, end)
        if math.isnan(mark):
            return
        tier = liquidate_position(account, position, contract, config, tiers, row, ledger, mark, tier)
        start = mark


@rule
def walk_isolated(account, position, contract, config, tiers, row, ledger):
    """One row of one isolated position."""
    start = watched_open(row, config)
    # Beyond both at the open, the order of stop and liquidation is unknown: the liquidation comes first.
    if position.guarded and not is_liquidated(position, contract, config, tiers, row, start):
        fire_at_open(account, position, contract, config, row, ledger)
    tier = ALL_TIERS
    extreme = start
    while position.quantity != 0.0:
        extreme = adverse_extreme(position, contract, config, tiers, row)
        mark = liquidation_on_segment(position, contract, config, tiers, row, start, extreme)
        if position.guarded:
            stop = stop_touched(position, config, row)
            if not math.isnan(stop) and (
                math.isnan(mark) or stop_is_nearer(position, config, stop, mark, start)
            ):
                ledger.stops += 1
                fire_order(account, position, contract, config, row, ledger, stop)
                return
        if math.isnan(mark):
            break
        tier = liquidate_position(account, position, contract, config, tiers, row, ledger, mark, tier)
        start = mark
    if config.whole_position_tiers:
        walk_back(account, position, contract, config, tiers, row, ledger, extreme, tier)
    if position.quantity != 0.0:
        finish_row(account, position, contract, config, row, ledger)


@rule
def stop_is_nearer(position, config, stop, mark, start):
    """A stop fires before a liquidation only if it lies between open and liquidation mark on the same series."""
    if position.trigger_last != config.last_price_liquidation:
        return False
    side = 1.0 if position.quantity > 0.0 else -1.0
    return side * (stop - mark) > 0.0 and side * (start - stop) >= 0.0


@rule
def finish_row(account, position, contract, config, row, ledger):
    """Events of a position that survived the row's adverse extreme."""
    if position.guarded:
        favourable_orders(account, position, contract, config, row, ledger)
    if config.deleveraging_move > 0.0 and position.quantity != 0.0:
        deleverage_winner(account, position, contract, config, row, ledger)
