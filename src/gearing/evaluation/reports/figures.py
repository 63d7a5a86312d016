"""Figures of results; matplotlib, no global state."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gearing.evaluation.drawing import new_figure


def equity_figure(results: Sequence[Any], title: str = "") -> Any:
    """Equity (log), effective leverage and mark price over time, one line per BacktestResult.

    A liquidation is a dot on the equity line; a ruined account's line ends in a cross.
    """
    figure = new_figure(10, 8)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=[3, 2, 1.5])
    for k, result in enumerate(results):
        colour = f"C{k % 10}"
        end, path = result.end, result.path
        lived = path.time <= result.time[end]
        top.plot(
            path.time[lived], path.equity[lived], color=colour, lw=1.2, label=span_label(result, results)
        )
        gross = np.abs(path.leverage).sum(axis=1)
        middle.plot(path.time[lived][1:], gross[lived][1:], color=colour, lw=0.9)
    # The path that lived longest shows the price of the whole period.
    longest = max(results, key=lambda result: result.end)
    bottom.plot(longest.time[1 : longest.end + 1], longest.mark[: longest.end, 0], color="0.35", lw=0.9)
    top.set_yscale("log")
    for k, result in enumerate(results):
        mark_liquidations(top, result, f"C{k % 10}")
        if result.ruined:
            last = [result.time[result.end]]
            _marked(top, last, result.equity[[result.end]], "x", ms=9, mew=2, color=f"C{k % 10}")
    top.set_ylabel("equity")
    middle.set_ylabel("effective leverage")
    bottom.set_ylabel(f"mark {longest.slots[0]}")
    for axis in (top, middle, bottom):
        axis.grid(alpha=0.3)
    figure.legend(*top.get_legend_handles_labels(), fontsize=8, ncols=5, loc="outside lower center")
    figure.suptitle(title or "Equity (dot: liquidation, cross: ruined), effective leverage, mark price")
    return figure


def mark_liquidations(axis: Any, result: Any, color: str, label: str | None = None) -> None:
    """A dot at every liquidation; on a logarithmic axis that already has the lines of equity."""
    moments = result.liquidation_times
    _marked(axis, moments, equity_at(result, moments), "o", ms=3, color=color, label=label)


def _marked(axis: Any, moments: Any, equity: np.ndarray, marker: str, **style: Any) -> None:
    """Marks at an equity; where nothing is left, at the bottom of the axis, which has no zero."""
    low, high = axis.get_ylim()
    # A line without points that is not clipped counts as one at the corner of the figure when axes are laid out.
    axis.plot(moments, np.maximum(equity, low), marker, clip_on=len(moments) == 0, **style)
    axis.set_ylim(low, high)


def equity_at(result: Any, moments: np.ndarray) -> np.ndarray:
    """Equity at the first decision or daily close at or after each moment, where what happened then shows."""
    place = np.searchsorted(result.path.time, moments)
    return np.asarray(result.path.equity[np.minimum(place, result.path.equity.size - 1)])


def span_label(result: Any, results: Sequence[Any]) -> str:
    """Name of a result in a legend: whether it was ruined, and its first day where others begin on another."""
    said = ["ruined"] if result.ruined else []
    if len({one.time[0] for one in results}) > 1:
        said.append(f"from {result.time[0].astype('datetime64[D]')}")
    return f"{result.name} ({', '.join(said)})" if said else str(result.name)
