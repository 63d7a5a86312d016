"""Numbers as a venue takes them: exact decimals on the lot and the tick, settings on the venue's step."""

import math
from decimal import Decimal

_ON_GRID = 1e-6  # of a step: binary representation, not another value


def on_grid(value: float, step: float) -> tuple[str, bool]:
    """A positive value as a decimal number on a grid, and whether it was on it.

    Parameters
    ----------
    value : float
    step : float
        0 is no grid: all digits are given.

    Returns
    -------
    text : str
        Without exponent; a value off the grid is rounded down.
    whole : bool
    """
    if step <= 0.0:
        return format(Decimal(repr(float(value))), "f"), True
    steps = float(value) / step
    nearest = round(steps)
    whole = abs(steps - nearest) <= _ON_GRID
    return format(Decimal(repr(float(step))) * (nearest if whole else math.floor(steps)), "f"), whole


def leverage_setting(leverage: float, step: float, top: float) -> float:
    """The setting to choose at the venue for a leverage: on its step, 1 to ``top``, not below it where possible.

    A setting above the leverage lets the whole target be opened; the difference in posted margin is added by hand.
    """
    wanted = math.ceil(max(1.0, leverage) / step - _ON_GRID) * step
    allowed = math.floor(top / step + _ON_GRID) * step
    return float(round(min(wanted, max(allowed, 1.0)), 9))
