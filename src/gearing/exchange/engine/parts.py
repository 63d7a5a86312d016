"""Which parts of the rules a simulation needs: only these are compiled for it.

The kernel's copies of the settings and contracts have a mark for each part, a field that is never read. The marks
belong to the records' types, so numba compiles the loop once for each set of them; functions of other parts
(``marking.part``) are left out. A part brings those before it, so that there are few sets.
"""

from typing import Any

import numpy as np

STOPS = "with_stops"  # resting orders
SLOTS, INVERSE = "with_slots", "with_inverse"  # more than one position, or inverse contracts
VARIANTS = "with_variants"  # rules of some venues and idealisations
CROSS = "with_cross"  # cross margin and hedge mode
_CROSS = ("cross", "hedge", "largest_loss_first")
_VARIANTS = (
    "close_only", "last_price_liquidation", "maintenance_at_entry", "closing_fee", "tier_step_down", "fifth_first",
    "profit_is_free", "rebalance", "deleveraging_move", "free_balance_sizing", "whole_position_tiers",
)  # fmt: skip


def needed_parts(config: np.ndarray, contracts: np.ndarray, slots: int, stops: bool) -> tuple[str, ...]:
    """Parts that a simulation of some settings (1,) and contracts with a number of slots needs.

    ``stops`` says whether orders rest.
    """
    if any(config[name].any() for name in _CROSS):
        return STOPS, SLOTS, INVERSE, VARIANTS, CROSS
    if any(config[name].any() for name in _VARIANTS):
        return STOPS, SLOTS, INVERSE, VARIANTS
    if slots > 1 or contracts["inverse"].any():
        return STOPS, SLOTS, INVERSE
    return (STOPS,) if stops else ()


def marked(records: np.ndarray, parts: tuple[str, ...]) -> np.ndarray:
    """A copy of records with the marks of some parts."""
    fields: Any = records.dtype.fields
    layout = [(name, fields[name][0]) for name in fields] + [(part, np.dtype("i8")) for part in parts]
    found = np.zeros(records.shape, np.dtype(layout, align=True))
    for name in fields:
        found[name] = records[name]
    return found
