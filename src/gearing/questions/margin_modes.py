"""Cross against isolated margin for a book of several contracts: when does one loss take the others with it?

A book is opened on every day of a history and held. In isolated margin each position has its own part of the equity
and dies alone; in cross margin all equity backs all positions, and a liquidation closes everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.statistics.bootstrap import block_mean
from gearing.features import FeatureSet, parse_duration
from gearing.market.data import MarketData
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator

if TYPE_CHECKING:
    import pandas as pd

MODES: dict[str, dict[str, str]] = {
    "isolated": {"margin_mode": "isolated"},
    # Closing the largest loss first ends alike where the clearance fee (1.25 %) exceeds the maintenance that it frees.
    "cross": {"margin_mode": "cross"},
}
CRASHES = {
    "2020-03-12": ("2020-03-12", "2020-03-14"),
    "2021-05-19": ("2021-05-19", "2021-05-21"),
    "2022-11-08": ("2022-11-07", "2022-11-11"),
}
_DAY = np.timedelta64(1, "D")
_LEAST_BLOCK = 20.0  # days


@dataclass(frozen=True, eq=False)
class Books:
    """What became of a book opened on each of many days.

    Attributes
    ----------
    opened : (n_starts,) datetime64[ms]
    equity : (n_starts,) float64
        At the end, in parts of the start.
    dead : (n_starts, n_contracts) bool
        Which positions were liquidated.
    """

    opened: np.ndarray
    equity: np.ndarray
    dead: np.ndarray


def hold_books(
    market: MarketData,
    leverages: Sequence[float],
    *,
    horizon: str = "30d",
    first: Any = None,
    count: int | None = None,
    **settings: Any,
) -> Books:
    """Open a book at the first open after each midnight (UTC) and hold it for a horizon.

    Parameters
    ----------
    market : MarketData
        All contracts of the book.
    leverages : (n_contracts,)
        Signed; each contract has an equal part of the equity as its margin share.
    first : time, optional
        First day; with ``count`` days from there on. Default: all days that have the horizon behind them.
    **settings
        Of the simulation.
    """
    config = SimulationConfig(
        direction="free", max_leverage=float(np.abs(leverages).max()), rebalance="never", start="first",
        decision_interval="24h", ruin_fraction=0.0, **settings,
    )  # fmt: skip
    table = FeatureSet(["log_return"]).compute(market)
    probe = Simulator(market, table, config)
    steps = int(parse_duration(horizon) // _DAY)
    edges = probe.tape.boundaries[0]
    times = probe.tape.row_time[edges[:-1]]
    days = np.flatnonzero(np.arange(times.size) + steps <= edges.size - 1)
    if first is not None:
        days = days[times[days] >= np.datetime64(first, "ms")]
    days = days[:count]
    if not days.size:
        raise ValueError(f"{market!r} has no day with {horizon} behind it; give a shorter horizon.")
    simulator = Simulator(market, table, config, days.size)
    simulator.begin(days, steps)
    opened = simulator.time.copy()
    simulator.step(np.broadcast_to(np.asarray(leverages, float), (days.size, market.n_contracts)))
    dead = simulator.ledgers.liquidations > 0
    if steps > 1:
        # What was liquidated stays closed: holding is asked for, never a new order.
        held = np.full((steps - 1, market.n_contracts), np.nan)
        _, ledgers = simulator.run(held, record_steps=False, record_ledgers=True)
        dead = dead | (ledgers.liquidations > 0).any(axis=1)
    return Books(opened, simulator.accounts.equity / config.initial_equity, dead)


def contagion(
    market: MarketData,
    leverages: Sequence[float],
    *,
    books: Mapping[str, Sequence[float]] | None = None,
    horizon: str = "30d",
    seed: int = 0,
    replications: int = 500,
    **settings: Any,
) -> pd.DataFrame:
    """Cross beside isolated margin for books of several contracts.

    Parameters
    ----------
    leverages : sequence of float
        Of every position.
    books : mapping of name to signs
        Side of each contract; default all long, and the first long against the others short.

    Returns
    -------
    DataFrame
        Indexed by book, leverage and mode. ``any_dead``: share of starts in which a position was liquidated;
        ``all_dead``: all of them. For cross margin: ``taken``, the share of positions that cross margin liquidated
        though isolated margin would have kept them (contagion), among those that it liquidated, with its interval;
        ``rescued``, the share of isolated liquidations that cross margin avoided, with its interval. ``mean`` and
        ``p05`` of end equity in parts of the start, ``lost_all``: share of starts with less than 5 % left; ``gain``,
        mean end equity less that of isolated margin on the same starts, with its interval.
    """
    import pandas as pd

    if market.n_contracts < 2:
        raise ValueError(f"{market!r} has one contract; contagion needs at least two.")
    books = books or default_books(market.n_contracts)
    block = max(_LEAST_BLOCK, float(parse_duration(horizon) / _DAY))
    rows = []
    for name, sides in books.items():
        for leverage in leverages:
            signed = [side * leverage for side in sides]
            found = {
                mode: hold_books(market, signed, horizon=horizon, **{**settings, **how})
                for mode, how in MODES.items()
            }
            for mode, held in found.items():
                told = _told(held, found["isolated"], block, seed, replications)
                rows.append({"book": name, "leverage": leverage, "mode": mode, **told})
    return pd.DataFrame(rows).set_index(["book", "leverage", "mode"])


def default_books(n_contracts: int) -> dict[str, tuple[float, ...]]:
    """All long; and the first contract long against the others short, with half the size each where there are two."""
    others = n_contracts - 1
    return {
        "all long": (1.0,) * n_contracts,
        "first long, others short": (1.0, *(-1.0 / others,) * others),
    }


def _told(held: Books, isolated: Books, block: float, seed: int, replications: int) -> dict[str, Any]:
    told: dict[str, Any] = {}
    told |= _interval("any_dead", held.dead.any(axis=1).astype(float), block, seed, replications)
    told["all_dead"] = float(held.dead.all(axis=1).mean())
    if held is not isolated:
        taken = (held.dead & ~isolated.dead).sum(axis=1).astype(float)
        saved = (isolated.dead & ~held.dead).sum(axis=1).astype(float)
        told |= _interval("taken", taken, block, seed, replications, held.dead.sum(axis=1).astype(float))
        told |= _interval(
            "rescued", saved, block, seed, replications, isolated.dead.sum(axis=1).astype(float)
        )
    told |= {
        "mean": float(held.equity.mean()),
        "p05": float(np.quantile(held.equity, 0.05)),
        "lost_all": float((held.equity < 0.05).mean()),
    }
    if held is not isolated:
        told |= _interval("gain", held.equity - isolated.equity, block, seed, replications)
    return {**told, "starts": held.equity.size}


def _interval(
    name: str,
    values: np.ndarray,
    block: float,
    seed: int,
    replications: int,
    weights: np.ndarray | None = None,
) -> dict[str, float]:
    found = block_mean(values, block, weights=weights, seed=seed, replications=replications)
    return {name: found[0], f"{name}_low": found[1], f"{name}_high": found[2]}


def crash_books(
    market: MarketData,
    leverages: Sequence[float],
    *,
    crashes: Mapping[str, tuple[str, str]] = CRASHES,
    books: Mapping[str, Sequence[float]] | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """The same books opened at 00:00 UTC of a crash's first day and held to its end.

    Crashes outside the market's history are left out.

    Returns
    -------
    DataFrame
        Indexed by crash, book, leverage and mode: ``dead`` (symbols liquidated), ``equity`` at the end in parts of the
        start.
    """
    import pandas as pd

    rows = []
    for crash, (start, end) in crashes.items():
        span = np.datetime64(start, "ms"), np.datetime64(end, "ms")
        if span[0] - _DAY < market.open_time[0] or span[1] > market.close_time[-1]:
            continue
        part = market.between(span[0] - _DAY, span[1])
        horizon = f"{int((span[1] - span[0]) / _DAY)}d"
        for name, sides in (books or default_books(market.n_contracts)).items():
            for leverage in leverages:
                signed = [side * leverage for side in sides]
                for mode, how in MODES.items():
                    held = hold_books(
                        part, signed, horizon=horizon, first=span[0], count=1, **{**settings, **how}
                    )
                    dead = [s for s, d in zip(market.symbols, held.dead[0], strict=True) if d]
                    rows.append(
                        {
                            "crash": crash, "book": name, "leverage": leverage, "mode": mode,
                            "dead": " ".join(dead) or "none", "equity": round(float(held.equity[0]), 9),
                        }
                    )  # fmt: skip
    names = ["crash", "book", "leverage", "mode"]
    return pd.DataFrame(rows, columns=[*names, "dead", "equity"]).set_index(names)
