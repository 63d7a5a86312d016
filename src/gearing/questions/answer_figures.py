"""Figures of the answers: each one question, drawn from the table that answers it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.reports.figures import new_figure
from gearing.features import parse_duration
from gearing.questions.advice_to_traders import FEW_DECIDED

if TYPE_CHECKING:
    import pandas as pd

_BAND = 0.18  # opacity of an interval
_LINE = ["contract", "event", "direction", "horizon"]


def risk_figure(risk: pd.DataFrame, arrangement: str | None = None) -> Any:
    """Probability by leverage, one panel per event and contract, one line per horizon; long solid, short dashed."""
    level = risk.index.get_level_values
    chosen: Any = risk.xs(arrangement or level("arrangement")[0], level="arrangement")
    events, contracts = (list(dict.fromkeys(level(name))) for name in ("event", "contract"))
    horizons = sorted(set(level("horizon")), key=parse_duration)
    figure = new_figure(4.2 * len(contracts), 3.4 * len(events))
    panels = figure.subplots(len(events), len(contracts), sharex=True, sharey=True, squeeze=False)
    for panel, (event, contract) in zip(
        panels.flat, [(e, c) for e in events for c in contracts], strict=True
    ):
        for k, horizon in enumerate(horizons):
            for direction, style in (("long", "-"), ("short", "--")):
                try:
                    line = chosen.xs((contract, event, direction, horizon), level=_LINE)
                except KeyError:
                    continue
                label = horizon if direction == "long" else None
                panel.plot(line.index, line.probability, style, color=f"C{k}", lw=1.4, label=label)
                if direction == "long":
                    panel.fill_between(line.index, line.low, line.high, color=f"C{k}", alpha=_BAND, lw=0)
        panel.set_title(f"{contract}: {'liquidated' if event == 'liquidation' else 'half the equity lost'}")
        panel.set_xscale("log")
        _percent(panel, 0.0, 1.0)
        ticks = sorted(set(chosen.index.get_level_values("leverage")))
        panel.set_xticks(ticks, [f"{x:g}x" for x in ticks])
        panel.minorticks_off()
    _legend(figure, panels.flat[0], "held for")
    figure.suptitle("Share of starts; long solid with 95 % interval, short dashed")
    return figure


def erosion_figure(held: pd.DataFrame, months: pd.DataFrame, title: str = "") -> Any:
    """What funding did to held positions by year, and how often a month of it was heavy."""
    figure = new_figure(12, 4.6)
    left, right = figure.subplots(1, 2)
    years = [y for y in dict.fromkeys(held.index.get_level_values("year")) if y != "all"]
    longs = held.loc["long"]
    leverages = list(dict.fromkeys(longs.index.get_level_values("leverage")))
    width = 0.8 / len(leverages)
    for k, leverage in enumerate(leverages):
        rows = longs.loc[leverage].reindex(years)
        at = np.arange(len(years)) + (k - 0.5 * (len(leverages) - 1)) * width
        spread = [rows.effect - rows.effect_low, rows.effect_high - rows.effect]
        left.bar(at, rows.effect, width, yerr=spread, error_kw={"lw": 0.8}, label=f"{leverage:g}x")
    left.set_xticks(np.arange(len(years)), years)
    left.axhline(0.0, color="0.3", lw=0.8)
    left.set_title(
        "Longs: result with less result without funding,\nparts of the margin, by year of the start"
    )
    left.legend(fontsize=8)
    left.grid(alpha=0.3, axis="y")
    for k, leverage in enumerate(dict.fromkeys(months.index.get_level_values("leverage"))):
        rows = months.loc[("long", leverage)]
        right.plot(rows.index, rows["share"], "o-", color=f"C{k}", label=f"{leverage:g}x")
        right.fill_between(rows.index, rows.low, rows.high, color=f"C{k}", alpha=_BAND, lw=0)
    right.set_title(
        "Longs: share of calendar months\nin which funding took more than this part of the margin"
    )
    right.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    _percent(right, 0.0, 1.0)
    right.legend(fontsize=8)
    figure.suptitle(title or "What funding takes")
    return figure


def dynamic_figure(cells: pd.DataFrame) -> Any:
    """Each rule's cells against the fixed twin of the same average leverage: liquidations saved, and growth."""
    moving = cells[cells.vs_same_leverage.notna()]
    rules = list(dict.fromkeys(moving.index.get_level_values("rule")))
    figure = new_figure(12, 0.42 * len(rules) + 2.2)
    panels = figure.subplots(1, 2, sharey=True)
    for panel, column, title in zip(
        panels,
        ("fewer_same_leverage", "vs_same_leverage"),
        (
            "Liquidations a year fewer than fixed leverage\nof the same average",
            "Log growth a year more than it",
        ),
        strict=True,
    ):
        for k, rule in enumerate(rules):
            rows = moving.xs(rule, level="rule")
            at = k + np.linspace(-0.3, 0.3, len(rows))
            low, high = rows[f"{column}_low"], rows[f"{column}_high"]
            sure = (low > 0.0) | (high < 0.0)
            for y, (_, row), certain in zip(at, rows.iterrows(), sure, strict=True):
                colour = "0.65" if not certain else ("C2" if row[column] > 0.0 else "C3")
                panel.plot([row[f"{column}_low"], row[f"{column}_high"]], [y, y], color=colour, lw=1.0)
                panel.plot(row[column], y, ".", color=colour, ms=5)
        panel.axvline(0.0, color="0.3", lw=0.8)
        panel.set_title(title)
        panel.grid(alpha=0.3, axis="x")
    panels[0].set_yticks(range(len(rules)), rules)
    panels[0].invert_yaxis()
    figure.suptitle(
        "One line per cell (contract and side), 95 % interval; green: surely better, red: surely worse"
    )
    return figure


def contagion_figure(rows: pd.DataFrame) -> Any:
    """Cross beside isolated margin: who dies, and what the difference in end equity is, by leverage."""
    books = list(dict.fromkeys(rows.index.get_level_values("book")))
    figure = new_figure(12, 3.4 * len(books))
    panels = figure.subplots(len(books), 3, squeeze=False)
    for (first, second, third), book in zip(panels, books, strict=True):
        part = rows.loc[book]
        for k, mode in enumerate(dict.fromkeys(part.index.get_level_values("mode"))):
            line = part.xs(mode, level="mode")
            first.plot(line.index, line.any_dead, "o-", color=f"C{k}", label=f"{mode}: any position")
            first.plot(line.index, line.all_dead, "s--", color=f"C{k}", label=f"{mode}: all of them")
            third.plot(line.index, line.p05, "o-", color=f"C{k}", label=f"{mode}: 5th percentile")
            third.plot(line.index, line["mean"], "s--", color=f"C{k}", label=f"{mode}: mean")
        cross = part.xs("cross", level="mode")
        for k, (name, label) in enumerate((("taken", "contagion: isolated margin would have kept it"),
                                           ("rescued", "rescue: isolated liquidations avoided"))):  # fmt: skip
            second.plot(cross.index, cross[name], "o-", color=f"C{k + 2}", label=label)
            low, high = cross[f"{name}_low"].astype(float), cross[f"{name}_high"].astype(float)
            second.fill_between(cross.index, low, high, color=f"C{k + 2}", alpha=_BAND, lw=0)
        first.set_title(f"{book}: liquidated")
        second.set_title("cross: share of liquidations")
        third.set_title("end equity over start")
        for panel in (first, second):
            _percent(panel, 0.0, 1.0)
        for panel in (first, second, third):
            panel.set_xlabel("leverage")
            panel.grid(alpha=0.3)
            panel.legend(fontsize=7)
    return figure


def ablation_figure(
    found: pd.DataFrame, names: Sequence[str] = ("fixed_3x", "fixed_5x", "volatility_weighted")
) -> Any:
    """Ruined cells and ratio of Sharpe ratios by variant; the reference's as lines."""
    reference, variants = found.iloc[0], found.iloc[1:]
    figure = new_figure(12, 0.36 * len(variants) + 2.0)
    left, right = figure.subplots(1, 2, sharey=True)
    at = np.arange(len(variants))
    for k, name in enumerate(names):
        column = f"ruined_{name}"
        left.plot(variants[column].astype(float), at + 0.12 * (k - 1), "o", color=f"C{k}", label=name)
        left.axvline(float(reference[column]) + 0.03 * (k - 1), color=f"C{k}", ls=":", lw=1.2)
    left.set_xlim(0, 9.3)
    left.set_title("Cells of nine ruined, all equity as margin\n(dotted: reference)")
    left.legend(fontsize=8, loc="lower left")
    low, high = variants.ratio_least.astype(float), variants.ratio_largest.astype(float)
    right.hlines(at, low, high, color="C0", lw=2.5)
    for name in ("ratio_least", "ratio_largest"):
        right.axvline(float(reference[name]), color="0.4", ls=":", lw=1.2)
    right.set_title("Sharpe of 3x/8x over fixed 10x,\nleast to largest cell, a tenth as margin")
    left.set_yticks(at, list(variants.index))
    left.invert_yaxis()
    for panel in (left, right):
        panel.grid(alpha=0.3, axis="x")
    return figure


def majority_figure(told: pd.DataFrame) -> Any:
    """Share of traders better off by moving their leverage, by rule and appetite, against one half."""
    rules = list(dict.fromkeys(told.index.get_level_values("rule")))
    appetites = list(dict.fromkeys(told.index.get_level_values("appetite")))
    figure = new_figure(10, 0.45 * len(rules) + 2.0)
    panel = figure.subplots()
    for k, appetite in enumerate(appetites):
        rows = told.xs(appetite, level="appetite")
        rows = rows[rows.tied <= FEW_DECIDED].reindex(rules)
        at = np.arange(len(rules)) + (k - 0.5 * (len(appetites) - 1)) * 0.18
        panel.hlines(at, rows.low, rows.high, color=f"C{k}", lw=1.2)
        shown = f"{appetite:g}x" if rows.better.notna().any() else None  # no entry for what has no point
        panel.plot(rows.better, at, "o", color=f"C{k}", ms=5, label=shown)
    panel.axvline(0.5, color="0.3", lw=0.8)
    panel.set_xlim(0.0, 1.0)
    panel.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    panel.set_yticks(range(len(rules)), rules)
    panel.invert_yaxis()
    panel.grid(alpha=0.3, axis="x")
    panel.legend(title="average leverage", fontsize=8)
    panel.set_title(
        "Share of traders who ended a year with more than by keeping the same average leverage\n"
        "(ties and pairs of ruined accounts left out, and rows of hardly anything else; 95 % interval)"
    )
    return figure


def _percent(panel: Any, low: float, high: float) -> None:
    panel.set_ylim(low, high)
    panel.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    panel.grid(alpha=0.3)


def _legend(figure: Any, panel: Any, title: str) -> None:
    figure.legend(
        *panel.get_legend_handles_labels(), title=title, ncols=6, fontsize=8, loc="outside lower center"
    )
