"""Experiments: what one is made of, read from a strict YAML file, and how its many trials are run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gearing.lazy import lazy_exports

if TYPE_CHECKING:
    from gearing.studies.experiment import (
        ExperimentConfig as ExperimentConfig,
        Findings as Findings,
        experiment as experiment,
    )
    from gearing.studies.reading import load_config as load_config
    from gearing.studies.runner import run_study as run_study
    from gearing.studies.study.config import StudyConfig as StudyConfig
    from gearing.studies.work import Work as Work
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__)
