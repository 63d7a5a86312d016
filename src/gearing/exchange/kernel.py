"""The compiled loop: accounts through rows of a market, one decision interval at a time.

Order of events in the first row of an interval (``exchange-rules``, section 3):

1. settlements at the open, on the position carried into the row; the row's first mark tests that position too,
   so that an order at the open cannot dodge a liquidation that is already due;
2. fills at the open;
3. payments of settlements inside the row, the path with its liquidations and stops, then receipts.

Later rows of the interval differ in having no fills. Mark to market at the interval's last close.

``advance`` and its parallel twin are the same source; both run interpreted under ``NUMBA_DISABLE_JIT=1``.
"""

import math

from numba import config as numba_config
from numba import njit, prange, set_num_threads
from numba.extending import register_jitable

from gearing.exchange.account import (
    apply_fill,
    is_liquidated,
    liquidate_position,
    margin_surplus,
    position_liquidation_price,
    position_maintenance,
    settle_funding,
)
from gearing.exchange.orders import place_guards, trade_to_target
from gearing.exchange.path import (
    contract_of,
    joint_surplus,
    liquidate_cross,
    walk_cross,
    walk_isolated,
    watched_open,
)
from gearing.exchange.rules import notional, unit_value, unrealised_pnl

# Helpers that take whole arrays are inlined by LLVM: passing a dozen array structures costs more than their work.
inlined = register_jitable(forceinline=True)

_REWARD_FLOOR = 0.001  # of the start equity: the reward of a ruined step stays finite


@inlined
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


@register_jitable
def settle(account, positions, i, contracts, config, tiers, rows, r, ledgers, settlements, inside, paying):
    """Settlements of row ``r`` at its open or inside it; ``paying``: 0 both ways, 1 payments only, 2 receipts only.

    Each debit is followed by a liquidation test at its mark.
    """
    for k in range(rows[r, 0].settlements_first, rows[r, 0].settlements_last):
        if settlements[k].inside != inside:
            continue
        j = settlements[k].contract
        mark = settlements[k].mark
        if math.isnan(mark):
            mark = rows[r, j].mark_open
        for s in range(positions.shape[1]):
            position = positions[i, s]
            if position.quantity == 0.0 or contract_of(s, config) != j:
                continue
            pays = position.quantity * settlements[k].rate > 0.0
            if (paying == 1 and not pays) or (paying == 2 and pays):
                continue
            settle_funding(account, position, contracts[j], config, ledgers[i, s], mark, settlements[k].rate)
            if pays and not config.cross and not config.close_only:
                if is_liquidated(position, contracts[j], config, tiers, rows[r, j], mark):
                    liquidate_position(
                        account, position, contracts[j], config, tiers, rows[r, j], ledgers[i, s], mark
                    )
    if config.cross and not config.close_only and paying != 2:
        test_open(account, positions, i, contracts, config, tiers, rows, r, ledgers)


@register_jitable
def test_open(account, positions, i, contracts, config, tiers, rows, r, ledgers):
    """Liquidate what is already beyond its liquidation price at the row's first mark (a gap)."""
    if config.cross:
        exposed = has_position(positions, i)
        if exposed and joint_surplus(account, positions, i, contracts, config, tiers, rows, r, 0.0) <= 0.0:
            liquidate_cross(account, positions, i, contracts, config, tiers, rows, r, ledgers, 0.0)
        return
    for s in range(positions.shape[1]):
        if positions[i, s].quantity == 0.0:
            continue
        j = contract_of(s, config)
        mark = watched_open(rows[r, j], config)
        if is_liquidated(positions[i, s], contracts[j], config, tiers, rows[r, j], mark):
            liquidate_position(
                account, positions[i, s], contracts[j], config, tiers, rows[r, j], ledgers[i, s], mark
            )


@inlined
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


@inlined
def trade(
    account, positions, i, contracts, config, tiers, rows, r, ledgers, targets, t, guards, g, with_guards
):
    """Orders of one decision at the open of row ``r``: reductions first, so that they free margin for increases."""
    equity_now = account.wallet_balance + unrealised_total(positions, i, contracts, config, rows, r, True)
    # Margin is checked at the fill: equity lost in the gap since the decision cannot be posted.
    checked = min(account.equity, equity_now)
    for increasing in range(2):
        for s in range(positions.shape[1]):
            if math.isnan(targets[t, s]):
                continue
            position = positions[i, s]
            j = contract_of(s, config)
            mark = position.mark
            budget = contracts[j].margin_share * account.equity
            wanted = abs(targets[t, s]) * budget / unit_value(mark, contracts[j].inverse)
            adds = targets[t, s] * position.quantity <= 0.0 or wanted > abs(position.quantity)
            if targets[t, s] == 0.0:
                adds = False
            if adds != (increasing == 1):
                continue
            margin = contracts[j].margin_share * checked
            trade_to_target(
                account,
                position,
                contracts[j],
                config,
                tiers,
                rows[r, j],
                ledgers[i, s],
                targets[t, s],
                budget,
                margin,
                mark,
            )
            position.target = targets[t, s]
            if with_guards and position.quantity != 0.0:
                place_guards(position, guards[g, s])


@register_jitable
def flatten(account, positions, i, contracts, config, tiers, rows, r, ledgers):
    """Close everything at the open of row ``r``: the exit of a trade whose leverage was chosen at its entry."""
    for s in range(positions.shape[1]):
        j = contract_of(s, config)
        trade_to_target(
            account,
            positions[i, s],
            contracts[j],
            config,
            tiers,
            rows[r, j],
            ledgers[i, s],
            0.0,
            0.0,
            0.0,
            1.0,
        )


@inlined
def delist(account, positions, i, contracts, config, rows, r, ledgers):
    """A position at a contract's last row closes at its last mark, without a fee."""
    for s in range(positions.shape[1]):
        j = contract_of(s, config)
        if rows[r, j].delisted and positions[i, s].quantity != 0.0:
            ledgers[i, s].delistings += 1
            position = positions[i, s]
            apply_fill(
                account, position, contracts[j], config, ledgers[i, s], -position.quantity, rows[r, j].mark_close,
                position.leverage, 0.0,
            )  # fmt: skip


@inlined
def walk(account, positions, i, contracts, config, tiers, rows, r, ledgers):
    """The path of one row."""
    if config.cross:
        walk_cross(account, positions, i, contracts, config, tiers, rows, r, ledgers)
        return
    for s in range(positions.shape[1]):
        if positions[i, s].quantity != 0.0:
            j = contract_of(s, config)
            walk_isolated(account, positions[i, s], contracts[j], config, tiers, rows[r, j], ledgers[i, s])


@inlined
def has_position(positions, i):
    """Whether any slot is not flat."""
    for s in range(positions.shape[1]):
        if positions[i, s].quantity != 0.0:
            return True
    return False


@inlined
def mark_to_market(account, positions, i, contracts, config, rows, r, ledgers, step):
    """Value the account at the last close and add up the step."""
    equity = account.wallet_balance
    step.price_pnl = 0.0
    step.fees = 0.0
    step.funding = 0.0
    step.liquidation = 0.0
    step.turnover = 0.0
    step.liquidations = 0
    step.refused = 0
    step.capped = 0
    for s in range(positions.shape[1]):
        position, ledger = positions[i, s], ledgers[i, s]
        j = contract_of(s, config)
        profit = unrealised_pnl(
            position.quantity, position.entry_price, rows[r, j].mark_close, contracts[j].inverse
        )
        ledger.price_pnl += profit - position.unrealised
        position.unrealised = profit
        position.mark = rows[r, j].mark_close
        equity += profit
        step.price_pnl += ledger.price_pnl
        step.fees += ledger.fees
        step.funding += ledger.funding
        step.liquidation += ledger.liquidation
        step.turnover += ledger.turnover
        step.liquidations += ledger.liquidations
        step.refused += ledger.refused > 0
        step.capped += ledger.capped
    step.equity_before = account.equity
    step.equity = equity
    floor = _REWARD_FLOOR * account.start_equity
    step.log_growth = math.log(max(equity, floor) / max(account.equity, floor))
    account.equity = equity
    account.peak_equity = max(account.peak_equity, equity)


@inlined
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


@inlined
def advance_account(
    account, positions, i, contracts, config, tiers, rows, settlements, until, ledgers, step,
    targets, t, guards, g, with_guards,
):  # fmt: skip
    """One account from its next row to row ``until`` (exclusive), with orders at the first open."""
    clear_ledgers(ledgers, i)
    first = account.row
    for r in range(first, until):
        held = has_position(positions, i)
        settles = rows[r, 0].settlements_last > rows[r, 0].settlements_first
        if held and settles:
            settle(account, positions, i, contracts, config, tiers, rows, r, ledgers, settlements, 0, 0)
        if r == first:
            if held:
                test_open(account, positions, i, contracts, config, tiers, rows, r, ledgers)
            trade(
                account,
                positions,
                i,
                contracts,
                config,
                tiers,
                rows,
                r,
                ledgers,
                targets,
                t,
                guards,
                g,
                with_guards,
            )
            held = has_position(positions, i)
        elif held and r == rows[first, 0].exit_row:
            flatten(account, positions, i, contracts, config, tiers, rows, r, ledgers)
            held = has_position(positions, i)
        if not held:
            continue
        if settles:
            settle(account, positions, i, contracts, config, tiers, rows, r, ledgers, settlements, 1, 1)
        walk(account, positions, i, contracts, config, tiers, rows, r, ledgers)
        if settles:
            settle(account, positions, i, contracts, config, tiers, rows, r, ledgers, settlements, 1, 2)
        delist(account, positions, i, contracts, config, rows, r, ledgers)
    account.row = until
    mark_to_market(account, positions, i, contracts, config, rows, until - 1, ledgers, step)


@inlined
def finish_step(account, positions, i, contracts, config, rows, step):
    """Terminated by ruin, or truncated by the end of the episode, which is never later than that of the data."""
    step.terminated = is_ruined(account, positions, i, contracts, config, rows, account.row - 1)
    step.truncated = account.row >= account.last_row and not step.terminated


@inlined
def saturate(value, low, high):
    """Value within its bounds and 1 if it had to be moved there."""
    if value < low:
        return low, 1
    if value > high:
        return high, 1
    return value, 0


@inlined
def observe_account(account, positions, i, contracts, config, tiers, rows, r, observations, offset):
    """Write the position and account columns behind the market's; returns how many values were saturated.

    ``margin_ratio`` is maintenance margin over margin balance (1 liquidates), of the position where isolated, of
    the account where cross; ``liquidation_distance`` the relative move of the mark to the liquidation price (1 = none).
    """
    saturated = 0
    equity = account.equity
    scale = 1.0 / equity if equity > 0.0 else 0.0
    requirement, surplus = 0.0, account.wallet_balance
    if config.cross:
        for s in range(positions.shape[1]):
            j = contract_of(s, config)
            requirement += position_maintenance(
                positions[i, s], contracts[j], config, tiers, rows[r, j], rows[r, j].mark_close
            )
            surplus += margin_surplus(
                positions[i, s], contracts[j], config, tiers, rows[r, j], rows[r, j].mark_close
            )
    for s in range(positions.shape[1]):
        position = positions[i, s]
        effective, ratio, distance = 0.0, 0.0, 1.0
        if position.quantity != 0.0:
            j = contract_of(s, config)
            mark = rows[r, j].mark_close
            effective = (
                math.copysign(notional(position.quantity, mark, contracts[j].inverse), position.quantity)
                * scale
            )
            if config.cross:
                backing = surplus - margin_surplus(position, contracts[j], config, tiers, rows[r, j], mark)
                ratio = requirement * scale
            else:
                backing = position.margin
                needed = position_maintenance(position, contracts[j], config, tiers, rows[r, j], mark)
                balance = position.margin + position.unrealised
                ratio = needed / balance if balance > needed else 1.0
            price = position_liquidation_price(position, contracts[j], config, tiers, rows[r, j], backing)
            distance = 1.0 if math.isnan(price) else min(1.0, abs(price / mark - 1.0))
        base = offset + 4 * s
        effective, moved = saturate(effective, -1000.0, 1000.0)
        saturated += moved
        share, moved = saturate(position.unrealised * scale, -100.0, 100.0)
        saturated += moved
        observations[i, base] = effective
        observations[i, base + 1] = min(ratio, 1.0)
        observations[i, base + 2] = distance
        observations[i, base + 3] = share
    base = offset + 4 * positions.shape[1]
    observations[i, base] = max(0.0, min(1.0, 1.0 - equity / account.peak_equity))
    observations[i, base + 1] = max(0.0, min(1.0, (account.wallet_balance - account.assigned) * scale))
    return saturated


@inlined
def observe(account, positions, i, contracts, config, tiers, rows, features, observations):
    """Write one account's observation at the close of the bar before its next row."""
    row = account.row - 1
    columns = features.shape[1]
    bar = rows[row, 0].bar
    for k in range(columns):
        observations[i, k] = features[bar, k]
    return observe_account(account, positions, i, contracts, config, tiers, rows, row, observations, columns)


def _advance(
    active, accounts, positions, contracts, config, tiers, rows, settlements, ledgers,
    steps, targets, guards, with_guards, features, observations, saturated,
):  # fmt: skip
    """One decision interval for every active account; observations are written in place if given any columns.

    ``guards`` has one row per account, or a single ignored one where ``with_guards`` is False.
    """
    for i in prange(accounts.size):
        if active[i]:
            account = accounts[i]
            guard = i if with_guards else 0
            advance_account(
                account, positions, i, contracts, config[0], tiers, rows, settlements,
                rows[account.row, 0].next_row, ledgers, steps[i], targets, i, guards, guard, with_guards,
            )  # fmt: skip
            finish_step(account, positions, i, contracts, config[0], rows, steps[i])
            if observations.shape[1] > 0:
                saturated[i] += observe(
                    account, positions, i, contracts, config[0], tiers, rows, features, observations
                )


advance = njit(cache=True, error_model="numpy")(_advance)
_advance_in_parallel = njit(cache=True, error_model="numpy", parallel=True)(_advance)


def parallel_advance(n_threads):
    """``advance`` over several threads; accounts are independent, so the numbers are those of one thread."""
    if not 1 <= n_threads <= numba_config.NUMBA_NUM_THREADS:
        raise ValueError(
            f"n_threads is {n_threads}; it must be from 1 to {numba_config.NUMBA_NUM_THREADS}, the cores numba was "
            "started with (NUMBA_NUM_THREADS)."
        )
    set_num_threads(n_threads)
    return _advance_in_parallel


@njit(cache=True, error_model="numpy")
def observe_all(
    active, accounts, positions, contracts, config, tiers, rows, features, observations
):  # fmt: skip
    """Observations of accounts that were just reset."""
    for i in range(accounts.size):
        if active[i]:
            observe(accounts[i], positions, i, contracts, config[0], tiers, rows, features, observations)


def _run(
    accounts, positions, contracts, config, tiers, rows, settlements, ledgers, steps,
    targets, stride, n_decisions, guards, recorded_steps, recorded_ledgers,
):  # fmt: skip
    """Whole paths of precomputed targets, shape (n_decisions or n_accounts * n_decisions, n_slots); stops at ruin.

    ``stride`` is 0 where all accounts share the targets, else n_decisions.
    Records steps and ledgers where their arrays have room; returns nothing, the accounts hold the end.
    """
    for i in prange(accounts.size):
        account = accounts[i]
        for d in range(n_decisions):
            if account.row >= account.last_row:
                break
            until = rows[account.row, 0].next_row
            advance_account(
                account, positions, i, contracts, config[0], tiers, rows, settlements, until,
                ledgers, steps[i], targets, i * stride + d, guards, 0, False,
            )  # fmt: skip
            finish_step(account, positions, i, contracts, config[0], rows, steps[i])
            if recorded_steps.shape[1] > 0:
                recorded_steps[i, d] = steps[i]
            if recorded_ledgers.shape[1] > 0:
                for s in range(positions.shape[1]):
                    recorded_ledgers[i, d, s] = ledgers[i, s]
            if steps[i].terminated:
                break


run = njit(cache=True, error_model="numpy")(_run)
