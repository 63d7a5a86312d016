"""What does funding take from a leveraged position? Every start of a history with and without it.

A funding payment is on the notional, so its weight on the margin grows with leverage; and it moves the liquidation
price of a position that is held.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from gearing.drawing import REFERENCE, WIDTH, colour, figure_style, legend_below, new_figure, percent
from gearing.evaluation.accounts import Accounts, play_sizes
from gearing.evaluation.comparisons.scenarios import with_funding
from gearing.evaluation.risk.past_starts import Starts
from gearing.features import FeatureSet
from gearing.market.data import MarketData
from gearing.market.timing import DAY
from gearing.questions.conclusions import of_funding_erosion
from gearing.questions.question import (
    BOOTSTRAP,
    Bootstrap,
    Question,
    block_of,
    by_contract,
    fitting,
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

PARTS = ("price", "fees", "funding", "liquidation", "total")
BURDENS = (0.01, 0.05, 0.10, 0.25, 0.50)
DIRECTIONS = ("long", "short")
_SHORTEST_YEAR = 30  # days


class FundingErosion(Question):
    """What does funding take from a leveraged position?

    Attributes
    ----------
    leverages : list of float
    horizons : list of duration
        For how long positions are held.
    burdens : list of float
        Shares of the margin that a month of funding is compared with.
    """

    kind: Literal["funding_erosion"] = "funding_erosion"
    leverages: list[float] = Field(default=[1.0, 3.0, 5.0, 10.0, 20.0], min_length=1)
    horizons: list[Duration] = Field(default=["30d", "90d"])
    burdens: list[float] = Field(default=list(BURDENS))


@experiment(FundingErosion)
def funding_erosion(config: FundingErosion, work: Work) -> Findings:
    """Tables: ``overall``, held positions of all years; ``held`` by year; ``rebalanced`` every day; ``months``."""
    markets, settings = config.market.each(), config.exchange.settings
    work.on(markets)

    def held_by_horizon(market: MarketData) -> pd.DataFrame:
        parts = {
            h: held_positions(market, config.leverages, horizon=h, bootstrap=config.bootstrap, **settings)
            for h in fitting(config.horizons, market)
        }
        return pd.concat(parts, names=["horizon"])

    rebalanced_daily = partial(rebalanced_positions, leverages=config.leverages, **settings)
    by_month = partial(
        heavy_months, leverages=config.leverages, burdens=config.burdens, bootstrap=config.bootstrap
    )
    held = by_contract(work, "held", markets, held_by_horizon)
    rebalanced = by_contract(work, "rebalanced", markets, rebalanced_daily)
    months = by_contract(work, "months", markets, by_month)
    overall: Any = held.xs("all", level="year")
    first = next(iter(markets))
    horizon = levels(held, "horizon")[0]
    figure = erosion_figure(
        held.xs((first, horizon), level=["contract", "horizon"]), months.xs(first, level="contract"),
        f"{first}: positions held for {horizon}",
    )  # fmt: skip
    tables = {"overall": overall, "held": held, "rebalanced": rebalanced, "months": months}
    can, cannot = of_funding_erosion(overall)
    return Findings(
        _line(overall),
        tables,
        {"erosion": figure},
        metrics_of(overall.effect),
        markets,
        conclusions=can,
        limits=cannot,
    )


def _line(overall: pd.DataFrame) -> str:
    rows = overall.reset_index()
    rows = rows[(rows.direction == "long") & (rows.leverage == 10.0)]
    parts = [
        f"{row['contract']} {row['leverage']:g}x long for {row['horizon']}: {with_interval(row, 'effect', '+.1%')} of "
        f"the margin; {with_interval(row, 'caused', '.1%')} of liquidations would not have come without"
        for row in rows.to_dict("records")
    ]
    return "funding: " + "; ".join(parts)


def held_positions(
    market: MarketData,
    leverages: Sequence[float],
    *,
    horizon: str = "30d",
    directions: Sequence[str] = DIRECTIONS,
    bootstrap: Bootstrap = BOOTSTRAP,
    **settings: Any,
) -> pd.DataFrame:
    """What a position opened each day and held for a horizon earned on its margin, and what funding did to it.

    Parameters
    ----------
    market : MarketData
        One contract.
    **settings
        Of :class:`gearing.evaluation.risk.past_starts.Starts`.

    Returns
    -------
    DataFrame
        Indexed by direction, leverage and year of the start, and ``"all"``. Means over starts, as shares of the equity
        posted: ``price``, ``fees``, ``funding``, ``liquidation``, their sum ``total``; ``total_without`` funding;
        ``effect`` = total - total_without with its 95 % interval (``effect_low``, ``effect_high``); ``liquidated``
        and ``liquidated_without``; ``caused``, the share of liquidations that would not have come without funding,
        with its interval; ``prevented``, those that funding received has prevented, as a share of the same; starts.
    """
    rows = []
    for direction in directions:
        real, free = (Starts(m, direction=direction, **settings) for m in (market, with_funding(market, 0.0)))
        for leverage in leverages:
            if leverage > real.config.max_leverage:
                continue
            paid, without = real.outcomes(leverage, horizon), free.outcomes(leverage, horizon)
            whole = np.isfinite(paid["total"]) & np.isfinite(without["total"])
            for year, chosen in _years(real.opened, whole):
                found = _compared(paid, without, chosen, block_of(horizon), bootstrap)
                rows.append({"direction": direction, "leverage": leverage, "year": year, **found})
    return pd.DataFrame(rows).set_index(["direction", "leverage", "year"])


def _years(opened: np.ndarray, whole: np.ndarray) -> list[tuple[str, np.ndarray]]:
    year = opened.astype("datetime64[Y]")
    parts = [(str(y), whole & (year == y)) for y in np.unique(year[whole])]
    return [("all", whole), *((y, part) for y, part in parts if part.sum() >= _SHORTEST_YEAR)]


def _compared(
    paid: Mapping[str, np.ndarray],
    without: Mapping[str, np.ndarray],
    chosen: np.ndarray,
    block: float,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Outcomes of the chosen starts, with and without funding."""
    found: dict[str, Any] = {name: float(paid[name][chosen].mean()) for name in PARTS}
    found["total_without"] = float(without["total"][chosen].mean())
    found |= bootstrap.mean("effect", paid["total"][chosen] - without["total"][chosen], block)
    hit, free_hit = paid["liquidated"][chosen], without["liquidated"][chosen]
    found["liquidated"], found["liquidated_without"] = float(hit.mean()), float(free_hit.mean())
    found |= bootstrap.mean("caused", hit * (1.0 - free_hit), block, weights=hit)
    found["prevented"] = float((free_hit * (1.0 - hit)).sum() / hit.sum()) if hit.any() else np.nan
    return {**found, "starts": int(chosen.sum())}


def rebalanced_positions(
    market: MarketData, leverages: Sequence[float], *, directions: Sequence[str] = DIRECTIONS, **settings: Any
) -> pd.DataFrame:
    """Log growth of an account that rebalances to one leverage every day, by calendar year, with and without funding.

    Every year begins anew with the initial equity; shorter ones than a month are left out. All equity is margin. A
    ruined year's growth is that of an account with a thousandth left.

    Returns
    -------
    DataFrame
        Indexed by direction, leverage and year: ``growth``, ``growth_without``, ``cost`` (their difference, per
        year of 365 days; NaN where either was ruined), ``ruined``, ``ruined_without``.
    """
    if market.n_bars * market.bar < _SHORTEST_YEAR * DAY:
        raise ValueError(
            f"{market!r} is shorter than {_SHORTEST_YEAR} days, the least that is played of a year. Load more history."
        )
    parts = []
    years, bars = np.unique(market.open_time.astype("datetime64[Y]"), return_counts=True)
    long_enough = bars * market.bar >= min(_SHORTEST_YEAR * DAY, bars.max() * market.bar)
    for year in years[long_enough]:
        part = market.between(str(year), str(year + 1))
        for direction in directions:
            config = SimulationConfig(direction=direction, start="first", **settings)
            sizes = np.array([x for x in leverages if x <= config.max_leverage])
            paid, free = (_accounts(m, config, sizes) for m in (part, with_funding(part, 0.0)))
            # What a ruined account saved in funding says nothing.
            cost = np.where(paid.ruined | free.ruined, np.nan, free.growth - paid.growth)
            found = {
                "direction": direction, "leverage": sizes, "year": str(year), "growth": paid.growth,
                "growth_without": free.growth, "cost": cost, "ruined": paid.ruined, "ruined_without": free.ruined,
            }  # fmt: skip
            parts.append(pd.DataFrame(found))
    return pd.concat(parts).set_index(["direction", "leverage", "year"])


def _accounts(market: MarketData, config: SimulationConfig, sizes: np.ndarray) -> Accounts:
    table = FeatureSet(["log_return"]).compute(market)
    simulator = Simulator(market, table, config, sizes.size)
    simulator.reset(seed=0)
    return play_sizes(simulator, sizes[:, None, None])


def heavy_months(
    market: MarketData,
    leverages: Sequence[float],
    *,
    burdens: Sequence[float] = BURDENS,
    directions: Sequence[str] = DIRECTIONS,
    bootstrap: Bootstrap = BOOTSTRAP,
) -> pd.DataFrame:
    """Share of calendar months in which funding took more than a share of the margin.

    A position held at L times its margin pays L x (sum of the month's rates) of it, whatever the price does. Intervals
    resample blocks of six months.

    Returns
    -------
    DataFrame
        Indexed by direction, leverage and burden: ``share``, ``share_low``, ``share_high``, ``months``, and ``worst``,
        the largest share that one month took.
    """
    monthly = monthly_rates(market)
    rows = []
    for direction, leverage, burden in product(directions, leverages, burdens):
        paid = (1.0 if direction == "long" else -1.0) * leverage * monthly.to_numpy()
        hit = (paid > burden).astype(np.float64)
        key = {"direction": direction, "leverage": leverage, "burden": burden}
        share = bootstrap.mean("share", hit, 6.0)
        rows.append({**key, **share, "months": hit.size, "worst": float(paid.max()) if hit.size else np.nan})
    return pd.DataFrame(rows).set_index(["direction", "leverage", "burden"])


def monthly_rates(market: MarketData) -> pd.Series:
    """Sum of funding rates of each whole calendar month; of one contract."""
    settlements = market.settlements
    month = settlements["time"].astype("datetime64[M]")
    whole = (month.astype("datetime64[ms]") >= market.open_time[0]) & (
        (month + 1).astype("datetime64[ms]") <= market.close_time[-1]
    )
    rates = pd.Series(settlements["rate"][whole], index=pd.PeriodIndex(month[whole], freq="M"))
    return rates.groupby(level=0).sum()


@figure_style
def erosion_figure(held: pd.DataFrame, months: pd.DataFrame, title: str) -> Any:
    """What funding did to held longs by year, and how often a month of it was heavy."""
    figure = new_figure(WIDTH, 4.6)
    left, right = figure.subplots(1, 2)
    _draw_years(left, held.xs("long", level="direction"))
    longs = months.xs("long", level="direction")
    for k, leverage in enumerate(levels(longs, "leverage")):
        rows, style = longs.xs(leverage, level="leverage"), {"color": colour(k), "label": f"{leverage:g}x"}
        line_with_band(right, rows, "share", marker="o", **style)
    right.set_title("Longs: calendar months in which funding\ntook more than this share of the margin")
    right.set_xlabel("share of the margin")
    right.set_ylabel("share of months")
    percent(right.xaxis)
    share_panel(right)
    legend_below(figure, 6, title="leverage")
    figure.suptitle(title)
    return figure


def _draw_years(panel: Any, longs: pd.DataFrame) -> None:
    """Bars of the effect with its interval, by year and leverage."""
    years = [year for year in levels(longs, "year") if year != "all"]
    leverages = levels(longs, "leverage")
    width = 0.8 / len(leverages)
    for k, leverage in enumerate(leverages):
        rows = longs.xs(leverage, level="leverage").reindex(years)
        at = np.arange(len(years)) + (k - 0.5 * (len(leverages) - 1)) * width
        spread = [rows.effect - rows.effect_low, rows.effect_high - rows.effect]
        panel.bar(at, rows.effect, width, yerr=spread, error_kw={"lw": 0.8}, label=f"{leverage:g}x")
    panel.set_xticks(np.arange(len(years)), years)
    panel.axhline(0.0, **REFERENCE)
    panel.grid(visible=False, axis="x")
    panel.set_ylabel("share of the margin")
    percent(panel.yaxis)
    panel.set_title("Longs: result with less result\nwithout funding, by year of the start")
