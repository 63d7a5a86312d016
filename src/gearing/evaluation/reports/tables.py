"""Tables that compare policies."""

from collections.abc import Sequence
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


def comparison(results: Sequence[BacktestResult]) -> pd.DataFrame:
    """All numbers of several results, one row each."""
    return pd.concat([result.table for result in results])


def printed(table: pd.DataFrame, columns: dict[str, tuple[str, str]] = PRINTED) -> pd.DataFrame:
    """The printed columns as text; "ruined" stays a word."""
    source = table.copy()
    if "leverage_p05" in source:
        source["leverage_range"] = [
            f"{low:.1f}-{high:.1f}"
            for low, high in zip(source["leverage_p05"], source["leverage_p95"], strict=True)
        ]
    shown = {
        heading: [_cell(value, form) for value in source[name]]
        for heading, (name, form) in columns.items()
        if name in source
    }
    return pd.DataFrame(shown, index=source.index)


def _cell(value: Any, form: str) -> str:
    if isinstance(value, str):
        return value
    return "-" if value != value else form.format(value)  # NaN is not printed
