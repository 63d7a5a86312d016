"""The compiled loop: accounts through rows of a market, one decision interval at a time.

The order of events within a row: ``kernel.py``. Most intervals of most accounts have only orders and funding.
``step_ordinarily`` tries that on copies, with the same functions, and gives up where more happens; ``step_fully`` has
no such limits. Callers: ``batch.py``.
"""

from gearing.exchange.engine.compiled import copied, prefetch, put_row, row_copy, row_view
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
    settle,
    test_open,
    trade,
    unrealised_total,
    walk,
)
from gearing.exchange.marking import hot, index, part, rule
from gearing.exchange.observing import note_liquidation_prices, observe
from gearing.exchange.orders import EVERY_DECISION
from gearing.exchange.records import account_dtype, bytes_before, ledger_dtype, position_dtype

# Bytes of records that a step may change, and of those that one without resting orders may.
_CHANGES_OF_ACCOUNT = bytes_before(account_dtype, "start_equity")
_CHANGES_OF_POSITION = bytes_before(position_dtype, "stop")
_LEDGER = ledger_dtype.itemsize
_AHEAD = 8  # accounts ahead of the current one whose row is prefetched: about the latency of the outer cache


@hot
def advance_account(
    account, positions, i, contracts, config, tiers, rows, settlements, until, ledgers, step,
    targets, t, guards, g, with_guards, places, closes, number, ordinary,
):  # fmt: skip
    """One account from its next row to row ``until`` (exclusive), with orders at the first open.

    If ``ordinary``, only orders and funding may happen: on any other event it returns False, and the caller
    discards the records. ``number`` is the account's own among ``closes``.
    """
    step.lowest = step.highest = account.equity
    step.drawdown = 0.0
    first = index(account.row)
    for k in range(first, until):
        r = index(k)
        held = has_position(positions, i)
        settles = rows[r, 0].settlements_last > rows[r, 0].settlements_first
        if held and settles:
            if settle(
                account, positions, i, contracts, config, tiers, rows, r, ledgers, settlements, 0, 0, ordinary
            ):
                return False
        if r == first:
            if held and test_open(
                account, positions, i, contracts, config, tiers, rows, r, ledgers, ordinary
            ):
                return False
            trade(
                account, positions, i, contracts, config, tiers, rows, r, ledgers, targets, t, guards, g,
                with_guards,
            )  # fmt: skip
            held = has_position(positions, i)
        elif held and r == rows[first, 0].exit_row:
            if ordinary:
                return False
            flatten(account, positions, i, contracts, config, rows, r, ledgers)
            held = has_position(positions, i)
        if not held:
            note_close(account, positions, i, contracts, config, rows, r, places, closes, number)
            continue
        # If only closes are checked, settlements inside the row come before the check.
        if settles and settle(
            account, positions, i, contracts, config, tiers, rows, r, ledgers, settlements, 1,
            0 if config.close_only else 1, ordinary,
        ):  # fmt: skip
            return False
        if walk(account, positions, i, contracts, config, tiers, rows, r, ledgers, ordinary):
            return False
        if settles and not config.close_only:
            settle(
                account, positions, i, contracts, config, tiers, rows, r, ledgers, settlements, 1, 2, ordinary
            )
        if delist(account, positions, i, contracts, config, rows, r, ledgers, ordinary):
            return False
        note_close(account, positions, i, contracts, config, rows, r, places, closes, number)
        if r + 1 < until:
            profit = unrealised_total(positions, i, contracts, config, rows, r, False)
            note_equity(step, account.wallet_balance + profit)
    account.row = until
    mark_to_market(account, positions, i, contracts, config, rows, index(until - 1), ledgers, step)
    return True


@rule
def step_fully(
    accounts, positions, i, contracts, config, tiers, rows, settlements, ledgers, steps,
    targets, t, guards, g, with_guards, places, closes,
):  # fmt: skip
    """One decision interval of one account under all rules."""
    clear_ledgers(ledgers, i)
    account = accounts[i]
    advance_account(
        account, positions, i, contracts, config, tiers, rows, settlements, rows[index(account.row), 0].next_row,
        ledgers, steps[i], targets, t, guards, g, with_guards, places, closes, i, False,
    )  # fmt: skip
    finish_step(account, positions, i, contracts, config, rows, steps[i])
    note_growth(steps[i], account.start_equity)


@hot
def step_ordinarily(
    accounts, positions, i, contracts, path, config, tiers, rows, settlements, ledgers, blank, steps,
    targets, t, guards, places, closes,
):  # fmt: skip
    """The same interval on copies if only orders and funding happen; otherwise False.

    Most steps are such, and the compiler keeps their records in registers.
    """
    if positions[i, 0].guarded:
        return False
    own, held, ledger, step = row_copy(accounts, i), row_copy(positions, i), row_view(ledgers, i), steps[i]
    put_row(ledgers, i, blank, _LEDGER)
    terms = row_copy(contracts, path)
    terms[0, 0].inverse = 0
    account = own[0]
    if not advance_account(
        account, held, 0, terms[0], config, tiers, rows, settlements, rows[index(account.row), 0].next_row, ledger,
        step, targets, t, guards, 0, 0, places, closes, i, True,
    ):  # fmt: skip
        return False
    finish_step(account, held, 0, terms[0], config, rows, step)
    put_row(accounts, i, own, _CHANGES_OF_ACCOUNT)
    put_row(positions, i, held, _CHANGES_OF_POSITION)
    note_growth(step, accounts[i].start_equity)
    return True


@hot
def observe_ordinarily(
    accounts, positions, i, contracts, path, config, tiers, rows, features, ledgers, observations
):
    """``observe`` for accounts that can step ordinarily, also on copies."""
    own, held, terms = row_copy(accounts, i), row_copy(positions, i), row_copy(contracts, path)
    terms[0, 0].inverse = 0
    return observe(own[0], held, 0, terms[0], config, tiers, rows, features, ledgers, observations, i)


@hot
def finish_step(account, positions, i, contracts, config, rows, step):
    """Terminated by ruin, or truncated by the end of the episode, which is never later than that of the data."""
    step.terminated = is_ruined(account, positions, i, contracts, config, rows, index(account.row - 1))
    step.truncated = account.row >= account.last_row and not step.terminated


@rule
def rest(account, ledgers, i, step):
    """The step of an account whose episode is over: nothing happens, and it stays over."""
    clear_ledgers(ledgers, i)
    step.equity_before = step.equity = step.lowest = step.highest = account.equity
    step.log_growth = step.price_pnl = step.fees = step.funding = step.liquidation = step.turnover = 0.0
    step.drawdown = 0.0
    step.liquidations = step.refused = step.capped = 0


@rule
def is_simple(positions, contracts, config, with_guards):
    """Whether ``simplify`` changes nothing: one isolated position in a linear contract, traded at every decision."""
    if positions.shape[1] != 1 or with_guards:
        return False
    for path in range(contracts.shape[0]):
        if contracts[path, 0].inverse:
            return False
    if config.cross or config.close_only or config.last_price_liquidation or config.maintenance_at_entry:
        return False
    if config.closing_fee != 0.0 or config.deleveraging_move != 0.0 or config.profit_is_free:
        return False
    if config.whole_position_tiers or config.free_balance_sizing:
        return False
    return config.rebalance == EVERY_DECISION


@hot
def simplify(config):
    """Set what ``is_simple`` has found, so that the compiler drops the other branches."""
    config.cross = 0
    config.hedge = 0
    config.close_only = 0
    config.last_price_liquidation = 0
    config.maintenance_at_entry = 0
    config.closing_fee = 0.0
    config.deleveraging_move = 0.0
    config.profit_is_free = 0
    config.whole_position_tiers = 0
    config.free_balance_sizing = 0
    config.rebalance = EVERY_DECISION


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


@copied
def advance_accounts(
    begin, end, active, accounts, positions, contracts, config, tiers, rows, settlements, ledgers, blank, steps,
    growth, targets, stride, n_decisions, guards, with_guards, features, observations, saturated,
    recorded_steps, recorded_ledgers, places, closes,
):  # fmt: skip
    """Advance the active accounts from ``begin`` to ``end`` by up to ``n_decisions`` intervals each.

    Decision d of account i reads row ``i * stride + d`` of ``targets``; an account stops at its ruin and at the end of
    its episode. Observations are written at the end, steps and ledgers of every decision recorded, where their
    arrays have columns, and closes of the rows that have a place among them. ``blank`` is the ledger of a step in which
    nothing happened, ``growth`` the logarithmic growth of the last steps as one contiguous array.
    """
    simple = is_simple(positions, contracts, config[0], with_guards)
    rules = row_copy(config, 0)
    simplify(rules[0])
    for number in range(begin, end):
        i = index(number)
        far = accounts[index(min(i + _AHEAD, end - 1))].row
        prefetch(rows, far)
        prefetch(rows, far, 1)
        ahead = accounts[index(min(i + _AHEAD // 2, end - 1))].row
        near = rows[index(max(0, min(ahead, rows.shape[0] - 1))), 0]
        prefetch(features, near.bar)
        prefetch(features, near.bar, 1)
        prefetch(settlements, near.settlements_first)
        if not active[i]:
            continue
        path = index(accounts[i].path)
        for d in range(n_decisions):
            if accounts[i].row >= accounts[i].last_row:
                if d == 0:
                    rest(accounts[i], ledgers, i, steps[i])
                break
            if not simple or not step_ordinarily(
                accounts, positions, i, contracts, path, rules[0], tiers, rows, settlements, ledgers, blank, steps,
                targets, index(i * stride + d), guards, places, closes,
            ):  # fmt: skip
                step_fully(
                    accounts, positions, i, contracts[path], config[0], tiers, rows, settlements, ledgers, steps,
                    targets, index(i * stride + d), guards, i, with_guards, places, closes,
                )  # fmt: skip
            if recorded_steps.shape[1] > 0:
                recorded_steps[i, d] = steps[i]
            if recorded_ledgers.shape[1] > 0:
                note_liquidation_prices(
                    accounts[i], positions, i, contracts[path], config[0], tiers, rows, index(accounts[i].row - 1),
                    ledgers,
                )  # fmt: skip
                for s in range(positions.shape[1]):
                    recorded_ledgers[i, d, s] = ledgers[i, s]
            if steps[i].terminated:
                break
        growth[i] = steps[i].log_growth
        if observations.shape[1] > 0:
            if simple:
                saturated[i] += observe_ordinarily(
                    accounts,
                    positions,
                    i,
                    contracts,
                    path,
                    rules[0],
                    tiers,
                    rows,
                    features,
                    ledgers,
                    observations,
                )
            else:
                saturated[i] += observe(
                    accounts[i],
                    positions,
                    i,
                    contracts[path],
                    config[0],
                    tiers,
                    rows,
                    features,
                    ledgers,
                    observations,
                    i,
                )
