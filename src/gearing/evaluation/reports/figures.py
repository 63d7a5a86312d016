"""Figures of results; matplotlib, no global state."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gearing.drawing import WIDTH, colour, figure_style, legend_below, new_figure, over_seeds


@figure_style
def equity_figure(
    results: Sequence[Any], title: str = "", groups: Mapping[str, Sequence[Any]] | None = None
) -> Any:
    """Equity (log), effective leverage and mark price over time, one line per BacktestResult.

    A liquidation is a dot on the equity line; a ruined account's line ends in a cross.

    Parameters
    ----------
    results : sequence of BacktestResult
    title : str
    groups : mapping of name to sequence of BacktestResult, optional
        Results of one policy with several seeds: the median, and a band from the lowest to the highest.
    """
    lines: dict[str, Sequence[Any]] = {span_label(one, results): [one] for one in results} | dict(
        groups or {}
    )
    every = [one for many in lines.values() for one in many]
    figure = new_figure(WIDTH, 7.0)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=[3, 2, 1.5])
    draw_equity(top, lines)
    for k, (name, many) in enumerate(lines.items()):
        _draw(middle, k, name, [_lived(one, "leverage") for one in many], 0.9)
    # The path that lived longest shows the price of the whole period.
    longest = max(every, key=lambda result: result.end)
    bottom.plot(longest.time[1 : longest.end + 1], longest.mark[: longest.end, 0], color="0.35", lw=1.0)
    top.set_ylabel("equity [quote]")
    middle.set_ylabel("effective\nleverage [x]")
    bottom.set_ylabel(f"mark price\n{longest.slots[0]}")
    legend_below(figure, 3)
    figure.suptitle(title or "Equity (dot: liquidation, cross: ruined), effective leverage, mark price")
    return figure


def draw_equity(axis: Any, lines: Mapping[str, Sequence[Any]]) -> None:
    """Equity over time on a logarithmic axis, a line per name; of several results the median and a band."""
    for k, (name, many) in enumerate(lines.items()):
        _draw(axis, k, name, [_lived(one, "equity") for one in many], 1.2)
    axis.set_yscale("log")
    _mark_ends(axis, lines)
    money_axis(axis)


def _lived(result: Any, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Moments and values of an account's path until its end: equity, or gross leverage at the ends of intervals."""
    path = result.path
    lived = path.time <= result.time[result.end]
    if what == "equity":
        return path.time[lived], path.equity[lived]
    return path.time[lived][1:], np.abs(path.leverage).sum(axis=1)[lived][1:]


def _draw(axis: Any, k: int, name: str, paths: Sequence[tuple[np.ndarray, np.ndarray]], width: float) -> None:
    """A line; of several paths their median, and a band from the lowest to the highest."""
    times = np.unique(np.concatenate([time for time, _ in paths]))
    table = np.full((len(paths), times.size), np.nan)
    for row, (time, values) in zip(table, paths, strict=True):
        row[np.searchsorted(times, time)] = values
    over_seeds(axis, times, table, k, lw=width, label=name)


def _mark_ends(axis: Any, lines: Mapping[str, Sequence[Any]]) -> None:
    """A dot for every liquidation, a cross where an account was ruined."""
    for k, many in enumerate(lines.values()):
        for result in many:
            mark_liquidations(axis, result, colour(k))
            if result.ruined:
                last = [result.time[result.end]]
                _marked(axis, last, result.equity[[result.end]], "x", ms=9, mew=2, color=colour(k))


def money_axis(axis: Any) -> None:
    """Whole amounts on a logarithmic axis instead of powers of ten."""
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    low, high = axis.get_ylim()
    # Within a decade or so the ticks between powers need their names, too, but not so many that they overlap.
    named = "123456789" if high / low < 3.0 else "1235" if high / low < 30.0 else ""
    axis.yaxis.set_minor_formatter(lambda value, _: f"{value:,.0f}" if f"{value:e}"[0] in named else "")


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
