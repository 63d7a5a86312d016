"""Random positions over tier schedules, as hypothesis strategies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from gearing.exchange.records import margin_tier_dtype, records
from gearing.exchange.rules import maintenance_amount


def schedule(floors: list[float], rates: list[float]) -> np.recarray:
    """Continuous tiers with leverages at half of what their rate allows."""
    tiers = records(len(floors), margin_tier_dtype)
    for k, (floor, rate) in enumerate(zip(floors, rates, strict=True)):
        cap = floors[k + 1] if k + 1 < len(floors) else 1e12
        amount = 0.0 if k == 0 else maintenance_amount(floor, rates[k - 1], rate, tiers[k - 1].amount)
        tiers[k] = (floor, cap, rate, amount, 0.5 / rate)
    return tiers


@st.composite
def tier_schedules(draw: st.DrawFn) -> np.recarray:
    count = draw(st.integers(1, 5))
    steps = draw(st.lists(st.floats(1e3, 1e6), min_size=count - 1, max_size=count - 1))
    floors = [0.0, *np.cumsum(steps).tolist()]
    growth = draw(st.lists(st.floats(1.05, 2.0), min_size=count, max_size=count))
    return schedule(floors, (0.004 * np.cumprod(growth)).clip(max=0.4).tolist())


@dataclass
class Held:
    """An isolated position."""

    quantity: float
    entry_price: float
    wallet: float
    tiers: np.recarray
    inverse: bool
    leverage: float

    @property
    def side(self) -> float:
        return 1.0 if self.quantity > 0.0 else -1.0


@st.composite
def positions(draw: st.DrawFn, inverse: bool | None = None, most: float = 100.0) -> Held:
    inverse = draw(st.booleans()) if inverse is None else inverse
    entry = draw(st.floats(0.01, 1e5))
    value = draw(st.floats(10.0, 3e6))  # notional at entry, settle coin
    side = draw(st.sampled_from([1.0, -1.0]))
    leverage = draw(st.floats(1.5, most))
    quantity = side * (value * entry if inverse else value / entry)
    return Held(quantity, entry, value / leverage, draw(tier_schedules()), inverse, leverage)
