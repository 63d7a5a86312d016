"""Tables that compare policies, and numbers as text."""

import shutil
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import pandas as pd

from gearing.evaluation.result import BacktestResult

# Columns of the printed table: heading -> (name in BacktestResult.row, format).
PRINTED = {
    "eff. lev.": ("effective_leverage", "{:.2f}"),
    "5-95 %": ("leverage_range", "{}"),
    "log growth/y": ("log_growth", "{:+.3f}"),
    "Sharpe": ("sharpe", "{:.2f}"),
    "max DD": ("max_drawdown", "{:.1%}"),
    "liq./y": ("liquidations", "{:.1f}"),
    "fees/y": ("fees", "{:+.1%}"),
    "funding/y": ("funding", "{:+.1%}"),
    "end equity": ("end_equity", "{:,.0f}"),
}
SPAN = ("from", "to")


def comparison(results: Sequence[BacktestResult]) -> pd.DataFrame:
    """All numbers of several results, one row each, over the span that its row names: ``from``, ``to``."""
    return pd.concat([result.table for result in results])


def spans_differ(table: pd.DataFrame) -> bool:
    """Whether rows cover different spans of time, so that their numbers cannot be compared."""
    return all(name in table for name in SPAN) and len(table[list(SPAN)].drop_duplicates()) > 1


def span_note(table: pd.DataFrame) -> str:
    """What to say of a table whose rows cover different spans; empty where they cover the same."""
    if not spans_differ(table):
        return ""
    return (
        "The rows cover different spans, each its own from and to, and are not comparable: policies begin when all "
        f"columns that they read are known. Compare from one start: start={max(table['from'])}."
    )


def printed(table: pd.DataFrame, columns: dict[str, tuple[str, str]] = PRINTED) -> pd.DataFrame:
    """The printed columns as text; "ruined" stays a word. Spans are printed where they differ."""
    source = table.copy()
    if "leverage_p05" in source:
        source["leverage_range"] = [
            f"{low:.1f}-{high:.1f}"
            for low, high in zip(source["leverage_p05"], source["leverage_p95"], strict=True)
        ]
    if spans_differ(source):
        columns = {**{name: (name, "{}") for name in SPAN}, **columns}
    shown = {
        heading: [number_text(form, value) for value in source[name]]
        for heading, (name, form) in columns.items()
        if name in source
    }
    return pd.DataFrame(shown, index=source.index)


def controls_table(result: BacktestResult) -> pd.DataFrame:
    """`BacktestResult.control_report` as text: settings that are in use, moments of acts or "-"."""
    report = result.control_report
    moments = {
        name: [number_text("{:%Y-%m-%d %H:%M}", value) for value in report[name]]
        for name in ("first", "last")
    }
    names = [_control_text(control) for control in result.config.controls]
    return report.assign(**moments).set_axis(pd.Index(names, name="control", dtype=object))


def _control_text(control: Any) -> str:
    """A control with its parameters, those left out of use not named."""
    if not is_dataclass(control):
        return repr(control)
    used = {field.name: getattr(control, field.name) for field in fields(control) if field.repr}
    shown = ", ".join(f"{name}={value!r}" for name, value in used.items() if value is not None)
    return f"{type(control).__name__}({shown})"


def number_text(form: str, value: Any) -> str:
    """A number by a format: "-" for NaN, no sign of what rounds to zero, and a word unchanged."""
    if isinstance(value, str):
        return value
    if value != value:
        return "-"
    text = form.format(value)
    is_zero = "0" in text and not any(digit in text for digit in "123456789")
    return text.lstrip("+-") if is_zero else text


_GAP = "  "


def fitted(table: pd.DataFrame, width: int | None = None) -> str:
    """A table of texts as lines that fit the terminal, 80 columns where there is none.

    Headings are wrapped to the width of their column. Columns that do not fit follow in further blocks under the same
    row names. Where a cell is wider than that, each row is a paragraph.

    Parameters
    ----------
    width : int, optional
        In characters.
    """
    width = width or shutil.get_terminal_size().columns
    names = [_column(str(name or ""), cells, str.ljust) for name, cells in zip(*_levels(table), strict=True)]
    columns = [
        _column(str(name), table.iloc[:, k].tolist(), str.rjust) for k, name in enumerate(table.columns)
    ]
    left = sum(_width(column) + len(_GAP) for column in names) - len(_GAP)
    if left + len(_GAP) + max(map(_width, columns), default=0) > width:
        return _paragraphs(table, width)
    blocks: list[list[list[str]]] = [[]]
    for column in columns:
        if left + sum(_width(one) + len(_GAP) for one in [*blocks[-1], column]) > width:
            blocks.append([])
        blocks[-1].append(column)
    return "\n\n".join(_joined([*names, *block]) for block in blocks)


def _levels(table: pd.DataFrame) -> tuple[list[Any], list[list[Any]]]:
    """Names of the index levels and their cells; an outer name stands in the first of its rows only."""
    rows = [key if isinstance(key, tuple) else (key,) for key in table.index]
    last, before = table.index.nlevels - 1, [None, *rows[:-1]]
    cells = [
        [
            "" if k < last and other is not None and other[: k + 1] == row[: k + 1] else row[k]
            for row, other in zip(rows, before, strict=False)
        ]
        for k in range(last + 1)
    ]
    return list(table.index.names), cells


def _column(heading: str, cells: Sequence[Any], aligned: Callable[[str, int], str]) -> list[str]:
    """Lines of a column: its heading, wrapped where the cells are narrower, then a line for each cell."""
    plain = [number_text("{:.6g}", cell) if isinstance(cell, float) else str(cell) for cell in cells]
    texts = [" ".join(text.split()) for text in plain]
    wide = max(map(len, [*texts, *heading.split()]), default=0)
    lines = [*(textwrap.wrap(heading, wide, break_on_hyphens=False) if heading else []), *texts]
    return [aligned(line, wide) for line in lines]


def _width(column: Sequence[str]) -> int:
    return max(map(len, column), default=0)


def _joined(columns: Sequence[Sequence[str]]) -> str:
    """Columns next to each other; their headings end on the same line."""
    high = max(map(len, columns))
    filled = [[*[" " * _width(column)] * (high - len(column)), *column] for column in columns]
    return "\n".join(_GAP.join(line).rstrip() for line in zip(*filled, strict=True))


def _paragraphs(table: pd.DataFrame, width: int) -> str:
    """Every row under its name, column by column, in lines of at most so many characters."""
    parts = []
    for name, row in zip(table.index, table.to_numpy(), strict=True):
        lines = textwrap.wrap(", ".join(map(str, name)) if isinstance(name, tuple) else str(name), width)
        for column, value in zip(table.columns, row, strict=True):
            lines += textwrap.wrap(f"{column}: {value}", width, initial_indent="  ", subsequent_indent="    ")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
