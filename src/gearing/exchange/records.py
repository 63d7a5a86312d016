"""Record layouts of the simulator's state; aligned, so that compiled and interpreted code can read them.

A *slot* holds one position: one per contract in one-way mode, two (long, short) in hedge mode.
"""

import numpy as np

margin_tier_dtype = np.dtype(
    [("floor", "f8"), ("cap", "f8"), ("rate", "f8"), ("amount", "f8"), ("max_leverage", "f8")], align=True
)

# One row of the price path of one contract: a bar, or a finer piece of it where finer data exist. It holds all market
# data that a step reads, in two cache lines.
row_dtype = np.dtype(
    [
        ("open", "f8"),  # last price, where orders fill
        ("high", "f8"),
        ("low", "f8"),
        ("close", "f8"),
        ("mark_open", "f8"),  # mark price, where liquidation and funding are decided
        ("mark_high", "f8"),
        ("mark_low", "f8"),
        ("mark_close", "f8"),
        ("slippage", "f8"),  # market-wide part of a fill's slippage at this open, known before it [fraction]
        ("impact", "f8"),  # times sqrt(notional) gives the size-dependent part of it [fraction]
        ("tiers_first", "i4"),  # the dated margin tiers in force: tiers[tiers_first:tiers_last]
        ("tiers_last", "i4"),
        ("tradable", "i4"),  # 0 before the listing and after the delisting
        ("delisted", "i4"),  # 1 on a contract's last row: what is open closes at its last mark
        ("settlements_first", "i4"),  # settlements of the row, all contracts: settlements[first:last]
        ("settlements_last", "i4"),
        ("next_row", "i4"),  # row of the next decision if one may fall on this row's open, else -1
        ("bar", "i4"),  # the bar this row belongs to: row of the feature table
        ("exit_row", "i4"),  # decision mode at_entry: where the trade entered at this row closes, else -1
        ("reserved", "i4"),
        ("reserved_too", "f8"),
    ],
    align=True,
)

settlement_dtype = np.dtype(
    [
        ("rate", "f8"),  # fraction of notional; positive: longs pay shorts
        ("mark", "f8"),  # mark price at the instant, NaN where only the bar's mark is known
        ("contract", "i4"),
        ("inside", "i4"),  # 0 at the row's open, 1 strictly inside the row
    ],
    align=True,
)

contract_dtype = np.dtype(
    [
        ("tick_size", "f8"),
        ("lot_size", "f8"),
        ("min_notional", "f8"),
        ("taker_fee", "f8"),
        ("maker_fee", "f8"),
        ("liquidation_fee", "f8"),
        ("margin_share", "f8"),  # share of equity posted for this contract
        ("inverse", "i8"),
    ],
    align=True,
)

# Settings of the account, named as in simulation.SimulationConfig.
config_dtype = np.dtype(
    [
        ("cross", "i8"),
        ("hedge", "i8"),
        ("close_only", "i8"),
        ("last_price_liquidation", "i8"),
        ("maintenance_at_entry", "i8"),
        ("closing_fee", "f8"),  # reserved in maintenance margin [fraction of notional]
        ("fee_then_return", "i8"),
        (
            "tier_step_down",
            "i8",
        ),  # tiers that a partial liquidation goes down at a time; 0 liquidates in full
        ("fifth_first", "i8"),  # a large position loses a fifth of its size first (Hyperliquid)
        ("largest_loss_first", "i8"),
        ("profit_is_free", "i8"),  # isolated: unrealised profit may be withdrawn at a rebalance
        ("funding_from_free_balance", "i8"),
        ("leverage_change", "i8"),  # 0 free, 1 up only, 2 only when flat
        ("rebalance", "i8"),  # 0 every decision, 1 on change, 2 band, 3 never
        ("band", "f8"),
        ("maker", "i8"),  # fills pay the maker fee
        ("deleveraging_move", "f8"),  # stress: winners are closed after such a move inside a row; 0 = off
        ("ruin_fraction", "f8"),
        ("largest_target", "f8"),
        (
            "free_balance_sizing",
            "i8",
        ),  # an increase is paid from free balance, which unrealised profit is not
        ("whole_position_tiers", "i8"),  # 1 if the maintenance margin jumps at the floors of any contract
    ],
    align=True,
)

account_dtype = np.dtype(
    [
        ("wallet_balance", "f8"),
        ("equity", "f8"),  # at the last close
        ("peak_equity", "f8"),
        ("assigned", "f8"),  # margin assigned to isolated positions, part of the wallet balance
        ("insurance", "f8"),  # what the insurance fund paid (+) since the start of the episode
        ("row", "i8"),  # the next row to trade
        # fields below are not changed by steps
        ("start_equity", "f8"),
        ("last_row", "i8"),  # the episode's decisions end at this row
        ("path", "i8"),
        ("episode", "i8"),
    ],
    align=True,
)

position_dtype = np.dtype(
    [
        ("quantity", "f8"),  # signed; linear: base coins, inverse: quote
        ("entry_price", "f8"),  # meaningless while quantity is 0
        ("margin", "f8"),  # assigned margin (isolated), part of the wallet balance
        ("leverage", "f8"),  # leverage setting
        ("unrealised", "f8"),  # at the last close
        ("mark", "f8"),  # of the last close
        ("target", "f8"),  # last target leverage
        ("best_price", "f8"),
        # fields below are changed only by steps with resting orders
        ("stop", "f8"),  # adverse distance from entry [fraction], NaN = none
        ("take_profit", "f8"),
        ("trailing", "f8"),  # adverse distance from the best price since entry
        ("trigger", "f8"),  # mark at which its cross account was last liquidated
        ("trigger_last", "i4"),  # stops watch the last price instead of the mark
        ("guarded", "i4"),  # 1 if any stop rests
    ],
    align=True,
)

# Protective orders of a decision; NaN = none.
guard_dtype = np.dtype(
    [("stop", "f8"), ("take_profit", "f8"), ("trailing", "f8"), ("trigger_last", "i8")], align=True
)

# What one step did to one position; price + fees + funding + liquidation = its part of the change of equity.
ledger_dtype = np.dtype(
    [
        ("price_pnl", "f8"),
        ("fees", "f8"),  # <= 0 for a taker
        ("funding", "f8"),  # > 0 received
        ("liquidation", "f8"),  # margin lost to liquidation (-), shortfall borne by the insurance fund (+)
        ("turnover", "f8"),  # traded notional
        # Of the position open at the end of the step, other marks frozen there (cross); of a step that ends flat, at
        # its last liquidation; NaN if there is none.
        ("liquidation_price", "f8"),
        (
            "execution_price",
            "f8",
        ),  # where the last liquidation of the step happened: differs on a gap; NaN if none
        ("fills", "i4"),
        ("liquidations", "i4"),
        ("partial_liquidations", "i4"),
        ("stops", "i4"),
        ("take_profits", "i4"),
        ("deleveragings", "i4"),
        ("refused", "i4"),  # an order was refused: 1 below the minimum, 2 not tradable, 3 no margin
        ("capped", "i4"),  # an order was reduced to its tier's largest notional
        ("delistings", "i4"),
    ],
    align=True,
)

# Totals of one step of one account.
step_dtype = np.dtype(
    [
        ("equity_before", "f8"),
        ("equity", "f8"),
        ("log_growth", "f8"),
        ("price_pnl", "f8"),
        ("fees", "f8"),
        ("funding", "f8"),
        ("liquidation", "f8"),
        ("turnover", "f8"),
        ("lowest", "f8"),  # equity at the closes of the step's rows, and before the step
        ("highest", "f8"),
        ("drawdown", "f8"),  # largest fall among these closes from a highest before it [fraction]
        ("liquidations", "i8"),
        ("refused", "i8"),  # orders refused
        ("capped", "i8"),  # orders reduced to their tier's largest notional
        ("terminated", "i8"),
        ("truncated", "i8"),
    ],
    align=True,
)

# A position at the close of a row: recorded where the daily values of an account or the end of a trade are wanted.
close_dtype = np.dtype([("equity", "f8"), ("value", "f8")], align=True)  # the account's; signed notional


def records(shape: int | tuple[int, ...], dtype: np.dtype) -> np.recarray:
    """Zeroed record array of a layout."""
    return np.zeros(shape, dtype).view(np.recarray)


def bytes_before(dtype: np.dtype, field: str) -> int:
    """Offset of a field of a record."""
    return dict(dtype.fields or {})[field][1]
