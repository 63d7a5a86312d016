"""Answers of `gearing safest-leverage` as a table, a figure and records."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gearing.drawing import WIDTH, band, colour, figure_style, legend_below, new_figure, plain_log
from gearing.evaluation.risk.safest_leverage import Promiser, SafestLeverage
from gearing.forecasters.excursion_law.law import check_budget
from gearing.market.data import MarketData
from gearing.market.history.layout import contract_names
from gearing.market.history.load import load_market
from gearing.market.timing import stamp


def budgets_of(texts: Iterable[str]) -> list[float]:
    """Probabilities written as 5% or 0.05, ascending.

    Raises
    ------
    ValueError
        For what is no number, or a probability that the law does not state.
    """
    found = []
    for text in texts:
        try:
            value = float(text.strip().removesuffix("%")) / (100.0 if text.strip().endswith("%") else 1.0)
        except ValueError:
            raise ValueError(f"--budget {text} is not a probability; write it as 5% or 0.05.") from None
        check_budget(value)
        found.append(value)
    return sorted(set(found))


def open_contracts(
    folder: str | os.PathLike[str] | None,
    venue: str,
    bar: str,
    symbols: Sequence[str],
    pool: Sequence[str] | None,
) -> tuple[dict[str, MarketData], list[str]]:
    """Markets by symbol, and the contracts of the pool: all of the folder where none are named.

    Prices are marks where they were published, else traded prices; tiers older than the oldest known are those.
    """
    others = list(contract_names(folder, venue)) if pool is None else list(pool)
    markets = {
        symbol: load_market(
            folder, [symbol], bar=bar, venue=venue, missing_mark="last", missing_funding="zero",
            missing_tiers="earliest",
        )
        for symbol in dict.fromkeys([*symbols, *others])
    }  # fmt: skip
    return markets, others


def leverage_table(found: Sequence[SafestLeverage]) -> pd.DataFrame:
    """Leverage with its interval as text by contract, side and horizon (rows) and budget (columns)."""
    rows = [
        {
            "contract": one.contract, "side": one.direction, "within": one.horizon,
            f"{100.0 * one.max_probability:g} %": "refused" if one.refused else
            f"{one.leverage:.2f}x [{one.low:.2f}, {one.high:.2f}]",
        }
        for one in found
    ]  # fmt: skip
    keys = ["contract", "side", "within"]
    return pd.DataFrame(rows).groupby(keys, sort=False).first()


def came_row(one: SafestLeverage) -> dict[str, Any]:
    """What a promise came to so far; fields as in `check_rows`."""
    came = one.realised
    return {
        "contract": one.contract, "event": one.event, "side": one.direction, "horizon": one.horizon,
        "promised": one.max_probability, "realised": came.frequency, "low": came.low, "high": came.high, "n": came.n,
        "independent": came.independent, "mean_leverage": one.mean_leverage, "refused": one.refused,
    }  # fmt: skip


def check_rows(
    made: Promiser, split: Any, event: str, found: Sequence[SafestLeverage]
) -> list[dict[str, Any]]:
    """Promised against realised after a moment, for each answer; the law is the one of that moment."""
    moment = stamp(split, "--check")
    rows = []
    for one in found:
        row: dict[str, Any] = {
            "contract": one.contract, "event": event, "side": one.direction, "horizon": one.horizon,
            "promised": one.max_probability, "realised": None, "low": None, "high": None, "n": 0, "independent": 0,
            "mean_leverage": None, "refused": one.refused,
        }  # fmt: skip
        if one.refused is None:
            checked = made.checked(moment, event, one.horizon, one.max_probability, one.direction)
            came = checked.realised
            row |= {
                "realised": came.frequency, "low": came.low, "high": came.high, "n": came.n,
                "independent": came.independent, "mean_leverage": checked.leverage,
            }  # fmt: skip
        rows.append(row)
    return rows


def record(one: SafestLeverage) -> dict[str, Any]:
    """An answer as plain values, with what was realised so far."""
    came = one.realised
    return {
        "contract": one.contract, "event": one.event, "side": one.direction, "horizon": one.horizon,
        "budget": one.max_probability, "at": str(one.at), "leverage": one.leverage, "low": one.low, "high": one.high,
        "maintenance": one.maintenance, "realised": came.frequency, "realised_low": came.low,
        "realised_high": came.high, "n": came.n, "independent": came.independent, "pool": list(one.pool),
        "pool_events": one.independent, "refused": one.refused, "warnings": list(one.warnings),
    }  # fmt: skip


@figure_style
def promise_figure(found: Sequence[SafestLeverage]) -> Any:
    """Leverage by budget with intervals, a panel per contract and side, a line per horizon (matplotlib figure)."""
    panels = list(dict.fromkeys((one.contract, one.direction) for one in found))
    figure = new_figure(WIDTH, 0.4 + 3.2 * ((len(panels) + 1) // 2))
    axes = figure.subplots((len(panels) + 1) // 2, min(len(panels), 2), squeeze=False).ravel()
    for axis, (contract, side) in zip(axes, panels, strict=False):
        mine = [
            one for one in found if (one.contract, one.direction) == (contract, side) and one.refused is None
        ]
        for k, horizon in enumerate(dict.fromkeys(one.horizon for one in mine)):
            line = [one for one in mine if one.horizon == horizon]
            x = [one.max_probability for one in line]
            axis.plot(x, [one.leverage for one in line], "o-", color=colour(k), label=f"within {horizon}")
            band(axis, x, [one.low for one in line], [one.high for one in line], k)
        axis.set(xscale="log", yscale="log", title=f"{contract}, {side}", xlabel="largest probability")
        axis.set_ylabel("safest leverage [x]")
        plain_log(axis.yaxis)
        budgets = sorted({one.max_probability for one in mine})
        axis.minorticks_off()
        axis.set_xticks(budgets, [f"{budget:.3g} %" for budget in 100.0 * np.array(budgets)])
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    legend_below(figure)
    return figure
