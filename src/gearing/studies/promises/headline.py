"""Promises of liquidation in one table and one figure: what was promised, what came, and the leverage it allowed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gearing.drawing import REFERENCE, WIDTH, colour, figure_style, legend_below, new_figure
from gearing.policies.rules.excursion_budget import leverage_of_size
from gearing.studies.experiment import Headline
from gearing.studies.promises.config import MAIN, PromisesConfig
from gearing.studies.promises.distances import distance_column

_LEAST = 1e-3  # of the figure's axes
_DRAWN = 0.05  # budget whose leverage is drawn through time, or the nearest to it
_COLUMNS = ["realised", "low", "high", "independent", "n", "mean_leverage", "refused"]


def headline(config: PromisesConfig, shown: pd.DataFrame, main: pd.DataFrame) -> Headline:
    """Table of the law's promises to longs: realised frequencies with intervals, and the mean leverage.

    Parameters
    ----------
    shown : DataFrame
        Promises of liquidation of all contracts together, of `gearing.studies.promises.tables.promise_table`.
    main : DataFrame
        What the law stated every day, of `gearing.studies.promises.distances.stated`.
    """
    rows = shown[(shown.rule == MAIN) & (shown.side == "long")]
    table = rows.set_index(["horizon", "budget"])[_COLUMNS]
    return Headline(table, _printed(rows), _figure(config, rows, main), _sentence(rows))


def _printed(rows: pd.DataFrame) -> pd.DataFrame:
    """The table as texts."""
    texts = [
        {
            "within": row.horizon,
            "promised": f"{row.budget:.3g}",
            "came": "-" if _refused(row) else f"{row.realised:.3f}",
            "95 % interval": "-" if _refused(row) else f"[{row.low:.3f}, {row.high:.3f}]",
            "independent events": f"{row.independent}",
            "mean leverage": "-" if _refused(row) else f"{row.mean_leverage:.2f}x",
        }
        for row in rows.itertuples()
    ]
    return pd.DataFrame(texts).set_index("within")


def _sentence(rows: pd.DataFrame) -> str:
    """What a promise of about five percent within a week allowed, and what came of it."""
    made = rows[rows.refused.isna()]
    if made.empty:
        return "No promise is made."
    near = made[made.horizon == "7d"] if (made.horizon == "7d").any() else made
    row = near.loc[(near.budget - _DRAWN).abs().idxmin()]
    return (
        f"Liquidation of longs within {row.horizon} was promised below {row.budget:.0%}, which allowed "
        f"{row.mean_leverage:.1f}x on average; it came after {row.realised:.1%} [{row.low:.1%}, {row.high:.1%}] of "
        f"{row.n:,} daily starts ({row.independent} independent events)."
    )


def _refused(row: Any) -> bool:
    return isinstance(row.refused, str)


@figure_style
def _figure(config: PromisesConfig, rows: pd.DataFrame, main: pd.DataFrame) -> Any:
    figure = new_figure(WIDTH, 3.8)
    left, right = figure.subplots(1, 2, width_ratios=[1.0, 1.3])
    _calibration(left, rows[rows.refused.isna()], config.horizons)
    _leverage(right, config, main)
    legend_below(figure)
    return figure


def _calibration(axis: Any, rows: pd.DataFrame, horizons: list[str]) -> None:
    """Promised against realised probability with intervals."""
    axis.plot([_LEAST, 1.0], [_LEAST, 1.0], **REFERENCE, ls="--", label="as promised")
    for k, horizon in enumerate(horizons):
        part = rows[rows.horizon == horizon]
        x = part.budget.to_numpy(float) * 1.16 ** (k - 1)  # next to each other
        y, low, high = (part[name].to_numpy(float).clip(_LEAST) for name in ("realised", "low", "high"))
        reach = [y - np.minimum(low, y), np.maximum(high, y) - y]
        axis.errorbar(x, y, reach, color=colour(k), fmt="o", ms=4.5, lw=1.4, label=f"within {horizon}")
    axis.set(xscale="log", yscale="log", xlabel="promised probability of liquidation", xlim=(0.004, 0.6))
    axis.set_ylim(_LEAST, 0.8)
    axis.set_ylabel("how often it came, 95 % interval")
    for way in (axis.xaxis, axis.yaxis):
        way.set_major_formatter(lambda value, _: f"{100.0 * value:g} %")


def _leverage(axis: Any, config: PromisesConfig, main: pd.DataFrame) -> None:
    """Leverage that the law allowed to longs of the first contract, day by day."""
    contract = next(iter(main.contract))
    budget = min(config.budgets, key=lambda one: abs(one - _DRAWN))
    for k, horizon in enumerate(config.horizons):
        if horizon == "1d" and len(config.horizons) > 1:
            continue  # moves so much from day to day that it hides the others
        part = main[(main.contract == contract) & (main.horizon == horizon) & (main.side == 1)]
        size = -np.expm1(-part[distance_column(budget)].to_numpy(float))
        leverage = leverage_of_size(size, 1, "liquidation", 1.0, 0.005)
        axis.plot(part.day, leverage, color=colour(k), lw=1.0, label=f"within {horizon}")
    axis.set_ylim(0.0)
    axis.set_ylabel("leverage [x of equity]")
    axis.set_title(f"{contract}: keeps liquidation of a long below {budget:.0%}")
