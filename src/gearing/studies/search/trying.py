"""One trial of a search: the trainings of one drawing of settings, ended early where their scores are poor.

Scores at every validation are on disk before anything follows from them, so that a trial which is killed goes on as if
it had not been.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gearing.agents.settings import agent_settings
from gearing.evaluation.metrics import sharpe_ratio
from gearing.storage.atomic import write_json
from gearing.storage.text import read_json
from gearing.studies.search.config import changed
from gearing.studies.search.drawing import COMPLETE, PRUNED, Pruning
from gearing.studies.trials import CHECKPOINT, Place, Trial

_SCORES = "scores.json"
_PERCENT = 101  # steps of one training: percents of its budget, 0 to 100
_BEST = "validation/best"  # what a training logs at each validation


class Lesson(NamedTuple):
    """One training of a trial: a seed, on a fold where there are folds."""

    name: str
    seed: int
    more: Any = None  # what the kind of the experiment needs to know besides


class LessonScore(NamedTuple):
    """What a training came to on validation."""

    score: float  # log growth a year
    growth: list[float] | None = None  # daily, in logs, where it is known


class Searched(NamedTuple):
    """How a kind of experiment is searched."""

    lessons: list[Lesson]
    teach: Callable[[Any, Lesson, Place], LessonScore]  # trains with an experiment's settings, and scores


@dataclass(frozen=True)
class SearchTrial(Trial):
    """A drawing of settings."""

    number: int
    drawn: str  # settings by dotted name, as JSON

    @property
    def name(self) -> str:
        """Name among the trials of the search."""
        return f"search{self.number}"

    def settings(self, config: Any) -> Any:
        """All of the experiment but how many trials there are: a longer search begins with those of a shorter one."""
        settings = config.settings
        return {**settings, "search": {k: v for k, v in settings["search"].items() if k != "trials"}}


class Pruned(Exception):  # noqa: N818  a state, not a mistake
    """A trial ends early."""


def with_settings(config: Any, changes: Mapping[str, Any]) -> Any:
    """The experiment without its search, the searched agent with other settings."""
    values = config.model_dump(mode="json", by_alias=True)
    name = config.search.agent_of(config.agents)
    values["agents"][name] = changed(values["agents"][name], changes)
    return type(config).model_validate({**values, "search": None})


def try_settings(
    config: Any, how: Searched, pruning: Pruning, trial: SearchTrial, place: Place
) -> dict[str, Any]:
    """Train with the drawn settings; the mean score, or where it stood when the trial was ended early."""
    varied = with_settings(config, {**config.search.settings, **json.loads(trial.drawn)})
    agent = varied.agents[config.search.agent_of(config.agents)]
    total = agent_settings(agent.hyper_parameters).total_decisions
    scores = _Scores.read(place.folder, pruning.begin(), total)
    try:
        scores.replay()
        for lesson in how.lessons[len(scores.ended) :]:
            folder = place.folder / lesson.name
            folder.mkdir(exist_ok=True)
            watched = _Watched(place.run, lesson.name if len(how.lessons) > 1 else "", scores)
            found = how.teach(varied, lesson, Place(folder, watched, place.progress))
            shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
            scores.end(found)
    except Pruned:
        return scores.summary(PRUNED)
    finally:
        if place.run is not None:
            place.run.log_params(json.loads(trial.drawn))
    return scores.summary(COMPLETE)


@dataclass
class _Scores:
    """Scores of a trial that is under way."""

    folder: Path
    ends: Callable[[int, float], bool]  # whether the trial is to end, by step and score
    total: int  # decisions of a training
    ended: list[float] = field(default_factory=list)  # scores of finished trainings
    growth: list[float] = field(default_factory=list)  # daily, of all of them
    steps: dict[int, float] = field(default_factory=dict)  # mean score so far, by step

    @classmethod
    def read(cls, folder: Path, ends: Callable[[int, float], bool], total: int) -> _Scores:
        """Those of a killed trial, else none."""
        found = cls(folder, ends, total)
        if (folder / _SCORES).is_file():
            stored = read_json(folder / _SCORES, dict)
            found.ended, found.growth = stored["ended"], stored["growth"]
            found.steps = {int(step): score for step, score in stored["steps"].items()}
        return found

    def replay(self) -> None:
        """Decide again at each step so far."""
        for step, score in self.steps.items():
            self._decide(step, score)

    def report(self, decisions: int, best: float) -> None:
        """Note the best score of the present training so far."""
        percent = min(100, round(100 * decisions / self.total))
        step = _PERCENT * len(self.ended) + percent
        if step not in self.steps:  # else it was decided before a kill
            self.steps[step] = float(np.mean([*self.ended, best]))
            self._write()
            self._decide(step, self.steps[step])

    def end(self, found: LessonScore) -> None:
        """Note the score of a finished training."""
        self.report(self.total, found.score)
        self.ended.append(float(found.score))
        self.growth += found.growth or []
        self._write()

    def summary(self, state: str) -> dict[str, Any]:
        """What the trial's result says."""
        (self.folder / _SCORES).unlink(missing_ok=True)
        score = float(np.mean(self.ended)) if state == COMPLETE else list(self.steps.values())[-1]
        ratio = sharpe_ratio(np.expm1(self.growth)) if state == COMPLETE and self.growth else None
        known = ratio if ratio is not None and np.isfinite(ratio) else None
        return {"state": state, "score": score, "steps": self.steps, "scores": self.ended, "sharpe": known}

    def _decide(self, step: int, score: float) -> None:
        if self.ends(step, score):
            raise Pruned

    def _write(self) -> None:
        stored = {"ended": self.ended, "growth": self.growth, "steps": self.steps}
        write_json(self.folder / _SCORES, stored)


class _Watched:
    """Stands for the tracked run of a training: passes metrics on, and watches those of validation."""

    def __init__(self, run: Any, name: str, scores: _Scores):
        self._run, self._scores = run, scores
        self._before = f"{name}/" if name else ""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Pass on, and report the best score so far."""
        if self._run is not None:
            self._run.log_metrics({f"{self._before}{name}": x for name, x in metrics.items()}, step=step)
        if _BEST in metrics:
            self._scores.report(step, float(metrics[_BEST]))
