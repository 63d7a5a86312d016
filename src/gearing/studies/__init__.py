"""Experiments: what one is made of, read from a strict YAML file, and how its many trials are run."""

from gearing.studies.reading import load_config
from gearing.studies.study.config import StudyConfig

__all__ = ["StudyConfig", "load_config"]
