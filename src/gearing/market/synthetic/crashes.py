"""Crash scenarios that can be applied to any market.

Each scenario moves prices by known factors from a given bar on, so that an account's loss can be computed. The
market's parameters no longer describe the result, so ``truth`` is dropped.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from inspect import signature
from typing import Any

import numpy as np

from gearing.market.data import PRICES, MarketData, settlement_array, sorted_settlements
from gearing.market.synthetic.generators import GENERATORS, synthetic_market
from gearing.market.timing import HOUR
from gearing.names import check_names

Shift = tuple[np.ndarray, np.ndarray]  # log shifts at the open and the close of every bar, (n_bars,) each


def gap(market: MarketData, at: int, size: float = -0.30) -> MarketData:
    """Prices jump by ``size`` between the close of bar ``at - 1`` and the open of bar ``at``, and stay there.

    Parameters
    ----------
    size : float
        Simple return of the jump, -0.30 for 30 % down; of the traded and the mark price alike.
    """
    _check(market, at, size)
    before = np.arange(market.n_bars) < at
    shift = np.where(before, 0.0, np.log1p(size))
    return _shifted(market, (shift, shift), (shift, shift), "gap")


def cascade(
    market: MarketData,
    at: int,
    size: float = -0.50,
    bars: int = 12,
    basis: float = -0.10,
    recovery: float = 0.5,
) -> MarketData:
    """A fall over ``bars`` bars in which the traded price falls faster than the mark price, then a recovery of half.

    Parameters
    ----------
    size : float
        Simple return of the mark from the first to the last bar of the fall.
    bars : int
        Length of the fall; the recovery takes as long.
    basis : float
        Traded price relative to mark at the trough (-0.10: 10 % below); widens evenly and closes in the recovery.
    recovery : float
        Share of the fall (in logs) that is recovered.
    """
    _check(market, at, size)
    if bars < 1 or at + 2 * bars > market.n_bars:
        raise ValueError(f"cascade: {bars} bars of fall and as many of recovery do not fit from bar {at} on.")
    edge = np.arange(market.n_bars + 1, dtype=float) - at  # bar edges, counted from the open of bar `at`
    points = [0.0, bars, 2.0 * bars]
    fall = np.log1p(size)
    mark = np.interp(edge, points, [0.0, fall, fall * (1.0 - recovery)])
    last = mark + np.interp(edge, points, [0.0, np.log1p(basis), 0.0])
    return _shifted(market, (last[:-1], last[1:]), (mark[:-1], mark[1:]), "cascade")


def funding_squeeze(
    market: MarketData,
    at: int,
    rate: float = -0.02,
    bars: int = 48,
    every: Any = 2 * HOUR,
    size: float = 0.40,
) -> MarketData:
    """Shorts are squeezed: prices rise by ``size`` while funding settles often at its cap.

    Parameters
    ----------
    rate : float
        Of each settlement; negative: shorts pay.
    bars : int
        Length of the squeeze.
    every : timedelta
        Between settlements in the squeeze (SOL in November 2022: 2 h at down to -2 %).
    size : float
        Simple return over the squeeze.
    """
    _check(market, at, size)
    if bars < 1 or at + bars > market.n_bars:
        raise ValueError(f"funding squeeze: {bars} bars do not fit from bar {at} on.")
    edge = np.arange(market.n_bars + 1, dtype=float) - at
    rise = np.interp(edge, [0.0, bars], [0.0, np.log1p(size)])
    shift = rise[:-1], rise[1:]
    moved = _shifted(market, shift, shift, "funding squeeze")
    start, end = market.open_time[at], market.open_time[at] + bars * market.bar
    old = moved.settlements
    outside = old[(old["time"] < start) | (old["time"] >= end)]
    times = np.arange(start, end, np.timedelta64(every).astype("timedelta64[ms]"))
    new = settlement_array(times[:, None], np.arange(market.n_contracts), rate, np.nan)
    return moved.replace(settlements=sorted_settlements([outside, new]))


SCENARIOS: dict[str, Callable[..., MarketData]] = {
    "gap": gap,
    "cascade": cascade,
    "funding-squeeze": funding_squeeze,
}


@GENERATORS.register("crash")
def generate(
    seed: int = 0,
    years: float = 60 / 365,
    contracts: Sequence[str] = ("BTC-SYN",),
    scenario: str = "gap",
    at: int | None = None,
    **settings: Any,
) -> MarketData:
    """Market B with a crash, in the middle unless ``at`` gives its bar."""
    settings_of({"scenario": scenario})
    market = synthetic_market("market-b", seed=seed, years=years, contracts=contracts)
    return SCENARIOS[scenario](market, market.n_bars // 2 if at is None else at, **settings)


def settings_of(given: Mapping[str, Any]) -> list[str]:
    """Names of settings that ``generate`` takes besides its own arguments; an unknown scenario is refused."""
    scenario = given.get("scenario", "gap")
    check_names("no crash scenario", [scenario], SCENARIOS)
    return list(signature(SCENARIOS[scenario]).parameters)


def _shifted(market: MarketData, last: Shift, mark: Shift, name: str) -> MarketData:
    """Move prices by log shifts at the opens and closes; extremes move with the farther of the two."""
    changes: dict[str, Any] = {
        kind: _moved(prices, *(last if kind == "last" else mark))
        for kind, prices in market.arrays(PRICES).items()
    }
    rows = market.settlements.copy()
    bar = np.searchsorted(market.open_time, rows["time"], side="right") - 1
    rows["mark"] *= np.exp(mark[0][bar])
    changes |= {"settlements": rows, "truth": None, "finer": None, "name": f"scenario {name}"}
    return replace(market, **changes)


def _moved(prices: np.ndarray, opens: np.ndarray, closes: np.ndarray) -> np.ndarray:
    shifts = np.stack([opens, np.maximum(opens, closes), np.minimum(opens, closes), closes], axis=-1)
    return prices * np.exp(shifts)[:, None, :]


def _check(market: MarketData, at: int, size: float) -> None:
    if not 1 <= at < market.n_bars:
        raise ValueError(f"a crash begins at one of bars 1 to {market.n_bars - 1}, not at {at}.")
    if not size > -1.0:
        raise ValueError(f"size {size} is a simple return above -1 (-0.3 for 30 % down).")
