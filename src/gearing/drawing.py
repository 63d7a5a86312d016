"""The one style of all figures: colours, sizes and fonts that can be read at the 900 pixels of a README.

A function that draws has the decorator `figure_style`, takes its figure from `new_figure`, its colours from `colour`,
`GOOD`, `BAD` and `NEUTRAL`, and names every mark in a legend. matplotlib is imported when a figure is drawn, needs no
display, and its global settings are as before afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from io import BytesIO
from typing import Any, ParamSpec

import numpy as np

Given = ParamSpec("Given")

WIDTH = 8.2  # inches of every figure: a point is 1.5 pixels where it is shown 900 pixels wide
DOTS_PER_INCH = 140
SMALL = 8.5  # points: the smallest text, 13 of these pixels

# Distinct for the colour-blind as well (the first six are those of Okabe and Ito); the k-th is the k-th policy's.
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b", "#6a3d9a", "#7f7f7f", "#a6a61e",
)  # fmt: skip
GOOD, BAD, NEUTRAL = "#009e73", "#b2182b", "#8a8f98"
REFERENCE = {"color": "0.45", "lw": 1.0}  # a line at zero, a diagonal, a budget

STYLE: dict[str, Any] = {
    "font.size": 10.0, "figure.titlesize": 11.5, "figure.labelsize": 10.0, "axes.titlesize": 10.5,
    "axes.labelsize": 10.0,
    "xtick.labelsize": 9.0, "ytick.labelsize": 9.0, "legend.fontsize": 9.0, "legend.title_fontsize": 9.0,
    "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "0.5",
    "axes.grid": True, "axes.axisbelow": True, "grid.color": "0.88", "grid.linewidth": 0.7,
    "xtick.color": "0.5", "ytick.color": "0.5", "xtick.labelcolor": "0.15", "ytick.labelcolor": "0.15",
    "axes.prop_cycle": f"cycler('color', {list(COLOURS)})", "lines.linewidth": 1.5, "lines.markersize": 4.5,
    "legend.frameon": False, "date.converter": "concise", "figure.facecolor": "white", "axes.facecolor": "white",
}  # fmt: skip


def figure_style(draw: Callable[Given, Any]) -> Callable[Given, Any]:
    """Draw what the function draws in the style of all figures; matplotlib's own settings stay as they are."""

    @wraps(draw)
    def styled(*args: Given.args, **kwargs: Given.kwargs) -> Any:
        from matplotlib import rc_context

        with rc_context(STYLE):
            figure = draw(*args, **kwargs)
            for (
                axes
            ) in figure.axes:  # matplotlib makes ticks when they are first needed, with the settings of then
                for axis in (axes.xaxis, axes.yaxis):
                    axis.get_major_ticks(1)
                    axis.get_minor_ticks(1)
        return figure

    return styled


def new_figure(width: float, height: float) -> Any:
    """An empty figure that writes PNG and SVG without a display; sizes in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Any) -> bytes:
    """A figure as a PNG file."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return buffer.getvalue()


def colour(k: int) -> str:
    """Colour of the k-th policy, the same in all figures."""
    return COLOURS[k % len(COLOURS)]


def line(k: int, learned: bool) -> dict[str, Any]:
    """Colour and dashes of the k-th policy's line: what was learned is solid, a rule is dashed."""
    dashes = "-" if learned else "--"
    return {
        "color": colour(k),
        "ls": dashes if k < len(COLOURS) else "-." if learned else ":",
        "lw": 1.8 if learned else 1.4,
    }


def band(axis: Any, x: Any, low: Any, high: Any, k: int) -> None:
    """The interval of the k-th policy's line; nothing where there is none."""
    low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    if np.isfinite(low).any():
        axis.fill_between(x, low, high, color=colour(k), alpha=0.18, lw=0)


def over_seeds(axis: Any, x: Any, table: np.ndarray, k: int, **style: Any) -> None:
    """The k-th policy with several seeds: their median, and a band from the lowest to the highest.

    Parameters
    ----------
    table : array, shape (n_seeds, len(x))
        NaN where a seed has no value; a column without any is a gap.
    """
    known = np.isfinite(table).any(axis=0)
    middle, low, high = (np.full(len(known), np.nan) for _ in range(3))
    some = table[:, known]
    middle[known], low[known], high[known] = np.nanmedian(some, 0), np.nanmin(some, 0), np.nanmax(some, 0)
    axis.plot(x, middle, **({"color": colour(k)} | style))
    if len(table) > 1:
        band(axis, x, low, high, k)


def intervals(
    axis: Any, names: Sequence[str], middle: Any, low: Any, high: Any, xlabel: str,
    numbers: Sequence[int] | None = None,
) -> None:  # fmt: skip
    """A row for each name, the first on top: a dot, and its interval as a bar where there is one.

    ``numbers`` are those of the policies, which give the colours; by default 0, 1, ...
    """
    middle, low, high = (np.asarray(values, dtype=float) for values in (middle, low, high))
    colours = [colour(k) for k in (range(len(names)) if numbers is None else numbers)]
    rows = np.arange(len(names))[::-1]
    for k, row in enumerate(rows):
        if np.isfinite(low[k]):
            axis.plot([low[k], high[k]], [row, row], color=colours[k], lw=7, alpha=0.3, solid_capstyle="butt")
        axis.plot(middle[k], row, "o", color=colours[k], ms=5)
    axis.set_yticks(rows, names)
    axis.set_ylim(-0.6, len(names) - 0.4)
    axis.set_xlabel(xlabel)
    axis.grid(visible=False, axis="y")


def percent(axis: Any) -> None:
    """Label an axis (``axes.xaxis``, ``axes.yaxis``) in per cent."""
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1.0))


def legend_below(figure: Any, columns: int = 4, **style: Any) -> None:
    """One legend under all panels: every name once, with the mark it has where it comes first."""
    marks: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            marks.setdefault(name, handle)
    if marks:
        given = {"loc": "outside lower center", "ncols": min(columns, len(marks))} | style
        figure.legend(list(marks.values()), list(marks), **given)


def plain_log(axis: Any) -> None:
    """Ticks of a logarithmic axis at 1, 2 and 5 of each power of ten, as plain numbers."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:g}")


def short_numbers(axis: Any) -> None:
    """Label an axis of large numbers as 50k and 1.5M."""

    def text(value: float, _: int) -> str:
        size = abs(value)
        return f"{value / 1e6:g}M" if size >= 1e6 else f"{value / 1e3:g}k" if size >= 1e3 else f"{value:g}"

    axis.set_major_formatter(text)
