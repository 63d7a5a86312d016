"""Cross or isolated margin for several contracts? When does one loss liquidate the other positions?

Positions in all contracts are opened on every day of a history and held. In isolated margin each position has its own
part of the equity and is liquidated alone; in cross margin all equity backs all positions, and a liquidation closes
everything.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from gearing.drawing import SMALL, WIDTH, colour, figure_style, new_figure
from gearing.evaluation.playing import Records, play
from gearing.features import FeatureSet
from gearing.market.data import MarketData
from gearing.market.timing import DAY
from gearing.questions.conclusions import of_margin_modes
from gearing.questions.question import (
    BOOTSTRAP,
    Bootstrap,
    Question,
    block_of,
    days_of,
    levels,
    line_with_band,
    metrics_of,
    share_panel,
    with_interval,
)
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator
from gearing.studies.experiment import Findings, experiment
from gearing.studies.fields import Duration
from gearing.studies.work import Work

# Closing the largest loss first ends alike where the clearance fee (1.25 %) exceeds the maintenance that it frees.
MODES = ("isolated", "cross")
CRASHES = {
    "2020-03-12": ("2020-03-12", "2020-03-14"),
    "2021-05-19": ("2021-05-19", "2021-05-21"),
    "2022-11-08": ("2022-11-07", "2022-11-11"),
}
Books = Mapping[str, Sequence[float]]  # name and sides of each contract
_INDEX = ["book", "leverage", "mode"]


class MarginModes(Question):
    """Cross or isolated margin for several contracts?

    Attributes
    ----------
    leverages : list of float
        Of every position; each contract has an equal part of the equity.
    horizons : list of duration
    """

    kind: Literal["margin_modes"] = "margin_modes"
    leverages: list[float] = Field(default=[2.0, 3.0, 5.0, 10.0], min_length=1)
    horizons: list[Duration] = Field(default=["30d"])


@experiment(MarginModes)
def margin_modes(config: MarginModes, work: Work) -> Findings:
    """Tables: ``modes``, cross and isolated margin over all starts; ``crashes``, the same through known crashes."""
    market = config.market.open()
    work.on({"market": market})
    settings = config.exchange.settings
    compared = partial(compare_modes, market, config.leverages, bootstrap=config.bootstrap, **settings)
    parts = {h: work.part(f"modes-{h}", partial(compared, horizon=h)) for h in config.horizons}
    rows = pd.concat(parts, names=["horizon"])
    crashes = work.part("crashes", lambda: crash_outcomes(market, config.leverages, **settings))
    first: Any = rows.loc[config.horizons[0]]
    tables, figures = {"modes": rows, "crashes": crashes}, {"modes": modes_figure(first)}
    metrics = metrics_of(first.xs("cross", level="mode").contagion)
    can, cannot = of_margin_modes(rows)
    return Findings(
        _line(config, first), tables, figures, metrics, {market.name: market}, conclusions=can, limits=cannot,
        printed={"modes": _printed(rows)},
    )  # fmt: skip


def _line(config: MarginModes, rows: pd.DataFrame) -> str:
    middle = config.leverages[len(config.leverages) // 2]
    rows = rows.xs((middle, "cross"), level=["leverage", "mode"])
    parts = [
        f"{row['book']} at {middle:g}x: {_share(row, 'contagion')} of cross liquidations hit a position that isolated "
        f"margin would not have liquidated, {_share(row, 'avoided')} of isolated ones were avoided, mean end equity "
        f"{with_interval(row, 'gain', '+.3f')}"
        for row in rows.reset_index().to_dict("records")
    ]
    return f"cross against isolated, {config.horizons[0]}: " + "; ".join(parts)


def _printed(rows: pd.DataFrame) -> pd.DataFrame:
    """The table ``modes`` for a reader: intervals next to their numbers."""
    specs = {"any_liquidated": ".0%", "contagion": ".0%", "avoided": ".0%", "gain": "+.3f"}
    texts = {
        name: [
            with_interval(row, name, spec) if row[name] == row[name] else "-" for _, row in rows.iterrows()
        ]
        for name, spec in specs.items()
    }
    return rows[["mean", "p05", "lost_all", "starts"]].assign(**texts)


def _share(row: Any, name: str) -> str:
    """A share with its interval; "none" of nothing."""
    return with_interval(row, name, ".0%") if row[name] == row[name] else "none"


@dataclass(frozen=True, eq=False)
class HeldBooks:
    """What became of positions opened on each of many days.

    Attributes
    ----------
    equity : (n_starts,) float64
        At the end, as a share of the start.
    liquidated : (n_starts, n_contracts) bool
    """

    equity: np.ndarray
    liquidated: np.ndarray


def hold_books(
    market: MarketData, leverages: Sequence[float], *, horizon: str = "30d", **settings: Any
) -> HeldBooks:
    """Open positions in all contracts at the first open after each midnight (UTC) and hold them for a horizon.

    Starts are all days that are followed by the whole horizon.

    Parameters
    ----------
    market : MarketData
    leverages : (n_contracts,)
        Signed; each contract has an equal part of the equity as its margin share.
    **settings
        Of the simulation.
    """
    config = SimulationConfig(
        direction="free", max_leverage=float(np.abs(leverages).max()), rebalance="never", start="first",
        decision_interval="24h", ruin_fraction=0.0, **settings,
    )  # fmt: skip
    table = FeatureSet(["log_return"]).compute(market)
    probe = Simulator(market, table, config)
    steps = int(days_of(horizon))
    days = np.arange(probe.tape.boundaries[0].size - steps)
    if not days.size:
        raise ValueError(f"{market!r} has no day followed by {horizon} of data; give a shorter horizon.")
    simulator = Simulator(market, table, config, days.size)
    simulator.begin(days, steps)
    # NaN holds: what was liquidated stays closed.
    series = np.full((steps, market.n_contracts), np.nan)
    series[0] = leverages
    held = Records(steps=False, ledgers=True)
    play(simulator, series, held)
    liquidated = (held.ledgers.liquidations > 0).any(axis=1)
    return HeldBooks(simulator.accounts.equity / config.initial_equity, liquidated)


def default_books(n_contracts: int) -> dict[str, tuple[float, ...]]:
    """All long; and the first contract long against the others short, which share its size."""
    others = n_contracts - 1
    return {"all long": (1.0,) * n_contracts, "first long, others short": (1.0, *(-1.0 / others,) * others)}


def compare_modes(
    market: MarketData,
    leverages: Sequence[float],
    *,
    books: Books | None = None,
    horizon: str = "30d",
    bootstrap: Bootstrap = BOOTSTRAP,
    **settings: Any,
) -> pd.DataFrame:
    """Cross and isolated margin for positions in several contracts.

    Parameters
    ----------
    leverages : sequence of float
        Of every position.
    books : mapping of name to signs
        Side of each contract; default all long, and the first long against the others short.

    Returns
    -------
    DataFrame
        Indexed by book, leverage and mode. ``any_liquidated``: share of starts in which a position was liquidated;
        ``all_liquidated``: all of them. For cross margin: ``contagion``, the share of positions that cross margin
        liquidated and isolated margin would not have, among those that it liquidated, with its interval; ``avoided``,
        the share of isolated liquidations that cross margin avoided, with its interval. ``mean`` and ``p05`` of end
        equity as a share of the start, ``lost_all``: share of starts with less than 5 % left; ``gain``, mean end
        equity less that of isolated margin on the same starts, with its interval.
    """
    if market.n_contracts < 2:
        raise ValueError(f"{market!r} has one contract; margin modes are compared on at least two.")
    block, rows = block_of(horizon), []
    for key, held in _held(market, leverages, books, horizon, settings):
        row = {**key, **_outcome(held, block, bootstrap)}
        if key["mode"] == "isolated":
            isolated = held
        else:
            row |= _against_isolated(held, isolated, block, bootstrap)
        rows.append(row)
    return pd.DataFrame(rows).set_index(_INDEX)


def _held(
    market: MarketData,
    leverages: Sequence[float],
    books: Books | None,
    horizon: str,
    settings: dict[str, Any],
) -> Iterator[tuple[dict[str, Any], HeldBooks]]:
    """Every book at every leverage, in isolated margin and then in cross margin."""
    books = books or default_books(market.n_contracts)
    for (name, sides), leverage, mode in product(books.items(), leverages, MODES):
        signed = [side * leverage for side in sides]
        held = hold_books(market, signed, horizon=horizon, **{**settings, "margin_mode": mode})
        yield {"book": name, "leverage": leverage, "mode": mode}, held


def _outcome(held: HeldBooks, block: float, bootstrap: Bootstrap) -> dict[str, Any]:
    return {
        **bootstrap.mean("any_liquidated", held.liquidated.any(axis=1).astype(float), block),
        "all_liquidated": float(held.liquidated.all(axis=1).mean()),
        "mean": float(held.equity.mean()),
        "p05": float(np.quantile(held.equity, 0.05)),
        "lost_all": float((held.equity < 0.05).mean()),
        "starts": held.equity.size,
    }


def _against_isolated(
    cross: HeldBooks, isolated: HeldBooks, block: float, bootstrap: Bootstrap
) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, one, other in (("contagion", cross, isolated), ("avoided", isolated, cross)):
        only = (one.liquidated & ~other.liquidated).sum(axis=1).astype(float)
        found |= bootstrap.mean(name, only, block, weights=one.liquidated.sum(axis=1).astype(float))
    return found | bootstrap.mean("gain", cross.equity - isolated.equity, block)


def crash_outcomes(
    market: MarketData,
    leverages: Sequence[float],
    *,
    crashes: Mapping[str, tuple[str, str]] = CRASHES,
    books: Books | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """The same positions opened at 00:00 UTC of a crash's first day and held to its end.

    Crashes outside the market's history are left out.

    Returns
    -------
    DataFrame
        Indexed by crash, book, leverage and mode: the symbols ``liquidated``, ``equity`` at the end as a share of the
        start.
    """
    rows = []
    for crash, (start, end) in crashes.items():
        first, last = np.datetime64(start, "ms"), np.datetime64(end, "ms")
        if first - DAY < market.open_time[0] or last > market.close_time[-1]:
            continue
        part, horizon = market.between(first - DAY, last), f"{int((last - first) / DAY)}d"
        for key, held in _held(part, leverages, books, horizon, settings):
            rows.append({"crash": crash, **key, **_single(held, market.symbols)})
    names = ["crash", *_INDEX]
    return pd.DataFrame(rows, columns=[*names, "liquidated", "equity"]).set_index(names)


def _single(held: HeldBooks, symbols: Sequence[str]) -> dict[str, Any]:
    """Which positions of the first start were liquidated, and what was left."""
    hit = [symbol for symbol, gone in zip(symbols, held.liquidated[0], strict=True) if gone]
    return {"liquidated": " ".join(hit) or "none", "equity": round(float(held.equity[0]), 9)}


@figure_style
def modes_figure(rows: pd.DataFrame) -> Any:
    """Cross and isolated margin by leverage: what is liquidated, and the end equity."""
    books = levels(rows, "book")
    figure = new_figure(WIDTH, 3.9 * len(books))
    for panels, book in zip(figure.subplots(len(books), 3, squeeze=False), books, strict=True):
        first, second, third = panels
        part = rows.xs(book, level="book")
        for k, mode in enumerate(levels(part, "mode")):
            line, color = part.xs(mode, level="mode"), colour(k)
            first.plot(line.index, line.any_liquidated, "o-", color=color, label=f"{mode}: any position")
            first.plot(line.index, line.all_liquidated, "s--", color=color, label=f"{mode}: all of them")
            third.plot(line.index, line.p05, "o-", color=color, label=f"{mode}: 5th percentile")
            third.plot(line.index, line["mean"], "s--", color=color, label=f"{mode}: mean")
        _draw_cross(second, part.xs("cross", level="mode"))
        titles = (f"{book}\nliquidated", "cross: share of liquidations", "end equity over start")
        for panel, title in zip(panels, titles, strict=True):
            panel.set_title(title)
            panel.set_xlabel("leverage [x]")
            panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=SMALL)
        share_panel(first)
        share_panel(second)
    return figure


def _draw_cross(panel: Any, cross: pd.DataFrame) -> None:
    labels = {
        "contagion": "contagion: not hit in isolated",
        "avoided": "rescue: isolated ones avoided",
    }
    for k, (name, label) in enumerate(labels.items(), start=2):
        line_with_band(panel, cross, name, marker="o", color=colour(k), label=label)
