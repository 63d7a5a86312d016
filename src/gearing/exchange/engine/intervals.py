"""The compiled loop: accounts through rows of a market, one decision interval at a time.

The order of events within a row: ``kernel.py``. Caller: ``batch.py``; how it is compiled: ``compiled.py``.
"""

from typing import Any, NamedTuple

from gearing.exchange.engine.compiled import loop
from gearing.exchange.kernel import (
    clear_ledgers,
    delist,
    flatten,
    has_position,
    is_ruined,
    mark_to_market,
    note_close,
    note_equity,
    note_growth,
    place_guards,
    settle,
    test_open,
    trade,
    unrealised_total,
    walk,
)
from gearing.exchange.marking import hot, index, part, rule
from gearing.exchange.observing import note_liquidation_prices, observe
from gearing.exchange.terms import Market, n_slots

UNSEEN_ORDERS = -0.5
_GROUP = 16  # accounts whose rows are read ahead at once


class MarketArrays(NamedTuple):
    """Market arrays of all paths, which are never written; see ``records.py``."""

    contracts: Any  # (n_paths, n_contracts)
    config: Any  # (1,)
    tiers: Any
    rows: Any  # (n_rows, n_contracts)
    settlements: Any
    features: Any  # (n_bars, n_features) float32


class AccountArrays(NamedTuple):
    """State of the accounts, and what a step writes."""

    active: Any  # (n_accounts,) bool
    accounts: Any
    positions: Any  # (n_accounts, n_slots)
    ledgers: Any
    steps: Any
    growth: Any  # (n_accounts,)
    observations: Any  # (n_accounts, n_columns) float32
    saturated: Any  # (n_accounts,) int64
    ahead: Any  # (n_accounts,), see ``read_ahead``


class Plan(NamedTuple):
    """What accounts decide, and what is recorded of it."""

    targets: Any  # (n_decisions or n_accounts * n_decisions, n_slots)
    guards: Any  # (n_accounts, n_slots)
    stride: int
    n_decisions: int
    with_guards: bool
    observing: bool
    largest: float  # of targets, where they are checked; 0 does not
    steps: Any  # (n_accounts, n_decisions or 0)
    ledgers: Any
    places: Any
    closes: Any


@hot
def advance_interval(account, positions, ledgers, step, market, targets, plan, i):
    """One account from its next row to its next decision, with orders at the first open."""
    clear_ledgers(ledgers, market)
    step.lowest = step.highest = account.equity
    step.drawdown = 0.0
    first = index(account.row)
    until = market.rows[first, 0].next_row
    for k in range(first, until):
        r = index(k)
        held = has_position(positions, market)
        settles = market.rows[r, 0].settlements_last > market.rows[r, 0].settlements_first
        if held and settles:
            settle(account, positions, market, r, ledgers, 0, 0)
        if r == first:
            if held:
                test_open(account, positions, market, r, ledgers)
            trade(account, positions, market, r, ledgers, targets)
            if plan.with_guards:
                place_guards(positions, market, targets, plan.guards[i])
            held = has_position(positions, market)
        elif held and r == market.rows[first, 0].exit_row:
            flatten(account, positions, market, r, ledgers)
            held = has_position(positions, market)
        if held:
            # If only closes are checked, settlements inside the row come before the check.
            if settles:
                settle(account, positions, market, r, ledgers, 1, 0 if market.config.close_only else 1)
            walk(account, positions, market, r, ledgers)
            if settles and not market.config.close_only:
                settle(account, positions, market, r, ledgers, 1, 2)
            delist(account, positions, market, r, ledgers)
            if r + 1 < until:
                note_equity(step, account.wallet_balance + unrealised_total(positions, market, r, False))
        note_close(account, positions, market, r, plan.places, plan.closes[i])
    account.row = until
    mark_to_market(account, positions, market, index(until - 1), ledgers, step)
    step.terminated = is_ruined(account, positions, market, index(until - 1))
    step.truncated = until >= account.last_row and not step.terminated
    note_growth(step, account.start_equity)


@hot
def rest(account, ledgers, step, market):
    """The step of an account whose episode is over: nothing happens, and it stays over."""
    clear_ledgers(ledgers, market)
    step.equity_before = step.equity = step.lowest = step.highest = account.equity
    step.log_growth = step.price_pnl = step.fees = step.funding = step.liquidation = step.turnover = 0.0
    step.drawdown = 0.0
    step.liquidations = step.refused = step.capped = 0


@hot
def record(account, positions, ledgers, step, market, plan, i, d):
    """Record a step and its ledgers, where their arrays have columns."""
    if plan.steps.shape[1] > 0:
        plan.steps[i, d] = step
    if plan.ledgers.shape[1] > 0:
        note_liquidation_prices(account, positions, market, index(account.row - 1), ledgers)
        for s in range(n_slots(market)):
            plan.ledgers[i, d, s] = ledgers[s]


@rule
def misplaced_account(begin, end, active, accounts, rows, n_paths, observing):
    """First active account that does not stand at a decision or the end of its episode within the rows; -1 if none.

    The loop reads rows and contracts by these numbers unchecked, and callers can write to them. An observation is that
    of the row before.
    """
    least = 1 if observing else 0
    for i in range(begin, end):
        account = accounts[i]
        if not active[i]:
            continue
        within = least <= account.row <= rows.shape[0] and account.last_row <= rows.shape[0]
        if not within or not 0 <= account.path < n_paths:
            return i
        if (
            account.row < account.last_row
            and not account.row < rows[account.row, 0].next_row <= rows.shape[0]
        ):
            return i
    return -1


@part("with_stops", False)
def sees_orders(config):
    """Whether the code has resting orders."""
    return True


@rule
def rests_unseen(positions, config):
    """Whether an order rests although the code was compiled without resting orders."""
    if sees_orders(config):
        return False
    for i in range(positions.shape[0]):
        for s in range(positions.shape[1]):
            if positions[i, s].guarded:
                return True
    return False


@rule
def read_ahead(markets, accounts, begin, end):
    """Read the rows and features of a group of accounts, so that no step waits for its own; returns their sum.

    They lie anywhere in the history. Reads that do not depend on each other wait for memory together.
    """
    total, last = 0.0, markets.features.shape[1] - 1
    for i in range(begin, end):
        row = markets.rows[index(max(0, min(accounts[index(i)].row, markets.rows.shape[0] - 1))), 0]
        total += row.open + row.slippage
        if last >= 0:
            bar = index(row.bar)
            total += markets.features[bar, 0] + markets.features[bar, last // 2] + markets.features[bar, last]
    return total


@rule
def largest_target(targets):
    """Largest magnitude of the targets; NaN, which holds a position, has none."""
    largest = 0.0
    for t in range(targets.shape[0]):
        for s in range(targets.shape[1]):
            if abs(targets[t, s]) > largest:
                largest = abs(targets[t, s])
    return largest


@loop
def advance(markets, batch, plan, begin, end):
    """Advance accounts ``begin`` to ``end`` by up to ``plan.n_decisions`` decision intervals each; returns 0.

    Decision d of account i reads row ``i * plan.stride + d`` of the targets. An account stops at its ruin and at the
    end of its episode. Observations are written at the end.

    If a target of a single step is beyond ``plan.largest``, nothing happens, and that target is returned. If account i
    stands nowhere in the rows, nothing happens, and -1 - i is returned. If an order rests and the code has no resting
    orders, nothing happens, and ``UNSEEN_ORDERS`` is returned.
    """
    misplaced = misplaced_account(
        begin, end, batch.active, batch.accounts, markets.rows, markets.contracts.shape[0], plan.observing
    )
    if misplaced >= 0:
        return -1.0 - misplaced
    if rests_unseen(batch.positions, markets.config[0]):
        return UNSEEN_ORDERS
    if plan.largest > 0.0:
        largest = largest_target(plan.targets)
        if largest > plan.largest:
            return largest
    for number in range(begin, end):
        i = index(number)
        if (i - begin) % _GROUP == 0:
            batch.ahead[i] = read_ahead(markets, batch.accounts, i, min(i + _GROUP, end))
        if not batch.active[i]:
            continue
        account, step = batch.accounts[i], batch.steps[i]
        positions, ledgers = batch.positions[i], batch.ledgers[i]
        contracts = markets.contracts[index(account.path)]
        market = Market(contracts, markets.config[0], markets.tiers, markets.rows, markets.settlements)
        for d in range(plan.n_decisions):
            if account.row >= account.last_row:
                if d == 0:
                    rest(account, ledgers, step, market)
                break
            targets = plan.targets[index(i * plan.stride + d)]
            advance_interval(account, positions, ledgers, step, market, targets, plan, i)
            record(account, positions, ledgers, step, market, plan, i, d)
            if step.terminated:
                break
        batch.growth[i] = step.log_growth
        if plan.observing:
            seen = observe(account, positions, market, markets.features, ledgers, batch.observations[i])
            batch.saturated[i] += seen
    return 0.0
