"""The tasks of the leaderboard: experiment files in one folder, played with a submission in place of their agents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from gearing.names import check_names, did_you_mean
from gearing.storage.digest import digest
from gearing.storage.text import read_text
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.reading import load_config

FOLDER = Path("experiments/leaderboard")
SUBMISSION = "submission"  # the name of a submitted policy in an experiment
_POLICIES = ("rules", "agents", "seeds")  # parts of an experiment that are no part of the task
_ORDER = ("regret", "study", "crash_stress")  # of kinds on the page


@dataclass(frozen=True)
class Task:
    """One experiment file of the leaderboard."""

    path: Path

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.stem

    @property
    def question(self) -> str:
        """What its first line says."""
        return read_text(self.path).partition("\n")[0].lstrip("# ").removeprefix("Leaderboard, task ").strip()

    def config(self, *overrides: str) -> ExperimentConfig:
        """The experiment with its own rules and agents."""
        return load_config(self.path, ["tracking.enabled=false", *overrides])

    def entered(self, policy: Mapping[str, Any], *overrides: str) -> ExperimentConfig:
        """The experiment with a submission instead of its rules and agents; the baseline that it names stays.

        Parameters
        ----------
        policy : mapping
            The submission as a rule of an experiment file.
        """
        given = self.config().model_dump(mode="json", by_alias=True)
        rules = {name: rule for name, rule in given["rules"].items() if name == self.baseline}
        task = {name: value for name, value in given.items() if name not in _POLICIES}
        return load_config({**task, "rules": {**rules, SUBMISSION: dict(policy)}}, overrides, str(self.path))

    @property
    def baseline(self) -> str | None:
        """The rule that others are compared with, where the experiment names one."""
        return getattr(getattr(self.config(), "statistics", None), "baseline", None)

    @cached_property
    def digest(self) -> str:
        """Hash of the task: of what its file says, without the policies in it, and without where the data lie."""
        task = {k: v for k, v in yaml.safe_load(read_text(self.path)).items() if k not in _POLICIES}
        if isinstance(task.get("market"), dict):
            task["market"] = {name: value for name, value in task["market"].items() if name != "folder"}
        return digest(task)

    @property
    def missing(self) -> str | None:
        """Why it cannot be played here; None where it can."""
        market: Any = getattr(self.config(), "market", None)
        folder = getattr(market, "folder", None)
        if folder is None or Path(folder).is_dir():
            return None
        return f"no history folder: {folder} is no folder; name one in GEARING_DATA (data/README.md)"


def read_tasks(folder: Path = FOLDER, names: list[str] | None = None) -> list[Task]:
    """Tasks of a folder, or those that are named.

    Raises
    ------
    ValueError
        If there is no such folder or task.
    """
    found = [Task(path) for path in sorted(folder.glob("*.yaml"))]
    if not found:
        raise ValueError(
            f"{folder} holds no tasks of the leaderboard. Run this in a checkout of gearing, or give the folder: "
            "--folder experiments/leaderboard."
        )
    found.sort(key=lambda task: _ORDER.index(task.config().kind))
    known = [task.name for task in found]
    for name in names or ():
        if name not in known:
            raise ValueError(f"{folder} has no task {name!r}.{did_you_mean(name, known)}")
    return [task for task in found if not names or task.name in names]


def check_row_tasks(given: Mapping[str, Any], tasks: list[Task], where: str) -> None:
    """Refuse scores of tasks that are not among these, or were other tasks when they were played."""
    known = {task.name: task for task in tasks}
    check_names(f"{where}: no task", given, known)
    for name, score in given.items():
        if score["task"] != known[name].digest:
            raise ValueError(
                f"{where}: the task {name} has changed since (digest {score['task']}, now {known[name].digest}); play "
                "it again with `gearing submit`."
            )
