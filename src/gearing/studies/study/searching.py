"""Searching over an agent of a study: trainings on every fold, judged on all validation spans pooled.

No policy is played on a test span. With several folds the validation of a later one lies in the months that the test of
an earlier one covers; only test days after the last validation are new to the chosen settings.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from gearing.evaluation.backtesting import backtest
from gearing.evaluation.metrics import DAYS_PER_YEAR
from gearing.studies.experiment import Findings
from gearing.studies.search.config import changed
from gearing.studies.search.run import search
from gearing.studies.search.trying import Lesson, LessonScore, Searched
from gearing.studies.study.columns import agent_columns
from gearing.studies.study.config import StudyConfig
from gearing.studies.study.learning import train
from gearing.studies.study.prepare import Prepared, prepare
from gearing.studies.study.trials import PolicyTrial
from gearing.studies.trials import Place
from gearing.studies.work import Work

LEAST = 365  # days of validation on history; fewer do not tell good settings from lucky ones
_READING = ("columns", "base")  # settings of an agent that say which columns it reads


def search_study(config: StudyConfig, work: Work) -> Findings:
    """Search over the settings of one agent; see `gearing.studies.search.run.search`."""
    prepared = prepare(_with_all_columns(config), work)
    _check_validation(config, prepared)
    lessons = [Lesson(trial.name, int(trial.seed or 0), trial) for trial in _trainings(config, prepared)]
    found = search(config, work, Searched(lessons, partial(_teach, prepared)))
    return replace(found, markets=prepared.markets, notes=(*found.notes, _overlap(prepared)))


def _with_all_columns(config: StudyConfig) -> StudyConfig:
    """The study with an agent more for every choice of columns and base, so that all columns are made."""
    assert config.search is not None
    name, space = config.search.agent_of(config.agents), config.search.space
    given = [[(key, value) for value in space[key]] for key in _READING if isinstance(space.get(key), list)]
    values = config.model_dump(mode="json", by_alias=True)
    for number, changes in enumerate(product(*given)):
        values["agents"][f"{name} {number}"] = changed(values["agents"][name], dict(changes))
    return StudyConfig.model_validate({**values, "search": None})


def _trainings(config: StudyConfig, prepared: Prepared) -> list[PolicyTrial]:
    """What is trained for each drawing: all folds of the first seed first."""
    assert config.search is not None
    name = config.search.agent_of(config.agents)
    groups: list[Any] = config.agents[name].groups or list(config.groups or [None])
    return [
        PolicyTrial(name, fold.number, str(fold), seed, group, direction)
        for seed in range(config.search.seeds)
        for direction in config.directions_of(name)
        for group in groups
        for fold in prepared.folds
    ]


def _teach(prepared: Prepared, config: StudyConfig, lesson: Lesson, place: Place) -> LessonScore:
    """Train on a fold and play its validation span."""
    trial: PolicyTrial = lesson.more
    here = replace(prepared, config=config)
    policy = train(here, {}, trial, place).policy
    columns = agent_columns(config, trial.policy, trial.direction)
    settings = config.simulation_settings(trial.policy, trial.direction)
    growth = []
    for account in trial.accounts(config) or list(prepared.markets):
        market, table = here.cut(account, here.folds[trial.fold].validate, columns)
        growth.append(backtest(policy, market, table, name=trial.label, **settings).daily_log_growth)
    days = np.mean([one[: min(map(len, growth))] for one in growth], axis=0)
    return LessonScore(float(np.mean([one.mean() for one in growth])) * DAYS_PER_YEAR, days.tolist())


def _check_validation(config: StudyConfig, prepared: Prepared) -> None:
    """Refuse to choose settings on a short piece of history."""
    days = sum((fold.validate[1] - fold.validate[0]) / np.timedelta64(1, "D") for fold in prepared.folds)
    if config.market.is_history and days < LEAST:
        raise ValueError(
            f"search: the validation spans of all {len(prepared.folds)} folds are {days:.0f} days of history, and "
            f"growth on fewer than {LEAST} does not tell good settings from lucky ones. Give more folds, or a longer "
            "validate."
        )


def _overlap(prepared: Prepared) -> str:
    """How many of the test days lie behind all validation spans."""
    last = max(fold.validate[1] for fold in prepared.folds)
    day = np.timedelta64(1, "D")
    total = sum((fold.test[1] - fold.test[0]) / day for fold in prepared.folds)
    new = sum(
        max(fold.test[1] - max(fold.test[0], last), np.timedelta64(0, "ms")) / day for fold in prepared.folds
    )
    return (
        f"The search played no test span. Of {total:.0f} test days {new:.0f} lie after every validation span; on the "
        "others a validation of a later fold has seen the same days."
    )
