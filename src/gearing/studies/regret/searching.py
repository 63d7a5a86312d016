"""Searching over an agent on markets whose best leverage is known: judged on the validation markets."""

from __future__ import annotations

from functools import partial

from gearing.studies.experiment import Findings
from gearing.studies.regret.config import RegretConfig
from gearing.studies.regret.training import train
from gearing.studies.search.run import search
from gearing.studies.search.trying import Lesson, LessonScore, Searched
from gearing.studies.trials import Place
from gearing.studies.work import Work


def search_regret(config: RegretConfig, work: Work) -> Findings:
    """Search over the settings of one agent; see `gearing.studies.search.run.search`."""
    assert config.search is not None
    config.open_briefly()
    name = config.search.agent_of(config.agents)
    lessons = [Lesson(f"seed{seed}", seed) for seed in range(config.search.seeds)]
    return search(config, work, Searched(lessons, partial(_teach, name)))


def _teach(name: str, config: RegretConfig, lesson: Lesson, place: Place) -> LessonScore:
    trained = train(config, name, lesson.seed, place)
    return LessonScore(float(trained.validation_score or 0.0))
