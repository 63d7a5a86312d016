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

from gearing.exchange.account import close_at, cover_shortfall, is_liquidated, settle_funding
from gearing.exchange.cross import (
    contract_of,
    joint_surplus,
    liquidate_at_triggers,
    liquidate_cross,
    trigger_surplus,
    walk_cross,
)
from gearing.exchange.liquidation import liquidate_position
from gearing.exchange.marking import hot, index, part, rule
from gearing.exchange.orders import close_at_open, place_guards, trade_to_target
from gearing.exchange.path import walk_isolated, watched_extreme, watched_open
from gearing.exchange.rules import initial_margin, notional, unit_value, unrealised_pnl

_REWARD_FLOOR = 0.001  # of the start equity: the reward of a ruined step stays finite


@hot
def clear_ledgers(ledgers, i):
    """Zero the ledger of one account's slots."""
    for s in range(ledgers.shape[1]):
        ledger = ledgers[i, s]
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
def settle(
    account, positions, i, contracts, config, tiers, rows, r, ledgers, settlements, inside, paying, ordinary
):
    """Settlements of row ``r`` at its open or inside it; ``paying``: 0 both ways, 1 payments only, 2 receipts only.

    Each debit is followed by a liquidation test at its mark; a cross account is tested once after all of them, because
    what settles at one instant settles together. True if an ordinary step ends there.
    """
    debited = False
    for k in range(rows[r, 0].settlements_first, rows[r, 0].settlements_last):
        if settlements[k].inside != inside:
            continue
        j = settlements[k].contract
        mark = settlements[k].mark
        if math.isnan(mark):
            mark = rows[r, j].mark_open
        for s in range(positions.shape[1]):
            position, contract = positions[i, s], contracts[contract_of(s, config)]
            if position.quantity == 0.0 or contract_of(s, config) != j:
                continue
            pays = position.quantity * settlements[k].rate > 0.0
            if (paying == 1 and not pays) or (paying == 2 and pays):
                continue
            settle_funding(account, position, contract, config, ledgers[i, s], mark, settlements[k].rate)
            debited |= pays
            if pays and not config.cross and not config.close_only:
                if is_liquidated(position, contract, config, tiers, rows[r, j], mark):
                    if ordinary:
                        return True
                    liquidate_position(
                        account, position, contract, config, tiers, rows[r, j], ledgers[i, s], mark
                    )
    if not ordinary and debited and config.cross and not config.close_only:
        test_settled(account, positions, i, contracts, config, tiers, rows, r, ledgers, settlements, inside)
    return False


@part("with_cross")
def test_settled(account, positions, i, contracts, config, tiers, rows, r, ledgers, settlements, inside):
    """Test a cross account at the marks of its settlements; others are valued at the row's open."""
    for s in range(positions.shape[1]):
        positions[i, s].trigger = watched_open(rows[r, contract_of(s, config)], config)
    for k in range(rows[r, 0].settlements_first, rows[r, 0].settlements_last):
        if settlements[k].inside != inside:
            continue
        mark = settlements[k].mark
        if math.isnan(mark):
            mark = rows[r, settlements[k].contract].mark_open
        for s in range(positions.shape[1]):
            if contract_of(s, config) == settlements[k].contract:
                positions[i, s].trigger = mark
    if trigger_surplus(account, positions, i, contracts, config, tiers, rows, r) <= 0.0:
        liquidate_at_triggers(account, positions, i, contracts, config, tiers, rows, r, ledgers)


@hot
def test_open(account, positions, i, contracts, config, tiers, rows, r, ledgers, ordinary):
    """Liquidate what is already beyond its liquidation price at the row's first mark (a gap).

    True if an ordinary step ends there.
    """
    if config.close_only:
        return False
    if not ordinary and config.cross:
        test_open_jointly(account, positions, i, contracts, config, tiers, rows, r, ledgers)
        return False
    for s in range(positions.shape[1]):
        if positions[i, s].quantity == 0.0:
            continue
        j = contract_of(s, config)
        mark = watched_open(rows[r, j], config)
        if is_liquidated(positions[i, s], contracts[j], config, tiers, rows[r, j], mark):
            if ordinary:
                return True
            liquidate_position(
                account, positions[i, s], contracts[j], config, tiers, rows[r, j], ledgers[i, s], mark
            )
    return False


@part("with_cross")
def test_open_jointly(account, positions, i, contracts, config, tiers, rows, r, ledgers):
    """The same for a cross account, whose positions back each other."""
    exposed = has_position(positions, i)
    if exposed and joint_surplus(account, positions, i, contracts, config, tiers, rows, r, 0.0) <= 0.0:
        liquidate_cross(account, positions, i, contracts, config, tiers, rows, r, ledgers, 0.0)


@hot
def unrealised_total(positions, i, contracts, config, rows, r, at_open):
    """Unrealised PnL of all slots at the row's first or last mark."""
    total = 0.0
    for s in range(positions.shape[1]):
        if positions[i, s].quantity != 0.0:
            j = contract_of(s, config)
            mark = rows[r, j].mark_open if at_open else rows[r, j].mark_close
            total += unrealised_pnl(
                positions[i, s].quantity, positions[i, s].entry_price, mark, contracts[j].inverse
            )
    return total


@hot
def trade(
    account, positions, i, contracts, config, tiers, rows, r, ledgers, targets, t, guards, g, with_guards
):
    """Orders of one decision at the open of row ``r``: reductions first, so that they free margin for increases."""
    equity_now = account.wallet_balance + unrealised_total(positions, i, contracts, config, rows, r, True)
    # Margin is checked at the fill: equity lost since the decision cannot be posted.
    checked = min(account.equity, equity_now)
    passes = 2 if positions.shape[1] > 1 else 1
    others_profit, others_margin = 0.0, 0.0
    done = 0  # bits of the slots that were reduced in the first pass: their remainder must not trade again
    for increasing in range(passes):
        for s in range(positions.shape[1]):
            target = targets[t, s]
            if math.isnan(target) or done >> s & 1:
                continue
            position = positions[i, s]
            j = contract_of(s, config)
            budget = contracts[j].margin_share * account.equity
            if passes == 2 and increasing == 0:
                if is_increase(position, contracts[j], target, budget):
                    continue
                done |= 1 << s
            if config.free_balance_sizing:
                others_profit, others_margin = claims_of_others(
                    account, positions, i, s, contracts, config, rows, r
                )
            trade_to_target(
                account, position, contracts[j], config, tiers, rows[r, j], ledgers[i, s], target, budget,
                contracts[j].margin_share * checked, others_profit, others_margin,
            )  # fmt: skip
            position.target = target
            if with_guards and position.quantity != 0.0:
                place_guards(position, guards[g, s])


@part("with_variants", (0.0, 0.0))
def claims_of_others(account, positions, i, slot, contracts, config, rows, r):
    """(unrealised PnL, margin) of the other positions that back or bind an order of ``slot``, at the row's open."""
    if not config.cross:
        return 0.0, account.assigned - positions[i, slot].margin
    profit, margin = 0.0, 0.0
    for s in range(positions.shape[1]):
        position, j = positions[i, s], contract_of(s, config)
        if s != slot and position.quantity != 0.0:
            inverse = contracts[j].inverse
            profit += unrealised_pnl(position.quantity, position.entry_price, rows[r, j].mark_open, inverse)
            margin += initial_margin(position.quantity, position.entry_price, position.leverage, inverse)
    return profit, margin


@rule
def is_increase(position, contract, target, budget):
    """Whether a target is larger than the position, or on the other side."""
    if target == 0.0:
        return False
    wanted = abs(target) * budget / unit_value(position.mark, contract.inverse)
    return target * position.quantity <= 0.0 or wanted > abs(position.quantity)


@rule
def flatten(account, positions, i, contracts, config, rows, r, ledgers):
    """Close everything at the open of row ``r``: the exit of a trade whose leverage was chosen at its entry."""
    for s in range(positions.shape[1]):
        j = contract_of(s, config)
        close_at_open(account, positions[i, s], contracts[j], config, rows[r, j], ledgers[i, s])


@hot
def delist(account, positions, i, contracts, config, rows, r, ledgers, ordinary):
    """A position at a contract's last row closes at its last mark, without a fee; True ends an ordinary step."""
    for s in range(positions.shape[1]):
        j = contract_of(s, config)
        if rows[r, j].delisted and positions[i, s].quantity != 0.0:
            if ordinary:
                return True
            ledgers[i, s].delistings += 1
            position = positions[i, s]
            close_at(account, position, contracts[j], config, ledgers[i, s], rows[r, j].mark_close, 0.0)
    return False


@hot
def walk(account, positions, i, contracts, config, tiers, rows, r, ledgers, ordinary):
    """The path of one row; most rows neither liquidate nor fire anything. True ends an ordinary step."""
    if not ordinary and config.cross:
        walk_cross(account, positions, i, contracts, config, tiers, rows, r, ledgers)
        return False
    for s in range(positions.shape[1]):
        position = positions[i, s]
        if position.quantity != 0.0:
            j = contract_of(s, config)
            extreme = watched_extreme(rows[r, j], config, position.quantity < 0.0)
            eventful = position.guarded or config.deleveraging_move > 0.0 or config.whole_position_tiers
            if eventful or is_liquidated(position, contracts[j], config, tiers, rows[r, j], extreme):
                if ordinary:
                    return True
                walk_isolated(account, position, contracts[j], config, tiers, rows[r, j], ledgers[i, s])
    return False


@hot
def has_position(positions, i):
    """Whether any slot is not flat."""
    for s in range(positions.shape[1]):
        if positions[i, s].quantity != 0.0:
            return True
    return False


@rule
def traded_slot(ledgers, i):
    """First slot with a fill in this step; a loss beyond the wallet of a cross account is booked there."""
    for s in range(ledgers.shape[1]):
        if ledgers[i, s].fills > 0:
            return s
    return 0


@hot
def note_equity(step, equity):
    """Follow the extremes of equity within a step, row close by row close."""
    equity = max(equity, 0.0)
    step.lowest = min(step.lowest, equity)
    step.highest = highest = max(step.highest, equity)
    # Without a branch, which would be unpredictable.
    step.drawdown = max(step.drawdown, 1.0 - equity / highest)


@hot
def note_close(account, positions, i, contracts, config, rows, r, places, closes, number):
    """Record equity and signed notionals at the close of row ``r``, if the row has a place among ``closes``."""
    if places.shape[0] == 0 or places[r] < 0:
        return
    place = index(places[r])
    equity = account.wallet_balance + unrealised_total(positions, i, contracts, config, rows, r, False)
    for s in range(positions.shape[1]):
        j = contract_of(s, config)
        close = closes[number, place, s]
        close.equity = max(equity, 0.0)
        value = notional(positions[i, s].quantity, rows[r, j].mark_close, contracts[j].inverse)
        close.value = math.copysign(value, positions[i, s].quantity)


@hot
def mark_to_market(account, positions, i, contracts, config, rows, r, ledgers, step):
    """Value the account at the last close and add up the step."""
    if config.cross and account.wallet_balance < 0.0 and not has_position(positions, i):
        cover_shortfall(account, ledgers[i, traded_slot(ledgers, i)], -account.wallet_balance)
    equity = account.wallet_balance
    price_pnl, fees, funding, liquidation, turnover = 0.0, 0.0, 0.0, 0.0, 0.0
    liquidations, refused, capped = 0, 0, 0
    for s in range(positions.shape[1]):
        position, ledger = positions[i, s], ledgers[i, s]
        j = contract_of(s, config)
        mark = rows[r, j].mark_close
        profit = unrealised_pnl(position.quantity, position.entry_price, mark, contracts[j].inverse)
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
def is_ruined(account, positions, i, contracts, config, rows, r):
    """Equity below the ruin fraction, or flat and too small for the smallest order of any contract."""
    if account.equity < config.ruin_fraction * account.start_equity:
        return True
    if has_position(positions, i):
        return False
    for j in range(contracts.size):
        contract = contracts[j]
        smallest = max(
            contract.min_notional, contract.lot_size * unit_value(rows[r, j].mark_close, contract.inverse)
        )
        if account.equity * contract.margin_share * config.largest_target >= smallest:
            return False
    return True
