"""Running an experiment of any kind but "study": its tables, figures and report written, kept and tracked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gearing.studies.experiment import ExperimentConfig, Findings, Work, kinds
from gearing.tracking import Tracker

if TYPE_CHECKING:
    import pandas as pd

REPORT = "report.md"
_LONGEST, _WIDEST = (
    60,
    14,
)  # rows and columns of a table that a report shows; larger ones are in their file only


@dataclass(frozen=True, eq=False)
class Experiment:
    """A finished experiment.

    Attributes
    ----------
    config : ExperimentConfig
    folder : Path
        Holds the experiment as it ran, ``report.md``, a CSV per table and a PNG per figure.
    findings : Findings
    figures : list of Path
    tracking : str or None
        The command that shows the run.
    """

    config: ExperimentConfig
    folder: Path
    findings: Findings
    figures: list[Path]
    tracking: str | None

    @property
    def leaderboard(self) -> pd.DataFrame:
        """The table to look at first."""
        return next(iter(self.findings.tables.values()))

    @property
    def summary(self) -> str:
        """What a person is told at the end."""
        parts = [f"{name}\n{shown.to_string()}" for name, shown in _shown(self.findings).items()]
        where = [f"report      {self.folder / REPORT}", f"results     {self.folder}"]
        where += [f"runs        {self.tracking}"] if self.tracking else []
        return "\n\n".join([*parts, "\n".join(where), self.findings.line])

    def as_dict(self) -> dict[str, Any]:
        """All tables, for JSON."""
        tables = {
            name: table.reset_index().to_dict("records") for name, table in self.findings.tables.items()
        }
        return {"folder": str(self.folder), "line": self.findings.line, **tables}


def run_experiment(config: ExperimentConfig, tell: Callable[[str], None]) -> Experiment:
    """Run an experiment, or what is missing of it, and write what it found."""
    config.folder.mkdir(parents=True, exist_ok=True)
    (config.folder / "experiment.yaml").write_text(config.to_yaml(), encoding="utf-8")
    tell(f"{config.name}: {config.question}" if config.question else config.name)
    _, run = kinds()[config.kind]
    work = Work(config.folder, tell)
    if not config.tracking.enabled:
        return _written(config, run(config, work), None)
    tracker = Tracker(config.tracking.uri, config.tracking.experiment)
    try:
        with tracker.run(config.name, key=config.key) as tracked:
            tracked.log_params(config.model_dump(mode="json", exclude={"question", "tracking", "output"}))
            done = _written(config, run(config, work), tracker.command)
            _track(tracked, done)
            return done
    finally:
        tracker.close()


def _written(config: ExperimentConfig, findings: Findings, tracking: str | None) -> Experiment:
    for name, table in findings.tables.items():
        table.to_csv(config.folder / f"{name}.csv")
    figures = []
    for name, figure in findings.figures.items():
        figures.append(config.folder / f"{name}.png")
        figure.savefig(figures[-1], dpi=110)
    (config.folder / REPORT).write_text(_report(config, findings), encoding="utf-8")
    return Experiment(config, config.folder, findings, figures, tracking)


def _report(config: ExperimentConfig, findings: Findings) -> str:
    """Question, answer, tables, figures and data, in this order, as Markdown."""
    parts = [f"# {config.name}", config.question, f"**{findings.line}**", *findings.notes]
    shown = _shown(findings)
    for name, table in findings.tables.items():
        parts.append(f"## {name}")
        parts.append(_markdown(table) if name in shown else f"{len(table)} rows in [{name}.csv]({name}.csv).")
    parts += [f"![{name}]({name}.png)" for name in findings.figures]
    parts.append("## Data")
    for market in findings.markets.values():
        parts.append("\n".join([f"* {market!r}", *(f"    * {note}" for note in market.notes)]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _shown(findings: Findings) -> dict[str, pd.DataFrame]:
    """Tables small enough to be read, with numbers as a reader likes them."""
    small = {
        name: table
        for name, table in findings.tables.items()
        if len(table) <= _LONGEST and table.shape[1] <= _WIDEST
    }
    return {
        name: table.reset_index().map(_as_text).set_index(table.index.names) for name, table in small.items()
    }


def _as_text(value: Any) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:.4g}"
    return str(value)


def _markdown(table: pd.DataFrame) -> str:
    flat = table.reset_index().map(_as_text)
    rows = [list(map(str, flat.columns)), ["---"] * flat.shape[1], *flat.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _track(tracked: Any, done: Experiment) -> None:
    for name, market in done.findings.markets.items():
        tracked.log_dataset(name, market.fingerprint, source=market.name or name, context="study")
    tracked.log_metrics(dict(done.findings.metrics))
    tracked.set_tags({"result": done.findings.line})
    for name in ("experiment.yaml", REPORT, *(f"{name}.csv" for name in done.findings.tables)):
        tracked.log_artifact(done.folder / name)
    for path in done.figures:
        tracked.log_artifact(path, "figures")
