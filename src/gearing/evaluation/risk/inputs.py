"""What a promise is made from, refused where it enters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from gearing.forecasters.excursion_law.law import check_budget
from gearing.market.data import MarketData, market_list
from gearing.market.timing import DAY, stamp
from gearing.names import shown
from gearing.policies.rules.excursion_budget import EVENTS

SIDE_OF = {"long": 1, "short": -1}


def check_question(event: str, probability: float, direction: str) -> None:
    """Refuse an unknown event or direction, or a budget that the law does not state."""
    if event not in EVENTS:
        raise ValueError(f"event is {event!r}; it must be one of {', '.join(EVENTS)}.")
    if direction not in SIDE_OF:
        raise ValueError(f"direction is {direction!r}; it must be long or short.")
    check_budget(probability)


def check_account(drawdown: float, initial_equity: float, seed: int) -> None:
    """Refuse a share of equity outside (0, 1], an equity that is not positive and finite, or no whole seed."""
    for name, value in (("drawdown", drawdown), ("initial_equity", initial_equity)):
        if not isinstance(value, Real) or isinstance(value, bool):
            raise TypeError(f"{name} is {shown(value)}; it must be a number.")
    if not 0.0 < drawdown <= 1.0:
        raise ValueError(f"drawdown is {drawdown}; it must be in (0, 1].")
    if not (initial_equity > 0.0 and math.isfinite(initial_equity)):
        raise ValueError(f"initial_equity is {initial_equity}; it must be positive and finite.")
    if not isinstance(seed, Integral) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed is {shown(seed)}; it must be a whole number, 0 or more.")


def one_market(market: MarketData) -> MarketData:
    """The market; a list of markets and anything else is refused."""
    found = market_list(market)
    if isinstance(market, list | tuple):
        raise TypeError(
            f"market is a list of {len(found)} markets; give the contract's own, and the others as pool."
        )
    return market


def pool_of_markets(pool: Sequence[MarketData]) -> list[MarketData]:
    """The pool as a list."""
    if not isinstance(pool, list | tuple) or not all(isinstance(one, MarketData) for one in pool):
        raise TypeError(
            f"pool is {shown(pool)}; give a list of markets, as in [gearing.load_market(folder, ['ETHUSDT'])]."
        )
    return list(pool)


def symbol_of(market: MarketData, contract: str | None) -> str:
    """The contract that a promise is about: the named one, or the market's only one."""
    if contract is None and market.n_contracts > 1:
        raise ValueError(f"the market has {', '.join(market.symbols)}; name one with contract=.")
    return market.symbols[0] if contract is None else market.select([contract]).symbols[0]


def moment_of(at: Any, market: MarketData) -> np.datetime64:
    """Midnight (UTC) of a moment at which a promise is made; one after the day of the last bar is refused."""
    moment, last = stamp(at, "at"), market.close_time[-1]
    if moment > last + DAY:
        raise ValueError(
            f"at is {moment}, but the bars of {', '.join(market.symbols)} end at {last}; give an earlier moment or "
            "newer bars."
        )
    return moment.astype("datetime64[D]")
