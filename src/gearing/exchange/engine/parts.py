"""Which parts of the rules a simulation needs: only these are compiled for it.

The kernel's copy of the settings has a mark for each part, a field that is never read. The marks belong to the record's
type, so numba compiles the loop once for each set of them; functions of other parts (``marking.part``) are left out. A
part brings those before it, so that there are few sets.
"""

from typing import Any

import numpy as np

STOPS = "with_stops"  # resting orders
VARIANTS = "with_variants"  # rules of some venues and idealisations
CROSS = "with_cross"  # cross margin and hedge mode
_CROSS = ("cross", "hedge", "largest_loss_first")
_VARIANTS = (
    "close_only", "last_price_liquidation", "maintenance_at_entry", "closing_fee", "tier_step_down", "fifth_first",
    "profit_is_free", "rebalance", "deleveraging_move", "free_balance_sizing", "whole_position_tiers",
)  # fmt: skip


def marked(config: np.ndarray, stops: bool) -> np.ndarray:
    """A copy of the settings (1,) with the marks of the parts that a simulation needs."""
    marks: tuple[str, ...] = (STOPS,) if stops else ()
    if any(config[name].any() for name in _CROSS):
        marks = (STOPS, VARIANTS, CROSS)
    elif any(config[name].any() for name in _VARIANTS):
        marks = (STOPS, VARIANTS)
    fields: Any = config.dtype.fields
    layout = [(name, fields[name][0]) for name in fields] + [(mark, np.dtype("i8")) for mark in marks]
    found = np.zeros(config.shape, np.dtype(layout, align=True))
    for name in fields:
        found[name] = config[name]
    return found
