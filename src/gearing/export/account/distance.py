"""How far an account is from liquidation, all positions together."""

import numpy as np

from gearing.exchange.account import position_liquidation_price
from gearing.exchange.rules import unrealised_pnl
from gearing.export.account.solvency import margins
from gearing.export.account.state import AccountState

_STEPS = 40


def liquidation_distance(state: AccountState) -> float | None:
    """Smallest adverse move, the same fraction for every position, that liquidates; None where none does.

    Isolated: of the nearest position. Cross: of the whole account, every position moving against itself at once; a
    contract's own liquidation price, with the other marks frozen, shows more room than there is.
    """
    sides = np.sign([p.quantity for p in state.positions[0]])
    if not sides.any():
        return None
    if not state.terms.rules.cross:
        return _nearest(state)
    most = 1.0 if (sides > 0.0).any() else 1e6  # a long's price cannot fall by more than all of it
    if _surplus(state, sides, 0.0) <= 0.0:
        return 0.0
    low, high = 0.0, 0.01
    while _surplus(state, sides, min(high, most)) > 0.0:
        if high >= most:
            return None
        low, high = high, 2.0 * high
    high = min(high, most)
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _surplus(state, sides, middle) > 0.0 else (low, middle)
    return high


def _surplus(state: AccountState, sides: np.ndarray, move: float) -> float:
    """Margin balance less maintenance margin of a cross account after an adverse move of every mark."""
    prices = state.quotes.mark * np.maximum(1.0 - sides * move, 1e-12)
    _, needed, balance = margins(state, prices)
    return float(balance[0] - needed[0])


def _nearest(state: AccountState) -> float | None:
    distances = []
    for j, position in enumerate(state.positions[0]):
        if position.quantity == 0.0:
            continue
        contract = state.contracts[j]
        price = position_liquidation_price(position, state.of_position(j), position.margin)
        value = unrealised_pnl(position.quantity, position.mark, price, contract.inverse)
        if np.isfinite(price):
            distances.append(max(0.0, abs(price / position.mark - 1.0)) if value < 0.0 else 0.0)
    return float(min(distances)) if distances else None
