"""The HTML report: one self-contained file with tables and figures, and the further tables that it may hold."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gearing.drawing import BAD, WIDTH, colour, figure_style, new_figure, percent, png
from gearing.evaluation.comparisons.scenarios import capacity, counterfactuals, stress_grid
from gearing.evaluation.metrics import EQUITY_FLOOR, RUINED, years_between
from gearing.evaluation.reports.document import (
    Block,
    Bullets,
    Document,
    Facts,
    Paragraph,
    Picture,
    Section,
    Table,
)
from gearing.evaluation.reports.figures import mark_liquidations, money_axis, span_label
from gearing.evaluation.reports.tables import (
    PRINTED,
    comparison,
    controls_table,
    number_text,
    printed,
    span_note,
)
from gearing.evaluation.reports.trades import trades
from gearing.evaluation.result import BacktestResult
from gearing.features import FeatureSet, FeatureTable
from gearing.market.data import MarketData
from gearing.market.timing import DAY
from gearing.simulation.policy import Policy

VOLATILITY, TREND, FUNDING = "realized_volatility_7d", "trend_30d", "funding_carry_7d"
TERCILES = ("calm", "usual", "wild")


def growth_by_regime(result: BacktestResult, market: MarketData) -> pd.DataFrame:
    """Log growth of a result by the regime known at each decision.

    Several contracts: the means of their columns. Terciles are those of the result's own decisions, so the table
    is descriptive, not a trading rule.

    Returns
    -------
    DataFrame
        Indexed by volatility, trend and funding: ``time`` (share of it), ``growth`` a year while in the regime,
        ``contribution`` to the log growth a year (they add up to it), mean effective leverage, liquidations. Growth
        of the regime in which the account was ruined is the word "ruined".
    """
    count = result.end
    regimes = _regimes(result, market)[:count]
    floored = np.maximum(result.equity, EQUITY_FLOOR * result.equity[0])
    rows = regimes.assign(
        growth=np.diff(np.log(floored))[:count],
        leverage=result.interval_leverage,
        liquidations=result.steps.liquidations[:count],
        years=[years_between(a, b) for a, b in zip(result.time[:count], result.time[1:], strict=False)],
    )
    groups = rows.groupby(["volatility", "trend", "funding"], sort=False)
    span = rows["years"].sum()
    table = pd.DataFrame(
        {
            "time": groups["years"].sum() / span,
            "growth": groups["growth"].sum() / groups["years"].sum(),
            "contribution": groups["growth"].sum() / span,
            "effective_leverage": groups["leverage"].mean(),
            "liquidations": groups["liquidations"].sum(),
        }
    )
    if result.ruined:
        table = table.astype({"growth": object, "contribution": object})
        table.loc[tuple(regimes.iloc[-1]), ["growth", "contribution"]] = RUINED
    return table.sort_index()


def _regimes(result: BacktestResult, market: MarketData) -> pd.DataFrame:
    table = FeatureSet([VOLATILITY, TREND, FUNDING]).compute(market)
    rows = np.searchsorted(table.close_time, result.time[:-1])
    level, trend, carry = (table.column(name)[rows].mean(axis=1) for name in (VOLATILITY, TREND, FUNDING))
    tercile = np.searchsorted(np.nanquantile(level, [1 / 3, 2 / 3]), level)
    return pd.DataFrame(
        {
            "volatility": pd.Categorical(np.take(TERCILES, tercile), TERCILES, ordered=True),
            "trend": np.where(trend > 0.0, "up", "down"),
            "funding": np.where(carry > 0.0, "longs pay", "shorts pay"),
        }
    )


_PANELS = (
    "equity [quote]",
    "drawdown",
    "effective\nleverage [x]",
    "distance to\nliquidation",
    "funding paid\n(of equity, summed)",
)
_LONGEST = 40  # trades shown; the ledger has all
_SIZING = (
    "Leverage and sizing: a target leverage is times the margin share of equity; what unrealised profit does in an "
    "isolated position is explained in docs/sizing.md."
)
_TRADE_FORMATS = {
    "opened": "{:%Y-%m-%d %H:%M}", "closed": "{:%Y-%m-%d %H:%M}", "leverage": "{:.2f}", "price_pnl": "{:+,.0f}",
    "fees": "{:+,.1f}", "funding": "{:+,.1f}", "liquidation": "{:+,.0f}", "pnl": "{:+,.0f}", "return": "{:+.1%}",
}  # fmt: skip


def html_report(
    result: BacktestResult,
    path: str | Path,
    *,
    others: Sequence[BacktestResult] = (),
    sections: dict[str, pd.DataFrame] | None = None,
    title: str | None = None,
) -> Path:
    """Write a self-contained HTML report.

    Parameters
    ----------
    result : BacktestResult
    path : path
    others : sequence of BacktestResult
        Also in the table and the equity panel, for example matched fixed leverage.
    sections : mapping of heading to DataFrame, optional
        More tables: stress grid, counterfactuals, capacity, regimes.
    title : str, optional
    """
    played = trades(result)
    tables = {
        "Result": printed(comparison([result, *others])), **(sections or {}), "Years": yearly(result),
        _trades_heading(played): _largest(played), "Risk controls": controls_table(result),
    }  # fmt: skip
    note = span_note(comparison([result, *others]))
    opening: list[Block] = [Paragraph(_verdict(result), strong=True), Paragraph(f"{result.span}.")]
    parts = [Section(heading, [Table(table)]) for heading, table in tables.items() if not table.empty]
    figure = Picture(
        png(page(result, others)), "equity, drawdown, leverage, distance to liquidation, funding"
    )
    parts[0] = Section(parts[0].heading, [*parts[0].blocks, figure])
    parts += [
        Section("What was played", [Facts(result.facts), Paragraph(_SIZING)]),
        Section("Settings", [Facts(_settings(result))]),
        Section("Data", [Bullets(result.notes)] if result.notes else []),
    ]
    name = title or f"{result.name} on {', '.join(result.slots)}"
    return Document(name, [*opening, *([Paragraph(note)] if note else [])], parts).write_html(path)


def _settings(result: BacktestResult) -> dict[str, Any]:
    """Settings of the account; venue and fee level stand among the facts, with what they mean."""
    hidden = {"controls", "venue", "fee_level"}
    return {
        name: value for name, value in vars(result.config).items() if name not in hidden and value is not None
    }


@figure_style
def page(result: BacktestResult, others: Sequence[BacktestResult] = ()) -> Any:
    """Equity, drawdown, leverage, distance to liquidation and funding paid over time (matplotlib figure)."""
    figure = new_figure(WIDTH, 10.5)
    axes = figure.subplots(5, 1, sharex=True, height_ratios=[3, 1.5, 1.5, 1.5, 1.5])
    end = result.end
    step = result.time[1 : end + 1]
    for k, one in enumerate((result, *others)):
        lived = one.path.time <= one.time[one.end]
        axes[0].plot(
            one.path.time[lived],
            one.path.equity[lived],
            color=colour(k),
            lw=1.3,
            label=span_label(one, (result, *others)),
        )
    axes[0].set_yscale("log")
    mark_liquidations(axes[0], result, BAD, "liquidation" if len(result.liquidation_times) else None)
    axes[0].legend(ncols=2)
    axes[1].fill_between(*_drawdown(result), 0.0, color=BAD, alpha=0.45, lw=0)
    for slot, name in enumerate(result.slots):
        lived = result.path.time <= result.time[end]
        axes[2].plot(result.path.time[lived][1:], result.path.leverage[lived][1:, slot], lw=0.9, label=name)
        if result.distance is not None:
            # Without a position: a gap, not a distance of 100 %.
            held = result.leverage[:end, slot] != 0.0
            axes[3].plot(step, np.where(held, result.distance[:end, slot], np.nan), lw=0.9)
    if len(result.slots) > 1:
        axes[2].legend(ncols=4)
    paid = -np.cumsum(result.steps.funding[:end] / result.steps.equity_before[:end])
    axes[4].plot(step, paid, color=colour(0), lw=1.2)
    for axis, label in zip(axes, _PANELS, strict=True):
        axis.set_ylabel(label)
    money_axis(axes[0])
    for axis in (axes[1], axes[3], axes[4]):
        percent(axis.yaxis)
    return figure


def _drawdown(result: BacktestResult) -> tuple[np.ndarray, np.ndarray]:
    """Moments, and the loss from the peak at each, at most zero.

    From the highest close of any bar so far to the lowest of each interval; of daily closes where decisions are more
    than a day apart, since the lowest close of a long interval may be long before its end.
    """
    end = result.end
    if (np.diff(result.time[: end + 1]) > DAY).any():
        lived = result.path.time <= result.time[end]
        equity = result.path.equity[lived]
        return result.path.time[lived], equity / np.maximum.accumulate(equity) - 1.0
    peak = np.maximum.accumulate(np.maximum(result.equity[0], result.steps.highest[:end]))
    return result.time[1 : end + 1], result.steps.lowest[:end] / peak - 1.0


def yearly(result: BacktestResult) -> pd.DataFrame:
    """Return, worst drawdown, mean leverage, liquidations, fees and funding of each calendar year, as shares of equity.

    Return and leverage are those of the daily closes; the rest is of the decision intervals that begin in the year.
    """
    years = result.time[: result.end].astype("datetime64[Y]")
    rows = []
    for year in np.unique(years):
        inside = np.flatnonzero(years == year)
        first, last = year.astype("datetime64[ms]"), (year + 1).astype("datetime64[ms]")
        start, end = _equity_by(result, first), _equity_by(result, last)
        steps: Any = result.steps[inside]
        rows.append(
            {
                "year": int(year.astype(int)) + 1970,
                "return": number_text("{:+.1%}", end / start - 1.0),
                "max drawdown": f"{result.drawdown(inside[0], inside[-1] + 1):.1%}",
                "eff. lev.": f"{result.leverage_between(first, last):.2f}",
                "liquidations": int(steps.liquidations.sum()),
                "fees": number_text("{:+.1%}", (steps.fees / steps.equity_before).sum()),
                "funding": number_text("{:+.1%}", (steps.funding / steps.equity_before).sum()),
            }
        )
    return pd.DataFrame(rows).set_index("year")


def _equity_by(result: BacktestResult, moment: np.datetime64) -> float:
    """Equity at the last decision or daily close up to a moment; the initial equity before the first."""
    place = int(np.searchsorted(result.path.time, moment, side="right")) - 1
    return float(result.path.equity[max(place, 0)])


def _verdict(result: BacktestResult) -> str:
    row = result.row
    if result.ruined:
        return f"The account was ruined at {result.time[result.end].astype('datetime64[m]')}."
    return (
        f"Log growth {number_text('{:+.3f}', row['log_growth'])} a year, largest drawdown {row['max_drawdown']:.0%}, "
        f"{row['liquidations']:.1f} liquidations a year, mean effective leverage {row['effective_leverage']:.2f}."
    )


def _largest(table: pd.DataFrame) -> pd.DataFrame:
    """The trades with the largest effect, in order of time, formatted."""
    shown = table
    if len(table) > _LONGEST:
        shown = table.loc[sorted(table["return"].abs().sort_values(ascending=False).index[:_LONGEST])]
    return shown.assign(
        **{name: [number_text(form, value) for value in shown[name]] for name, form in _TRADE_FORMATS.items()}
    )


def _trades_heading(table: pd.DataFrame) -> str:
    count = len(table)
    return "Trades" if count <= _LONGEST else f"The {_LONGEST} trades of {count} that moved equity most"


_OMITTED = ("5-95 %", "end equity")
_OF_SCENARIOS = {
    "change": ("change", "{:+.3f}"),
    **{heading: column for heading, column in PRINTED.items() if heading not in _OMITTED},
    "ruined": ("ruined", "{}"),
    "capped": ("capped", "{:.0f}"),
    "same sign": ("sign_holds", "{}"),
}
_OF_REGIMES = {
    "of the time": ("time", "{:.1%}"),
    "log growth/y in it": ("growth", "{:+.2f}"),
    "adds to log growth/y": ("contribution", "{:+.3f}"),
    "eff. lev.": ("effective_leverage", "{:.2f}"),
    "liquidations": ("liquidations", "{:.0f}"),
}
_SCENARIOS = {
    "Counterfactuals: the same policy under laxer rules": counterfactuals,
    "Stress tests: costs, funding, latency, maintenance": stress_grid,
    "Capacity: initial equity under tiers and square-root impact": capacity,
}


def trader_sections(
    policy: Policy, market: MarketData, features: FeatureTable, result: BacktestResult
) -> dict[str, pd.DataFrame]:
    """Tables under their headings, as text: growth by regime, counterfactuals, stress, capacity.

    Parameters
    ----------
    policy, market, features
        The inputs of ``result``; its settings are used, one changed at a time.
    result : BacktestResult
    """
    settings: Any = vars(result.config)
    regimes = printed(growth_by_regime(result, market), _OF_REGIMES)
    scenarios = {
        heading: printed(play(policy, market, features, **settings), _OF_SCENARIOS)
        for heading, play in _SCENARIOS.items()
    }
    return {"Growth by regime: volatility, trend and the sign of funding": regimes, **scenarios}
