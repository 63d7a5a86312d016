"""The one style of all figures; matplotlib without a display and without global state."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np

_SPINES = ("top", "right")
_DOTS_PER_INCH = 110


def new_figure(width: float, height: float) -> Any:
    """An empty figure that writes PNG and SVG without a display; sizes in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Any) -> bytes:
    """A figure in the project's style as a PNG file."""
    buffer = BytesIO()
    styled(figure).savefig(buffer, format="png", dpi=_DOTS_PER_INCH)
    return buffer.getvalue()


def styled(figure: Any) -> Any:
    """The figure with grids behind the data, and without the frame's upper and right edges."""
    for axis in figure.axes:
        axis.set_axisbelow(True)
        for name in _SPINES:
            if name in axis.spines:
                axis.spines[name].set_visible(False)
    return figure


def colour(k: int) -> str:
    """Colour of the k-th policy, the same in all figures."""
    return f"C{k % 10}"


def line(k: int, learned: bool) -> dict[str, Any]:
    """Colour and dashes of the k-th policy's line: what was learned is solid, a rule is dashed."""
    dashes = "-" if learned else "--"
    return {
        "color": colour(k),
        "ls": dashes if k < 10 else "-." if learned else ":",
        "lw": 1.6 if learned else 1.2,
    }


def band(axis: Any, x: Any, low: Any, high: Any, k: int) -> None:
    """The interval of the k-th policy's line; nothing where there is none."""
    low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    if np.isfinite(low).any():
        axis.fill_between(x, low, high, color=colour(k), alpha=0.18, lw=0)


def intervals(axis: Any, names: Sequence[str], middle: Any, low: Any, high: Any, xlabel: str) -> None:
    """A row for each name, the first on top: a dot, and its interval as a bar where there is one."""
    middle, low, high = (np.asarray(values, dtype=float) for values in (middle, low, high))
    rows = np.arange(len(names))[::-1]
    for k, row in enumerate(rows):
        if np.isfinite(low[k]):
            axis.plot([low[k], high[k]], [row, row], color=colour(k), lw=7, alpha=0.3, solid_capstyle="butt")
        axis.plot(middle[k], row, "o", color=colour(k), ms=5)
    axis.set_yticks(rows, names)
    axis.set_ylim(-0.6, len(names) - 0.4)
    axis.set_xlabel(xlabel)
    axis.grid(alpha=0.3, axis="x")
