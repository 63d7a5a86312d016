"""The report of an experiment: question, result, tables, figures and data, in this order, as Markdown."""

from typing import Any

import pandas as pd

from gearing.studies.experiment import ExperimentConfig, Findings

REPORT = "report.md"
_LONGEST, _WIDEST = (
    60,
    14,
)  # rows and columns of a table that a report shows; larger ones are only in their file


def written_report(config: ExperimentConfig, findings: Findings) -> str:
    """The whole report."""
    parts = [f"# {config.name}", config.question, f"**{findings.line}**", *findings.notes]
    shown = shown_tables(findings)
    for name, table in findings.tables.items():
        parts.append(f"## {name}")
        in_file = f"{len(table)} rows in [{name}.csv]({name}.csv)."
        parts.append(_markdown(shown[name]) if name in shown else in_file)
    parts += [f"![{name}]({name}.png)" for name in findings.figures]
    parts.append("## Data")
    for market in findings.markets.values():
        parts.append("\n".join([f"* {market!r}", *(f"    * {note}" for note in market.notes)]))
    return "\n\n".join(part for part in parts if part) + "\n"


def shown_tables(findings: Findings) -> dict[str, pd.DataFrame]:
    """Tables small enough to be read, as text."""
    tables = {name: findings.printed.get(name, table) for name, table in findings.tables.items()}
    return {
        name: _as_texts(table)
        for name, table in tables.items()
        if name in findings.printed or (len(table) <= _LONGEST and table.shape[1] <= _WIDEST)
    }


def _as_texts(table: pd.DataFrame) -> pd.DataFrame:
    flat = table.reset_index().map(_as_text)
    return flat.set_index(list(flat.columns[: table.index.nlevels]))


def _as_text(value: Any) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.4g}"
    return str(value)


def _markdown(table: pd.DataFrame) -> str:
    flat = table.reset_index()
    rows = [list(map(str, flat.columns)), ["---"] * flat.shape[1], *flat.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)
