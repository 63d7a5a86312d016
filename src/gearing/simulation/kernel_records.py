"""The kernel's records of contracts and account settings."""

from typing import Any

import numpy as np

from gearing.contracts import Contract, VenueProfile
from gearing.exchange.records import config_dtype, contract_dtype, records
from gearing.simulation.config import SimulationConfig, rebalance_mode


def contract_records(
    contracts: tuple[Contract, ...], profile: VenueProfile, config: SimulationConfig
) -> np.recarray:
    """Records of the contracts: rounding, fees, margin share."""
    taker, maker = _fees(config, profile)
    found = records(len(contracts), contract_dtype)
    for j, (contract, share) in enumerate(zip(contracts, config.shares(len(contracts)), strict=True)):
        # In hedge mode the two legs of a contract divide its margin share.
        legs = 2.0 if config.position_mode == "hedge" else 1.0
        found[j] = (
            contract.tick_size, contract.lot_size, contract.min_notional, taker, maker, profile.liquidation_fee,
            share / legs, contract.kind == "inverse",
        )  # fmt: skip
    return found


def config_record(
    config: SimulationConfig, profile: VenueProfile, contracts: tuple[Contract, ...]
) -> np.recarray:
    """Record of the account settings.

    Two rules of a venue are about isolated positions only: that maintenance margin is valued at entry, and how the
    leverage setting of an open position may change.
    """
    rules = records(1, config_dtype)
    rule: Any = rules[0]
    rule.cross = config.margin_mode == "cross"
    rule.hedge = config.position_mode == "hedge"
    rule.close_only = config.walk == "close"
    rule.last_price_liquidation = config.liquidation_series == "last"
    rule.maintenance_at_entry = profile.maintenance == "entry" and not rule.cross
    rule.closing_fee = _fees(config, profile)[0] if profile.maintenance == "mark_plus_fee" else 0.0
    settlement = profile.settlement if config.settlement == "venue" else config.settlement
    rule.fee_then_return = settlement == "fee_then_return"
    rule.tier_step_down = {"tier_step_down": 1, "two_tiers_down": 2}.get(config.liquidation, 0)
    rule.fifth_first = config.liquidation == "fifth_first"
    rule.largest_loss_first = config.cross_liquidation == "largest_loss_first"
    rule.profit_is_free = config.profit_is_free
    rule.funding_from_free_balance = profile.funding_debit == "free_balance_first"
    change = "free" if rule.cross else profile.leverage_change
    rule.leverage_change = ("free", "up_only", "flat_only").index(change)
    rule.rebalance, rule.band = rebalance_mode(config.rebalance)
    rule.maker = config.order == "maker"
    rule.deleveraging_move = config.deleveraging_move or 0.0
    rule.ruin_fraction = config.ruin_fraction
    rule.largest_target = config.max_leverage
    rule.free_balance_sizing = config.sizing == "free_balance"
    jumps = any(not schedule.marginal for contract in contracts for schedule in contract.schedules)
    rule.whole_position_tiers = jumps and not rule.maintenance_at_entry
    return rules


def _fees(config: SimulationConfig, profile: VenueProfile) -> tuple[float, float]:
    """Taker and maker fee of the account's level [fraction of notional]."""
    if config.fee_level is None:
        return profile.taker_fee, profile.maker_fee
    return profile.fees(config.fee_level)
