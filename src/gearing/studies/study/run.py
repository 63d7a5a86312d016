"""Running an experiment: prepare once, run what is missing, judge, draw, track, export.

Everything lives in one folder named by the experiment and a hash of its settings. A study that is killed and
started again finds its finished trials there, resumes the agents from their checkpoints and repeats nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gearing.evaluation.reports.figures import equity_figure
from gearing.evaluation.reports.tables import PRINTED, printed
from gearing.evaluation.result import BacktestResult
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.reading import load_config
from gearing.studies.running import Experiment, run_experiment
from gearing.studies.seal import seal
from gearing.studies.study.config import StudyConfig
from gearing.studies.study.leaderboard import by_policy, leaderboard
from gearing.studies.study.prepare import Prepared, prepare
from gearing.studies.study.trials import (
    Trial,
    is_done,
    load_result,
    play_rule,
    save_result,
    train_and_play,
    trials_of,
)
from gearing.tracking import Tracker

if TYPE_CHECKING:
    import pandas as pd

    from gearing.export.decision import Decision

TABLE = {
    **PRINTED,
    "controls": ("controls", "{}"),
    "acted": ("control_actions", "{:.0f}"),
    "growth vs baseline [95 %]": ("versus_text", "{}"),
}
LEADERBOARD = "leaderboard.csv"
TOLD_METRICS = (
    "log_growth",
    "sharpe",
    "max_drawdown",
    "effective_leverage",
    "liquidations",
    "fees",
    "funding",
)


@dataclass(frozen=True, eq=False)
class Study:
    """A finished study.

    Attributes
    ----------
    config : StudyConfig
    folder : Path
        Holds the experiment as it ran, the trials, agents, figures, the leaderboard and the bundle.
    leaderboard : DataFrame
        One row for each rule, each seed of each agent, and each agent over its seeds.
    results : dict of Trial to BacktestResult
    figures : list of Path
    bundle : Path or None
    tracking : str or None
        The command that shows the runs.
    """

    config: StudyConfig
    folder: Path
    leaderboard: pd.DataFrame
    results: dict[Trial, BacktestResult]
    figures: list[Path]
    bundle: Path | None
    tracking: str | None

    @property
    def decision(self) -> Decision:
        """What the bundle decides on the last bars of the study's market, with an empty account."""
        from gearing.studies.study.exporting import example_decision

        return example_decision(self.folder)

    @property
    def table(self) -> pd.DataFrame:
        """The leaderboard as a reader looks at it."""
        return printed(self.leaderboard, TABLE)

    @property
    def summary(self) -> str:
        """What a person is told at the end."""
        lines = [self.table.to_string(), ""]
        lines += [f"figure      {path}" for path in self.figures]
        lines.append(f"results     {self.folder}")
        if self.tracking is not None:
            lines.append(f"runs        {self.tracking}")
        if self.bundle is not None:
            inputs = self.folder / "decide"
            lines += [
                f"bundle      {self.bundle}",
                f"decide      gearing decide {self.bundle} --bars {inputs}/bars.parquet "
                f"--funding {inputs}/funding.parquet --account {inputs}/account.json",
                "",
                str(self.decision),
            ]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Folder and leaderboard, for JSON."""
        return {"folder": str(self.folder), "leaderboard": self.leaderboard.to_dict(orient="index")}


def run_study(
    experiment: str | Path | ExperimentConfig,
    overrides: Iterable[str] = (),
    *,
    jobs: int = 1,
    progress: bool = False,
) -> Study | Experiment:
    """Run an experiment, or what is missing of it.

    Parameters
    ----------
    experiment : path or ExperimentConfig
    overrides : iterable of str
        ``section.key=value``.
    jobs : int
        Agents trained side by side, in processes.
    progress : bool
        Whether to show what is going on.

    Returns
    -------
    Study or Experiment
        An `Experiment` where the file's ``kind`` is another than "study"; both have ``leaderboard``, ``folder``,
        ``figures``, ``tracking`` and ``summary``.

    Raises
    ------
    ValueError
        For a mistake in the experiment; nothing has been read or run then.
    """
    config = experiment if isinstance(experiment, ExperimentConfig) else load_config(experiment, overrides)
    tell = _teller(progress)
    if not isinstance(config, StudyConfig):
        return run_experiment(config, tell)
    folder = config.folder
    for part in ("trials", "agents", "figures"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "experiment.yaml").write_text(config.to_yaml(), encoding="utf-8")
    tell(f"{config.name}: {config.question}" if config.question else config.name)
    prepared = prepare(config, folder)
    seal(folder, {prepared.market.name or "market": prepared.market})
    for line in _opening(prepared):
        tell(line)
    tracker = Tracker(config.tracking.uri, config.tracking.experiment) if config.tracking.enabled else None
    if tracker is None:
        return _run(prepared, folder, None, None, jobs, progress, tell)
    try:
        with tracker.run(config.name, key=config.key) as parent:
            parent.log_params(_params(config))
            parent.log_dataset(
                prepared.market.name or ",".join(prepared.market.symbols),
                prepared.market.fingerprint,
                source=config.market.folder or config.market.generator,
                context="study",
            )
            tracker.flush(timeout=30.0)  # so that trials in other processes find their parent
            return _run(prepared, folder, tracker, parent, jobs, progress, tell)
    finally:
        tracker.close()


def _run(
    prepared: Prepared,
    folder: Path,
    tracker: Tracker | None,
    parent: Any,
    jobs: int,
    progress: bool,
    tell: Any,
) -> Study:
    trials = trials_of(prepared)
    missing = [trial for trial in trials if not is_done(trial, folder / "trials")]
    if len(missing) < len(trials):
        tell(f"{len(trials) - len(missing)} of {len(trials)} trials are done already")
    for trial in missing:
        if trial.seed is None:
            _run_trial(prepared, trial, folder, tracker, progress=False)
    learning = [trial for trial in missing if trial.seed is not None]
    _run_jobs(prepared, learning, folder, tracker, jobs, progress)
    results = {
        trial: load_result(trial, folder / "trials", prepared.config.simulation(trial.policy))
        for trial in trials
    }
    board = leaderboard(prepared.config, results)
    board.to_csv(folder / LEADERBOARD)
    figures = _draw(prepared.config, results, folder / "figures")
    bundle = _export(prepared, folder)
    if parent is not None:
        _log_outcome(parent, prepared.config, board, figures, bundle, folder)
    return Study(
        prepared.config, folder, board, results, figures, bundle, tracker.command if tracker else None
    )


def _run_jobs(
    prepared: Prepared, trials: list[Trial], folder: Path, tracker: Tracker | None, jobs: int, progress: bool
) -> None:
    """Train agents, in this process or in several; each has its own tracking writer."""
    if jobs == 1 or len(trials) < 2:
        for trial in trials:
            _run_trial(prepared, trial, folder, tracker, progress)
        return
    from joblib import Parallel, delayed

    Parallel(n_jobs=jobs, backend="loky")(
        delayed(_run_trial)(prepared, trial, folder, tracker, progress) for trial in trials
    )


def _run_trial(
    prepared: Prepared, trial: Trial, folder: Path, tracker: Tracker | None, progress: bool
) -> None:
    if tracker is None:
        _play(prepared, trial, folder, None, progress)
        return
    key = f"{prepared.config.key}-{trial.name}"
    with tracker.run(trial.label, key=key, parent=prepared.config.key) as run:
        run.log_params({"policy": trial.policy, "fold": trial.fold, "seed": trial.seed})
        result = _play(prepared, trial, folder, run, progress)
        run.log_metrics({name: float(v) for name, v in result.row.items() if _is_number(v)})
        run.log_figure(result.plot(), "equity.png")


def _play(prepared: Prepared, trial: Trial, folder: Path, run: Any, progress: bool) -> BacktestResult:
    if trial.seed is None:
        result = play_rule(prepared, trial)
    else:
        result = train_and_play(prepared, trial, folder / "agents" / trial.name, run, progress)
    save_result(result, trial, folder / "trials")
    return result


def _draw(config: StudyConfig, results: dict[Trial, BacktestResult], folder: Path) -> list[Path]:
    """Equity, leverage and price of all rules, and of every agent beside the rules."""
    merged = by_policy(results)
    rules = [result for (_, seed), result in merged.items() if seed is None]
    agents = [result for (_, seed), result in merged.items() if seed is not None]
    paths = []
    for name, chosen in (("rules", rules), ("agents", agents), ("all", rules + agents)):
        if chosen:
            path = folder / f"{name}.png"
            equity_figure(chosen, f"{config.name}: {name}, test period").savefig(path, dpi=110)
            paths.append(path)
    return paths


def _export(prepared: Prepared, folder: Path) -> Path | None:
    """Export the agent that the study names: the seed and fold that did best on validation, never on test."""
    name = prepared.config.export
    if name is None:
        return None
    from gearing.studies.study.exporting import export_agent

    return export_agent(prepared, name, folder)


def _log_outcome(
    parent: Any,
    config: StudyConfig,
    board: pd.DataFrame,
    figures: list[Path],
    bundle: Path | None,
    folder: Path,
) -> None:
    for policy, row in board.iterrows():
        told = {
            f"{_metric_name(str(policy))}.{m}": float(row[m]) for m in TOLD_METRICS if _is_number(row.get(m))
        }
        parent.log_metrics(told)
    parent.log_artifact(folder / LEADERBOARD)
    parent.log_artifact(folder / "experiment.yaml")
    for path in figures:
        parent.log_artifact(path, "figures")
    if bundle is not None:
        parent.log_model(bundle / "policy.onnx", "policy", beside=bundle, register_as=config.name)


def _metric_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in text)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and value == value


def _params(config: StudyConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude={"question", "tracking", "output"})


def _opening(prepared: Prepared) -> list[str]:
    lines = [str(prepared.market), *(f"  note: {note}" for note in prepared.market.notes)]
    lines += [f"fold {fold.number}: {fold}" for fold in prepared.folds]
    if prepared.forecast is not None:
        lines.append(
            f"forecast: {prepared.forecast.recipe.name}, out of sample from "
            f"{prepared.table.close_time[prepared.table.first_complete]}"
        )
    return lines


def _teller(progress: bool) -> Any:
    if not progress:
        return lambda text: None
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    return console.print


def read_leaderboards(folders: Iterable[str | Path]) -> pd.DataFrame:
    """Leaderboards of finished studies, indexed by (study, policy).

    Raises
    ------
    ValueError
        If a folder holds no finished study.
    """
    import pandas as pd

    boards = {}
    for folder in map(Path, folders):
        if not (folder / LEADERBOARD).is_file():
            raise ValueError(
                f"{folder} holds no {LEADERBOARD}; give the folder that `gearing study` prints as results."
            )
        board = pd.read_csv(folder / LEADERBOARD, index_col="policy", dtype=str)
        boards[folder.name] = board.map(_number_or_word)
    return pd.concat(boards, names=["study"])


def _number_or_word(text: Any) -> Any:
    """A table holds numbers and, where a ratio would mislead, words."""
    try:
        return float(text)
    except ValueError:
        return text
