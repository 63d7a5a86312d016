"""How much leverage for which appetite for risk?

Every number is a share of starts of `gearing.evaluation.risk.past_starts`, with its block-bootstrap interval.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from gearing.drawing import WIDTH, colour, figure_style, legend_below, new_figure
from gearing.evaluation.risk.past_starts import HORIZONS, Starts
from gearing.features import parse_duration
from gearing.market.data import MarketData
from gearing.questions.conclusions import of_leverage_risk
from gearing.questions.question import (
    BOOTSTRAP,
    Bootstrap,
    Question,
    by_contract,
    levels,
    line_with_band,
    metrics_of,
    share_panel,
    with_interval,
)
from gearing.studies.experiment import Findings, experiment
from gearing.studies.fields import Duration
from gearing.studies.work import Work

LEVERAGES = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
BUDGETS = (0.01, 0.05, 0.25)
ISOLATED = "isolated, all posted"
USED = 0.1  # of the equity, as margin of the position in a cross account
INDEX = ("contract", "event", "arrangement", "direction", "leverage", "horizon")


class LeverageRisk(Question):
    """How much leverage for which appetite for risk?

    Attributes
    ----------
    leverages, horizons
        Leverage settings that are compared, and for how long a position is held.
    drawdown : float
        Share of the equity whose loss is the second event.
    initial_equity : float
        Small, so that tiers cut few positions.
    """

    kind: Literal["leverage_risk"] = "leverage_risk"
    leverages: list[float] = Field(default=list(LEVERAGES), min_length=1)
    horizons: list[Duration] = Field(default=list(HORIZONS))
    drawdown: float = Field(default=0.5, gt=0.0, lt=1.0)
    initial_equity: float = Field(default=5_000.0, gt=0.0)


@experiment(LeverageRisk)
def leverage_risk(config: LeverageRisk, work: Work) -> Findings:
    """Tables: ``safest``, by appetite; ``risk``, every probability with its interval."""
    markets = config.market.each()
    work.on(markets)

    risk_of = partial(
        risk_of_leverage, leverages=config.leverages, horizons=config.horizons, bootstrap=config.bootstrap,
        drawdown=config.drawdown, initial_equity=config.initial_equity, **config.exchange.settings,
    )  # fmt: skip
    risk = by_contract(work, "risk", markets, risk_of)
    tables, figures = {"safest": safest_by_appetite(risk), "risk": risk}, {"risk": risk_figure(risk)}
    can, cannot = of_leverage_risk(risk, BUDGETS[1])
    return Findings(
        _line(config, risk),
        tables,
        figures,
        metrics_of(risk.probability),
        markets,
        conclusions=can,
        limits=cannot,
    )


def _line(config: LeverageRisk, risk: Any) -> str:
    horizon = "30d" if "30d" in config.horizons else config.horizons[-1]
    names = [name for name in INDEX if name != "leverage"]
    parts = []
    for contract in levels(risk, "contract"):
        rows = risk.xs((contract, "liquidation", ISOLATED, "long", horizon), level=names)
        shown = [
            f"{x:g}x {with_interval(rows.loc[x], 'probability', '.1%')}"
            for x in (3.0, 5.0, 10.0)
            if x in rows.index
        ]
        parts.append(f"{contract}: {', '.join(shown)}")
    return f"a long held for {horizon} is liquidated in this share of starts: " + "; ".join(parts)


def risk_of_leverage(
    market: MarketData,
    *,
    leverages: Sequence[float] = LEVERAGES,
    horizons: Sequence[str] = HORIZONS,
    events: Sequence[str] = ("liquidation", "drawdown"),
    directions: Sequence[str] = ("long", "short"),
    bootstrap: Bootstrap = BOOTSTRAP,
    **settings: Any,
) -> pd.DataFrame:
    """Probability of an event by margin arrangement, direction, leverage setting and horizon.

    Parameters
    ----------
    market : MarketData
        One contract.
    **settings
        Of :class:`gearing.evaluation.risk.past_starts.Starts`, for example ``drawdown=0.5`` or ``initial_equity``.

    Returns
    -------
    DataFrame
        ``probability``, ``low``, ``high`` (95 %), ``n_starts``, ``effective_leverage`` (notional over equity at entry).
        Rows are left out where a contract does not allow the leverage, or no start has the horizon behind it.

    Notes
    -----
    A cross account with one contract is as good as the isolated account with all equity posted: the whole wallet
    stands behind the notional in both. Only the entry costs, which come out of what is posted, differ: at a setting of
    50x they make the position 3 % smaller. So a leverage setting of L with a share of the equity used has the risk of L
    times that share, all posted, and is not played again. In isolated margin the share posted does not move the
    liquidation; it is the most that can be lost.
    """
    rows = []
    for event in events:
        for direction in directions:
            starts = Starts(market, event=event, direction=direction, **settings)
            found = _rows(starts, leverages, horizons, bootstrap)
            key = {"event": event, "direction": direction}
            rows += [{**key, "arrangement": ISOLATED, **row} for row in found]
            # The same notional in a cross account that uses a share of its equity.
            key["arrangement"] = f"cross, {USED:g} used"
            rows += [{**key, **row, "leverage": round(row["leverage"] / USED, 9)} for row in found]
    return pd.DataFrame(rows).set_index(list(INDEX[1:]))


def _rows(
    starts: Starts, leverages: Sequence[float], horizons: Sequence[str], bootstrap: Bootstrap
) -> list[dict[str, Any]]:
    longest = max(horizons, key=parse_duration)
    rows = []
    for leverage in leverages:
        if leverage > starts.config.max_leverage:
            continue
        times = starts.times(leverage, longest)
        for horizon in horizons:
            if starts.counted(times, horizon) < 2:
                continue
            found = starts.probability(leverage, horizon, times=times, **bootstrap.settings).as_row()
            rows.append({"leverage": leverage, "effective_leverage": leverage, "horizon": horizon, **found})
    return rows


def safest_by_appetite(risk: pd.DataFrame, budgets: Sequence[float] = BUDGETS) -> pd.DataFrame:
    """Largest leverage of the table whose probability stays within each budget; 0 where none does.

    Parameters
    ----------
    risk : DataFrame
        Of `risk_of_leverage`, with the contract as first index level.

    Returns
    -------
    DataFrame
        One row per contract, event, arrangement, direction and horizon; per budget the leverage by the estimate, and
        by the upper bound of the interval.

    Notes
    -----
    Only the leverages of the table are compared; `gearing.safest_leverage` searches between them.
    """
    keys = [name for name in INDEX if name != "leverage"]
    parts = {}
    for budget in budgets:
        for label, column in ((f"{budget:.0%}", "probability"), (f"{budget:.0%}, upper bound", "high")):
            within = risk[column].unstack("leverage").sort_index(axis=1) <= budget
            # Risk rises with leverage; a leverage beyond the first failure does not count.
            safe = within.cummin(axis=1)
            largest = [max((x for x in row.index if row[x]), default=0.0) for _, row in safe.iterrows()]
            parts[label] = pd.Series(np.array(largest, float), index=safe.index)
    order = risk.reset_index()[keys].drop_duplicates()
    return pd.DataFrame(parts).reorder_levels(keys).reindex(pd.MultiIndex.from_frame(order))


@figure_style
def risk_figure(risk: pd.DataFrame) -> Any:
    """Probability by leverage, a panel per event and contract, a line per horizon; long solid, short dashed."""
    chosen: Any = risk.xs(levels(risk, "arrangement")[0], level="arrangement")
    events, contracts = levels(risk, "event"), levels(risk, "contract")
    figure = new_figure(WIDTH, 3.0 * len(events) + 0.8)
    panels = figure.subplots(len(events), len(contracts), sharex=True, sharey=True, squeeze=False)
    ticks = sorted(levels(chosen, "leverage"))
    for event, row in zip(events, panels, strict=True):
        for contract, panel in zip(contracts, row, strict=True):
            _draw(panel, chosen.xs((contract, event), level=["contract", "event"]))
            panel.set_title(
                f"{contract}: {'liquidated' if event == 'liquidation' else 'half the equity lost'}"
            )
            panel.set_xscale("log")
            share_panel(panel)
            panel.set_xticks(ticks, [f"{x:g}x" for x in ticks])
            panel.minorticks_off()
    legend_below(figure, 6, title="held for")
    figure.suptitle("Share of starts; long solid with 95 % interval, short dashed")
    return figure


def _draw(panel: Any, rows: pd.DataFrame) -> None:
    horizons = sorted(levels(rows, "horizon"), key=parse_duration)
    for (horizon, direction), part in rows.groupby(["horizon", "direction"], sort=False):
        line, color = part.droplevel(["horizon", "direction"]), colour(horizons.index(horizon))
        if direction == "long":
            line_with_band(panel, line, "probability", color=color, lw=1.4, label=horizon)
        else:
            panel.plot(line.index, line.probability, "--", color=color, lw=1.4)
