"""Events of an account in one row of the market.

Order of events in the first row of an interval (``exchange-rules``, section 3):

1. settlements at the open, on the position carried into the row; the row's first mark tests that position too,
   so that an order at the open cannot avoid a liquidation that is already due;
2. fills at the open;
3. payments of settlements inside the row, the path with its liquidations and stops, then receipts (before the path,
   where only the close is checked).

Later rows of the interval have no fills. Mark to market at the interval's last close.

``intervals.py`` calls these in this order, for one decision interval after the other.
"""

import math

from gearing.exchange.account import (
    close_at,
    cover_shortfall,
    is_liquidated,
    profit_at,
    settle_funding,
    value_at,
)
from gearing.exchange.cross import (
    joint_surplus,
    liquidate_at_triggers,
    liquidate_cross,
    trigger_surplus,
    walk_cross,
)
from gearing.exchange.liquidation import liquidate_position
from gearing.exchange.marking import hot, index, part, rule
from gearing.exchange.orders import close_at_open, place_guard, trade_to_target
from gearing.exchange.path import walk_isolated, watched_extreme, watched_open
from gearing.exchange.rules import ALL_TIERS, unit_value
from gearing.exchange.terms import Terms, contract_of, is_inverse, n_slots

_REWARD_FLOOR = 0.001  # of the start equity: the reward of a ruined step stays finite


@hot
def clear_ledgers(ledgers, market):
    """Zero the ledger of one account's slots."""
    for s in range(n_slots(market)):
        ledger = ledgers[s]
        ledger.price_pnl = 0.0
        ledger.fees = 0.0
        ledger.funding = 0.0
        ledger.liquidation = 0.0
        ledger.turnover = 0.0
        ledger.liquidation_price = math.nan
        ledger.execution_price = math.nan
        ledger.fills = 0
        ledger.liquidations = 0
        ledger.partial_liquidations = 0
        ledger.stops = 0
        ledger.take_profits = 0
        ledger.deleveragings = 0
        ledger.refused = 0
        ledger.capped = 0
        ledger.delistings = 0


@hot
def settle(account, positions, market, r, ledgers, inside, paying):
    """Settlements of row ``r`` at its open or inside it; ``paying``: 0 both ways, 1 payments only, 2 receipts only.

    Each debit is followed by a liquidation test at its mark; a cross account is tested once after all of them, because
    what settles at one instant settles together.
    """
    config, debited = market.config, False
    first = market.rows[r, 0]
    for k in range(first.settlements_first, first.settlements_last):
        settlement = market.settlements[k]
        if settlement.inside != inside:
            continue
        mark = settlement_mark(market, r, settlement)
        for s in range(n_slots(market)):
            position = positions[s]
            if position.quantity == 0.0 or contract_of(s, config) != settlement.contract:
                continue
            pays = position.quantity * settlement.rate > 0.0
            if (paying == 1 and not pays) or (paying == 2 and pays):
                continue
            j = contract_of(s, market.config)
            terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
            settle_funding(account, position, terms.contract, config, ledgers[s], mark, settlement.rate)
            debited |= pays
            if pays and not config.cross and not config.close_only and is_liquidated(position, terms, mark):
                liquidate_position(account, position, terms, ledgers[s], mark, ALL_TIERS)
    if debited and config.cross and not config.close_only:
        test_settled(account, positions, market, r, ledgers, inside)


@hot
def settlement_mark(market, r, settlement):
    """Mark price of a settlement, by default the row's first."""
    if math.isnan(settlement.mark):
        return market.rows[r, settlement.contract].mark_open
    return settlement.mark


@part("with_cross")
def test_settled(account, positions, market, r, ledgers, inside):
    """Test a cross account at the marks of its settlements; others are valued at the row's open."""
    for s in range(n_slots(market)):
        j = contract_of(s, market.config)
        terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
        positions[s].trigger = watched_open(terms)
    for k in range(market.rows[r, 0].settlements_first, market.rows[r, 0].settlements_last):
        settlement = market.settlements[k]
        if settlement.inside != inside:
            continue
        for s in range(n_slots(market)):
            if contract_of(s, market.config) == settlement.contract:
                positions[s].trigger = settlement_mark(market, r, settlement)
    if trigger_surplus(account, positions, market, r) <= 0.0:
        liquidate_at_triggers(account, positions, market, r, ledgers)


@hot
def test_open(account, positions, market, r, ledgers):
    """Liquidate what is already beyond its liquidation price at the row's first mark (a gap)."""
    if market.config.close_only:
        return
    if market.config.cross:
        test_open_jointly(account, positions, market, r, ledgers)
        return
    for s in range(n_slots(market)):
        if positions[s].quantity != 0.0:
            j = contract_of(s, market.config)
            terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
            mark = watched_open(terms)
            if is_liquidated(positions[s], terms, mark):
                liquidate_position(account, positions[s], terms, ledgers[s], mark, ALL_TIERS)


@part("with_cross")
def test_open_jointly(account, positions, market, r, ledgers):
    """The same for a cross account, whose positions back each other."""
    if has_position(positions, market) and joint_surplus(account, positions, market, r, 0.0) <= 0.0:
        liquidate_cross(account, positions, market, r, ledgers, 0.0)


@hot
def unrealised_total(positions, market, r, at_open):
    """Unrealised PnL of all slots at the row's first or last mark."""
    total = 0.0
    for s in range(n_slots(market)):
        if positions[s].quantity != 0.0:
            j = contract_of(s, market.config)
            terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
            mark = terms.row.mark_open if at_open else terms.row.mark_close
            total += profit_at(positions[s], terms.contract, mark)
    return total


@hot
def trade(account, positions, market, r, ledgers, targets):
    """Orders of one decision at the open of row ``r``: reductions first, so that they free margin for increases.

    ``targets`` holds the signed target leverage of every slot; NaN holds its position.
    """
    equity_now = account.wallet_balance + unrealised_total(positions, market, r, True)
    # Margin is checked at the fill: equity lost since the decision cannot be posted.
    checked = min(account.equity, equity_now)
    passes = 2 if n_slots(market) > 1 else 1
    others_profit, others_margin = 0.0, 0.0
    done = 0  # bits of the slots that were reduced in the first pass: their remainder must not trade again
    for increasing in range(passes):
        for s in range(n_slots(market)):
            target = targets[s]
            if math.isnan(target) or done >> s & 1:
                continue
            position, j = positions[s], contract_of(s, market.config)
            terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
            share = terms.contract.margin_share
            budget = share * account.equity
            if passes == 2 and increasing == 0:
                if is_increase(position, terms.contract, target, budget):
                    continue
                done |= 1 << s
            if market.config.free_balance_sizing:
                others_profit, others_margin = claims_of_others(account, positions, s, market, r)
            trade_to_target(
                account,
                position,
                terms,
                ledgers[s],
                target,
                budget,
                share * checked,
                others_profit,
                others_margin,
            )
            position.target = target


@part("with_stops")
def place_guards(positions, market, targets, guards):
    """Replace the resting orders of the positions that a decision traded or left open."""
    for s in range(n_slots(market)):
        if positions[s].quantity != 0.0 and not math.isnan(targets[s]):
            place_guard(positions[s], guards[s])


@part("with_variants", (0.0, 0.0))
def claims_of_others(account, positions, slot, market, r):
    """(unrealised PnL, margin) of the other positions that back or bind an order of ``slot``, at the row's open."""
    if not market.config.cross:
        return 0.0, account.assigned - positions[slot].margin
    profit, margin = 0.0, 0.0
    for s in range(n_slots(market)):
        position, j = positions[s], contract_of(s, market.config)
        terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
        if s != slot and position.quantity != 0.0:
            profit += profit_at(position, terms.contract, terms.row.mark_open)
            margin += value_at(position, terms.contract, position.entry_price) / position.leverage
    return profit, margin


@rule
def is_increase(position, contract, target, budget):
    """Whether a target is larger than the position, or on the other side."""
    if target == 0.0:
        return False
    wanted = abs(target) * budget / unit_value(position.mark, is_inverse(contract))
    return target * position.quantity <= 0.0 or wanted > abs(position.quantity)


@hot
def flatten(account, positions, market, r, ledgers):
    """Close everything at the open of row ``r``: the exit of a trade whose leverage was chosen at its entry."""
    for s in range(n_slots(market)):
        j = contract_of(s, market.config)
        terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
        close_at_open(account, positions[s], terms, ledgers[s])


@hot
def delist(account, positions, market, r, ledgers):
    """A position at a contract's last row closes at its last mark, without a fee."""
    for s in range(n_slots(market)):
        position, j = positions[s], contract_of(s, market.config)
        terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
        if terms.row.delisted and position.quantity != 0.0:
            ledgers[s].delistings += 1
            close_at(account, position, terms.contract, terms.config, ledgers[s], terms.row.mark_close, 0.0)


@hot
def walk(account, positions, market, r, ledgers):
    """The path of one row; most rows neither liquidate nor fire anything."""
    config = market.config
    if config.cross:
        walk_cross(account, positions, market, r, ledgers)
        return
    for s in range(n_slots(market)):
        position = positions[s]
        if position.quantity != 0.0:
            j = contract_of(s, market.config)
            terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
            extreme = watched_extreme(terms, position.quantity < 0.0)
            eventful = position.guarded or config.deleveraging_move > 0.0 or config.whole_position_tiers
            if eventful or is_liquidated(position, terms, extreme):
                walk_isolated(account, position, terms, ledgers[s])


@hot
def has_position(positions, market):
    """Whether any slot is not flat."""
    for s in range(n_slots(market)):
        if positions[s].quantity != 0.0:
            return True
    return False


@part("with_cross")
def cover_joint_shortfall(account, positions, market, ledgers):
    """The insurance fund covers the debt of a flat cross account, which the first slot with a fill books."""
    if not market.config.cross or has_position(positions, market):
        return
    slot = 0
    for s in range(n_slots(market)):
        if ledgers[s].fills > 0:
            slot = s
            break
    cover_shortfall(account, ledgers[slot], -account.wallet_balance)


@hot
def note_equity(step, equity):
    """Follow the extremes of equity within a step, row close by row close."""
    equity = max(equity, 0.0)
    step.lowest = min(step.lowest, equity)
    step.highest = highest = max(step.highest, equity)
    # Without a branch, which would be unpredictable.
    step.drawdown = max(step.drawdown, 1.0 - equity / highest)


@hot
def note_close(account, positions, market, r, places, closes):
    """Record equity and signed notionals at the close of row ``r``, if the row has a place among ``closes``."""
    if places.shape[0] == 0 or places[r] < 0:
        return
    place = index(places[r])
    equity = account.wallet_balance + unrealised_total(positions, market, r, False)
    for s in range(n_slots(market)):
        j, close = contract_of(s, market.config), closes[place, s]
        terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
        close.equity = max(equity, 0.0)
        value = value_at(positions[s], terms.contract, terms.row.mark_close)
        close.value = math.copysign(value, positions[s].quantity)


@hot
def mark_to_market(account, positions, market, r, ledgers, step):
    """Value the account at the last close and add up the step."""
    if account.wallet_balance < 0.0:
        cover_joint_shortfall(account, positions, market, ledgers)
    equity = account.wallet_balance
    price_pnl, fees, funding, liquidation, turnover = 0.0, 0.0, 0.0, 0.0, 0.0
    liquidations, refused, capped = 0, 0, 0
    for s in range(n_slots(market)):
        position, ledger = positions[s], ledgers[s]
        j = contract_of(s, market.config)
        terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
        mark = terms.row.mark_close
        profit = profit_at(position, terms.contract, mark)
        own = ledger.price_pnl + (profit - position.unrealised)
        ledger.price_pnl = own
        position.unrealised = profit
        position.mark = mark
        equity += profit
        price_pnl += own
        fees += ledger.fees
        funding += ledger.funding
        liquidation += ledger.liquidation
        turnover += ledger.turnover
        liquidations += ledger.liquidations
        refused += ledger.refused > 0
        capped += ledger.capped
    step.price_pnl, step.fees, step.funding, step.liquidation = price_pnl, fees, funding, liquidation
    step.turnover, step.liquidations, step.refused, step.capped = turnover, liquidations, refused, capped
    step.equity_before = account.equity
    step.equity = equity
    note_equity(step, equity)
    account.equity = equity
    account.peak_equity = max(account.peak_equity, equity)


@hot
def note_growth(step, start_equity):
    """Logarithmic growth of equity in a step; apart, because a call to the logarithm empties all registers."""
    floor = _REWARD_FLOOR * start_equity
    step.log_growth = math.log(max(step.equity, floor) / max(step.equity_before, floor))


@hot
def is_ruined(account, positions, market, r):
    """Equity below the ruin fraction, or flat and too small for the smallest order of any contract."""
    if account.equity < market.config.ruin_fraction * account.start_equity:
        return True
    if has_position(positions, market):
        return False
    for s in range(n_slots(market)):
        j = contract_of(s, market.config)
        terms = Terms(market.contracts[j], market.config, market.tiers, market.rows[r, j])
        contract, row = terms.contract, terms.row
        smallest = max(
            contract.min_notional, contract.lot_size * unit_value(row.mark_close, is_inverse(contract))
        )
        if account.equity * contract.margin_share * market.config.largest_target >= smallest:
            return False
    return True
