"""Figures of an experiment on promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gearing.drawing import REFERENCE, SMALL, WIDTH, colour, figure_style, legend_below, new_figure, percent
from gearing.forecasters.scoring.event_scores import reliability
from gearing.market.timing import parse_duration
from gearing.policies.rules.excursion_budget import leverage_of_size
from gearing.studies.promises.config import EVENTS, MAIN, PromisesConfig
from gearing.studies.promises.distances import distance_column, log_sizes, touch_column
from gearing.studies.promises.tables import POOLED, SIDE_NAMES, sides_of

_SMALLEST = 2e-4  # of the logarithmic axes
_LINES = 4  # contracts whose leverage is drawn, those with the most starts


@figure_style
def budget_figure(promises: pd.DataFrame, rules: Sequence[str]) -> Any:
    """Promised against realised probability of all contracts together, a panel per horizon."""
    rows = promises[(promises.contract == POOLED) & (promises.event == EVENTS[0]) & promises.refused.isna()]
    horizons = sorted(rows.horizon.unique(), key=parse_duration)
    figure = new_figure(WIDTH, 3.9)
    for panel, horizon in zip(figure.subplots(1, len(horizons), squeeze=False)[0], horizons, strict=True):
        panel.plot([_SMALLEST, 1.0], [_SMALLEST, 1.0], **REFERENCE, label="as promised")
        for k, rule in enumerate(rules):
            for side in sides_of(rows):
                part = rows[(rows.horizon == horizon) & (rows.rule == rule) & (rows.side == side)]
                x = part.budget.to_numpy(float) * (1.0 + 0.08 * k + (0.04 if side == "short" else 0.0))
                y, low, high = (part[c].to_numpy(float).clip(_SMALLEST) for c in ("realised", "low", "high"))
                style = {"color": colour(k), "marker": "o" if side == "long" else "v", "ls": ""}
                panel.errorbar(
                    x,
                    y,
                    [y - np.minimum(low, y), np.maximum(high, y) - y],
                    lw=1,
                    ms=4,
                    label=f"{rule}, {side}",
                    **style,
                )
        panel.set(
            xscale="log",
            yscale="log",
            xlim=(0.004, 0.6),
            ylim=(0.001, 0.7),
            title=f"within {horizon}",
            xlabel="promised probability",
        )
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter(lambda value, _: f"{100.0 * value:g} %")
    figure.axes[0].set_ylabel("realised, 95 % interval")
    legend_below(figure)
    return figure


@figure_style
def reliability_figure(config: PromisesConfig, main: pd.DataFrame) -> Any:
    """Touch probabilities in deciles against what came, a panel per horizon; long solid, short dashed."""
    figure = new_figure(WIDTH, 4.2)
    for panel, horizon in zip(
        figure.subplots(1, len(config.horizons), squeeze=False)[0], config.horizons, strict=True
    ):
        panel.plot([0.0, 1.0], [0.0, 1.0], **REFERENCE)
        for k, size in enumerate(config.sizes_of(horizon)):
            for side, name in SIDE_NAMES.items():
                part = main[(main.horizon == horizon) & (main.side == side)]
                p = part[touch_column(k)].to_numpy(float)
                x = float(log_sizes(size)[0, 0 if side > 0 else 1, 0])
                y = (part.excursion.to_numpy(float) >= x).astype(float)
                if np.isfinite(p).sum() < 10:
                    continue
                table = reliability(y[np.isfinite(p)], p[np.isfinite(p)])
                style = {"ls": "-" if side > 0 else "--", "color": colour(k), "marker": ".", "lw": 1}
                panel.plot(table.forecast, table.observed, label=f"{size:.0%}, {name}", **style)
        panel.set(title=f"a move of ... within {horizon}", xlabel="stated probability")
        percent(panel.xaxis)
        percent(panel.yaxis)
        if panel.get_legend_handles_labels()[0]:  # a size that too few starts have is not drawn
            panel.legend(fontsize=SMALL, loc="upper left", handlelength=1.5, borderaxespad=0.2)
    figure.axes[0].set_ylabel("observed frequency")
    return figure


@figure_style
def leverage_figure(config: PromisesConfig, main: pd.DataFrame, promises: pd.DataFrame) -> Any:
    """Leverage of a budget of 5 % within a week (or the nearest) through time, and how the promise came out."""
    horizon = "7d" if "7d" in config.horizons else config.horizons[0]
    budget = min(config.budgets, key=lambda b: abs(b - 0.05))
    figure = new_figure(WIDTH, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    part = main[(main.horizon == horizon) & (main.side == 1)]
    longest = part.contract.value_counts(sort=True).index[:_LINES]
    for k, contract in enumerate(sorted(longest)):
        one = part[part.contract == contract]
        size = -np.expm1(-one[distance_column(budget)].to_numpy(float))
        left.plot(
            one.day,
            leverage_of_size(size, 1, "liquidation", 1.0, 0.005),
            color=colour(k),
            lw=1,
            label=contract,
        )
    left.set_title(f"Largest long leverage: liquidation\nwithin {horizon} in at most {budget:.0%}")
    left.set_ylabel("leverage [x]")
    rows = promises[
        (promises.rule == MAIN)
        & (promises.event == EVENTS[0])
        & (promises.horizon == horizon)
        & (promises.side == "long")
        & (promises.budget == budget)
        & (promises.n > 0)
    ]
    y = np.arange(len(rows))[::-1]
    right.axvline(budget, **REFERENCE, label="promised")
    right.hlines(
        y,
        rows.low.astype(float),
        rows.high.astype(float),
        color=[colour(1) if c == POOLED else colour(0) for c in rows.contract],
        lw=2,
    )
    right.plot(rows.realised.astype(float), y, "k.", ms=5, label="realised, 95 % interval")
    right.set_yticks(y, rows.contract, fontsize=SMALL if len(rows) < 15 else 6)
    right.set_title("Realised frequency")
    percent(right.xaxis)
    right.grid(visible=False, axis="y")
    legend_below(figure)
    return figure
