"""Columns that the kernel appends to an observation, per slot and per account, with their bounds.

effective_leverage    signed notional at mark over equity
margin_ratio          maintenance margin over margin balance, of the position (isolated) or account (cross)
liquidation_distance  relative move of the mark to the liquidation price; 1 = none, or at least 100 % away
unrealised_share      unrealised PnL over equity
drawdown              1 - equity over its peak since the start of the episode
free_share            wallet balance that is not assigned to an isolated position, over equity
"""

POSITION_COLUMNS = ("effective_leverage", "margin_ratio", "liquidation_distance", "unrealised_share")
POSITION_BOUNDS = ((-1000.0, 1000.0), (0.0, 1.0), (0.0, 1.0), (-100.0, 100.0))
ACCOUNT_COLUMNS = ("drawdown", "free_share")
ACCOUNT_BOUNDS = ((0.0, 1.0), (0.0, 1.0))
