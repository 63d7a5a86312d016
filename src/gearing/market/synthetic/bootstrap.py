"""Block bootstrap of real history: new paths from blocks of an old one.

Source: Politis and Romano (1994), stationary bootstrap. Blocks have geometric lengths; a new block starts at the same
hour of the week as the bar it follows, which preserves the season. All contracts, mark and index prices, volume and
settlements of a bar stay together.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gearing.market.data import PRICES, PUBLISHED, MarketData
from gearing.market.synthetic.generators import GENERATORS, START
from gearing.market.timing import DAY, YEAR, positive_duration
from gearing.storage.compiling import njit

WEEK = 7 * DAY


@GENERATORS.register("bootstrap")
def generate(
    seed: int = 0,
    years: float = 6.0,
    contracts: Sequence[str] | None = None,
    source: MarketData | None = None,
    block: Any = "20d",
) -> MarketData:
    """Resample a market.

    Parameters
    ----------
    seed : int
    years : float
        Of 365 days.
    contracts : sequence of str, optional
        Contracts of the source to use; all by default.
    source : MarketData
        History to resample; tradable throughout and longer than two weeks.
    block : str or timedelta
        Mean length of a block.

    Notes
    -----
    ``truth["source_bar"]`` (n_bars,) is the bar of the source that each bar copies. Prices are rescaled so that a bar
    opens from the close before it as it did in the source. The newest margin tiers apply at all times.
    """
    market = _checked(source, contracts)
    n = round(years * float(YEAR / market.bar))
    mean = max(float(positive_duration(block) / market.bar), 1.0)
    stream = np.random.default_rng(seed)
    week = int(WEEK / market.bar) if WEEK % market.bar == np.timedelta64(0, "ms") else 1
    # The source's first bar at the start's place in the week; not bar 0, which has no previous close.
    first = int((START - market.open_time[0]) / market.bar) % week or week
    rows = _blocks(market.n_bars, n, week, 1.0 / mean, stream.random((n, 2)), first)
    return _chained(market, rows, n)


def _checked(source: MarketData | None, contracts: Sequence[str] | None) -> MarketData:
    if source is None:
        raise ValueError("bootstrap resamples a market: pass source=load_market(...).")
    market = source if contracts is None else source.select(list(contracts))
    if not market.tradable.all():
        raise ValueError(f"bootstrap needs contracts that trade throughout; cut {market!r} to such a span.")
    if market.n_bars * market.bar < 2 * WEEK:
        raise ValueError(f"bootstrap needs more than two weeks of bars, {market!r} has fewer.")
    return market


@njit(cache=True)
def _blocks(size: int, n: int, week: int, chance: float, uniforms: np.ndarray, first: int) -> np.ndarray:
    rows = np.empty(n, np.int64)
    for t in range(n):
        place = (first + t) % week
        low = place if place >= 1 else place + week
        count = (size - 1 - low) // week + 1
        fresh = t == 0 or uniforms[t, 0] < chance or rows[t - 1] + 1 >= size
        rows[t] = low + week * int(uniforms[t, 1] * count) if fresh else rows[t - 1] + 1
    return rows


def _chained(market: MarketData, rows: np.ndarray, n: int) -> MarketData:
    steps = np.log(market.close[rows] / market.close[rows - 1])
    path = np.log(market.close[rows[0] - 1]) + np.cumsum(steps, axis=0)
    scale = np.exp(path) / market.close[rows]
    open_time = START + market.bar * np.arange(n)
    changes: dict[str, Any] = {
        name: value[rows] * scale[..., None] for name, value in market.arrays(PRICES).items()
    }
    changes |= {name: value[rows] for name, value in market.arrays(PUBLISHED).items()}
    newest = tuple(replace(c, schedules=(replace(c.schedules[-1], as_of=None),)) for c in market.contracts)
    return MarketData(
        open_time=open_time,
        bar=market.bar,
        contracts=newest,
        volume=market.volume[rows] / scale,
        settlements=_settlements(market, rows, open_time, scale),
        tradable=np.ones((n, market.n_contracts), bool),
        truth={"source_bar": rows, "generator": np.array("bootstrap")},
        name=f"bootstrap of {market.name}",
        venue=market.venue,
        **changes,
    )


def _settlements(
    market: MarketData, rows: np.ndarray, open_time: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """Settlements move with their bar."""
    old = market.settlements
    bar = np.searchsorted(market.open_time, old["time"], side="right") - 1
    first, last = np.searchsorted(bar, rows, side="left"), np.searchsorted(bar, rows, side="right")
    counts = last - first
    target = np.repeat(np.arange(rows.size), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    taken = old[np.repeat(first, counts) + within].copy()
    taken["time"] = open_time[target] + (taken["time"] - market.open_time[rows[target]])
    taken["mark"] *= scale[target, taken["contract"]]
    return taken
