"""Running an experiment of any kind: read, run what is missing, write tables, figures and a report, track it all.

Everything lies in one folder named by the experiment and a hash of its settings. An experiment that is killed and
started again finds its finished trials there, resumes agents from their checkpoints and repeats nothing.
"""

import textwrap
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd

from gearing.drawing import png
from gearing.evaluation.comparisons.comparison import FOLDER, Comparison
from gearing.evaluation.reports.tables import fitted
from gearing.export.deciding.decision import Decision
from gearing.storage.atomic import write_atomically, write_text
from gearing.studies.acts import played
from gearing.studies.announcing import announcer
from gearing.studies.comparing.compare import comparison_of
from gearing.studies.comparing.writing import write_comparison
from gearing.studies.engines.choosing import Engines
from gearing.studies.engines.failures import (
    FOLDER as FAILURES,
    TABLE as FAILED,
    Failure,
    failed_table,
    write_failed_table,
)
from gearing.studies.experiment import Act, ExperimentConfig, Findings
from gearing.studies.reading import load_config
from gearing.studies.recording.models import record_models
from gearing.studies.recording.runs import record_findings, study_run
from gearing.studies.reporting.pages import HTML, MARKDOWN, write_report
from gearing.studies.reporting.record import shown_tables, write_record
from gearing.studies.work import Work
from gearing.tracking import Tracker
from gearing.tracking.store import check_mlflow

_WRITTEN = "experiment.yaml"
_WIDTH = 80  # characters of a line of text


@dataclass(frozen=True, eq=False)
class Experiment:
    """A finished experiment.

    Attributes
    ----------
    folder : Path
        Holds the experiment as it ran, its trials, ``report.html`` and ``report.md``, a CSV per table, a PNG per
        figure.
    tracking : str or None
        The command that shows the runs.
    page : str or None
        Address of the runs, where it is known.
    undelivered : str or None
        One line about records that the tracker has not got: how many, where they are, how to send them.
    failures : tuple of Failure
        Trials that failed.
    """

    config: ExperimentConfig
    folder: Path
    findings: Findings
    figures: list[Path]
    tracking: str | None
    undelivered: str | None = None
    failures: tuple[Failure, ...] = ()
    page: str | None = None

    @cached_property
    def failed(self) -> pd.DataFrame:
        """One row per trial that failed, which the tables therefore lack; empty if none did."""
        return failed_table(self.failures)

    @property
    def warning(self) -> str | None:
        """One line about trials that failed; None if none did."""
        if self.failed.empty:
            return None
        count = len(self.failed)
        return (
            f"{count} trial{'s' if count > 1 else ''} failed and {'are' if count > 1 else 'is'} missing from the "
            f"tables: {self.folder / FAILED} has the errors, {self.folder / FAILURES} the tracebacks. The same command "
            "runs them again."
        )

    @property
    def leaderboard(self) -> pd.DataFrame:
        """The table to look at first."""
        return next(iter(self.findings.tables.values()))

    @property
    def table(self) -> pd.DataFrame:
        """The same as a reader looks at it."""
        name = next(iter(self.findings.tables))
        return self.findings.printed.get(name, self.leaderboard)

    @property
    def comparison(self) -> Comparison:
        """Scores of the policies by task and seed, as `gearing.compare` takes them together."""
        return comparison_of(self)

    @property
    def results(self) -> dict[Any, Any]:
        """What policies did, by trial, where the experiment played any."""
        return dict(self.findings.results)

    @property
    def bundle(self) -> Path | None:
        """The policy that the experiment exported."""
        return self.findings.bundle

    @property
    def decision(self) -> Decision:
        """What the bundle decides on the last bars of the experiment's market, with an empty account."""
        from gearing.studies.study.exporting.inputs import example_decision

        return example_decision(self.folder, self.bundle)

    @property
    def summary(self) -> str:
        """What the command line prints at the end."""
        tables = [f"{name}\n{fitted(table)}" for name, table in shown_tables(self.findings).items()]
        if self.findings.acts:
            tables = [_act_text(number, act) for number, act in enumerate(self.findings.acts, start=1)]
        where = [f"figure      {path}" for path in self.figures]
        where += [f"report      {self.folder / HTML}", f"results     {self.folder}"]
        where += [f"runs        {self.tracking}"] if self.tracking else []
        where += [f"            {self.page}"] if self.page else []
        line = [] if self.findings.acts else [self.findings.line]  # each act has its own
        return "\n\n".join([*tables, "\n".join(where), *self._exported(), *line])

    def _exported(self) -> list[str]:
        if self.bundle is None:
            return []
        from gearing.studies.study.exporting.places import inputs_of

        inputs = inputs_of(self.bundle)
        command = (
            f"python -m gearing.export {self.bundle} --bars {inputs}/bars.csv --funding {inputs}/funding.csv "
            f"--account {inputs}/account.json --now {inputs}/now.txt --fallback hold"
        )
        return [f"bundle      {self.bundle}\ndecide      {command}", str(self.decision)]

    def as_dict(self) -> dict[str, Any]:
        """What the experiment found, for JSON; rows of the leaderboard by name."""
        where = {"folder": str(self.folder), "line": self.findings.line}
        if self.findings.json is not None:
            return {**where, **self.findings.json}
        tables: dict[str, Any] = {
            name: table.reset_index().to_dict("records") for name, table in self.findings.tables.items()
        }
        if "leaderboard" in tables:
            tables["leaderboard"] = self.leaderboard.to_dict(orient="index")
        return {**where, **tables}


def _act_text(number: int, act: Act) -> str:
    """Table, result and question of an act, as the command line prints them."""
    heading = f"Act {number}: {act.name}" + (f". {act.question}" if act.question else "")
    return "\n".join(
        [*textwrap.wrap(heading, _WIDTH), "", fitted(act.printed), "", *textwrap.wrap(act.line, _WIDTH)]
    )


def run_study(
    experiment: str | Path | ExperimentConfig,
    overrides: Iterable[str] = (),
    *,
    jobs: int | None = None,
    reuse: bool | None = None,
    progress: bool = False,
) -> Experiment:
    """Run an experiment of any kind, or what is missing of it.

    Parameters
    ----------
    experiment : path or ExperimentConfig
    overrides : iterable of str
        ``section.key=value``.
    jobs : int, optional
        Trials that run side by side, in processes; default: the experiment's own.
    reuse : bool, optional
        Whether results that were made by other code count as done; default: the experiment's own.
    progress : bool
        Whether to show what is going on.

    Raises
    ------
    ValueError
        For a mistake in the experiment; nothing has been read or run then.
    """
    config = experiment if isinstance(experiment, ExperimentConfig) else load_config(experiment, overrides)
    if jobs is not None and (type(jobs) is not int or jobs < 1):
        raise ValueError(f"jobs is {jobs!r}; give the number of processes, 1 or more (--jobs).")
    given = {name: value for name, value in (("jobs", jobs), ("reuse", reuse)) if value is not None}
    config = config.model_copy(update=given)
    if not progress:
        return _run(config, lambda text: None, progress)
    with announcer(_printer()) as tell:
        return _run(config, tell, progress)


def _run(config: ExperimentConfig, tell: Callable[[str], None], progress: bool) -> Experiment:
    """Run an experiment in its folder, tracked or not."""
    if config.tracking.enabled:
        check_mlflow()
    with Engines(config) as engines:
        config.folder.mkdir(parents=True, exist_ok=True)
        write_text(config.folder / _WRITTEN, config.to_yaml())
        began = (config.folder / _WRITTEN).stat().st_mtime
        tell(f"{config.name}: {config.question}" if config.question else config.name)
        work = Work(config, config.folder, tell, progress=progress, engines=engines, began=began)
        if not config.tracking.enabled:
            return _finished(work, None)
        tracker = Tracker(config.tracking.uri, config.tracking.experiment)
        try:
            done = _recorded(replace(work, tracker=tracker), tracker)
        finally:
            tracker.close()
        return replace(done, undelivered=tracker.undelivered, page=tracker.page)


def _recorded(work: Work, tracker: Tracker) -> Experiment:
    """Run an experiment within its tracked run, which only one of several processes that share the folder writes."""
    with ExitStack() as stack:
        tracked = _tracked_run(work.config, tracker, stack)
        if tracked is None:
            work.tell(
                f"another process runs this experiment too, and records its run; both share {work.folder}"
            )
        done = _finished(work, tracker.command)
        tracked = tracked or _tracked_run(work.config, tracker, stack)  # that process may have been killed
        if tracked is not None:
            _track(tracked, done, tracker)
        return done


def _tracked_run(config: ExperimentConfig, tracker: Tracker, stack: ExitStack) -> Any:
    """The experiment's run, open until the stack ends; None if another process writes it."""
    try:
        return stack.enter_context(study_run(config, tracker))
    except BlockingIOError:
        return None


def _finished(work: Work, tracking: str | None) -> Experiment:
    """Run an experiment and write its tables, figures and report."""
    config = work.config
    try:
        findings = played(config, work)
    except Exception:
        _check_folder(config)  # it may be the cause
        raise
    finally:
        if config.folder.is_dir():
            write_failed_table(config.folder, work.failures)
    _check_folder(config)
    findings = _marked(_incomplete(findings, work), work.other_code)
    for name, table in findings.tables.items():
        write_atomically(config.folder / f"{name}.csv", partial(table.to_csv))
    figures = []
    for name, figure in findings.figures.items():
        figures.append(config.folder / f"{name}.png")
        write_atomically(figures[-1], partial(Path.write_bytes, data=png(figure)))
    if findings.comparison is not None:
        write_comparison(findings.comparison, config.folder / FOLDER)
    write_record(config, findings)
    write_report(config.folder)
    return Experiment(
        config, config.folder, findings, figures, tracking, failures=tuple(work.failures.values())
    )


def _check_folder(config: ExperimentConfig) -> None:
    """Refuse to end with half of a folder that somebody removed meanwhile."""
    if not (config.folder / _WRITTEN).is_file():
        raise ValueError(
            f"{config.folder} was removed or renamed while its experiment ran. Run the experiment again."
        )


def _incomplete(findings: Findings, work: Work) -> Findings:
    """Findings that say which trials failed and are therefore missing."""
    if not work.failures:
        return findings
    failed = failed_table(work.failures.values())
    note = f"Trials that failed and are missing from the tables: {', '.join(failed.index)}; see {FAILED}."
    line = f"{findings.line}; trials that failed and are missing: {len(failed)}"
    return replace(findings, line=line, notes=(note, *findings.notes))


def _marked(findings: Findings, other_code: set[str]) -> Findings:
    """Findings whose tables say in a column ``code`` that other code made the results they stand on."""
    if not other_code:
        return findings
    codes = ", ".join(sorted(other_code))
    tables = {
        name: table if "code" in table else table.assign(code=codes)
        for name, table in findings.tables.items()
    }
    note = f"Made by other code than today's, and reused: the rows that have a `code` ({codes})."
    return replace(findings, tables=tables, notes=(*findings.notes, note))


def _track(tracked: Any, done: Experiment, tracker: Tracker) -> None:
    record_findings(tracked, done.config, done.findings, tracker)
    for name in (_WRITTEN, MARKDOWN, HTML, *(f"{name}.csv" for name in done.findings.tables)):
        tracked.log_artifact(done.folder / name)
    for path in done.figures:
        tracked.log_artifact(path, "figures")
    if done.findings.comparison is not None:
        tracked.log_artifact(done.folder / FOLDER)
    record_models(tracked, done.config, done.findings, lambda: dict(done.decision.observation))


def _printer() -> Callable[[str], None]:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True).print
