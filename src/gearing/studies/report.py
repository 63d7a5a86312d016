"""The report of an experiment: what was found, what was played, on which data, under which fees, by which code."""

from typing import Any

import pandas as pd

from gearing.evaluation.backtesting import facts_of, version_text
from gearing.evaluation.reports.tables import number_text
from gearing.simulation.config import SimulationConfig
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
    parts += ["## What was played", "\n".join(_played(config))] if _played(config) else []
    parts.append("## Data")
    for name, market in findings.markets.items():
        facts = facts_of(market, _account(config))
        lines = [f"{fact}: {facts[fact]}" for fact in ("venue", "fees", "fingerprint")]
        parts.append(
            "\n".join([f"* {name}: {market!r}", *(f"    * {line}" for line in (*lines, *market.notes))])
        )
    parts.append(f"Made by {version_text()}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _account(config: Any) -> SimulationConfig:
    """Settings of the exchange, where the experiment has any."""
    exchange = getattr(config, "exchange", None)
    return SimulationConfig(**({} if exchange is None else exchange.settings))


def _played(config: Any) -> list[str]:
    """Rules with all their parameters, and agents with what they change of their algorithm's."""
    rules, agents = getattr(config, "rules", {}), getattr(config, "agents", {})
    lines = [f"* {name}: `{rule.make()!r}`" for name, rule in rules.items()]
    for name, agent in agents.items():
        given = agent.model_dump(mode="json", exclude_defaults=True)
        lines.append(f"* {name}: `{given}`")
    return lines


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
        return number_text("{:.4g}", value)
    return str(value)


def _markdown(table: pd.DataFrame) -> str:
    flat = table.reset_index()
    rows = [list(map(str, flat.columns)), ["---"] * flat.shape[1], *flat.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)
