"""The account that a trial's agent was trained for, from the experiment in its study's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gearing.storage.text import read_json
from gearing.studies.study.config import load_study
from gearing.studies.trials import SUMMARY

_EXPERIMENT = "experiment.yaml"


def trial_settings(name: str) -> dict[str, Any]:
    """Settings of the simulated account, as `gearing.SimulationConfig` takes them; none where it is no trial's folder.

    Parameters
    ----------
    name : str
        A trial's folder, or that of the agent in it.
    """
    for trial in (Path(name), Path(name).parent):
        experiment = trial.parent.parent / _EXPERIMENT
        if (trial / SUMMARY).is_file() and experiment.is_file():
            about = read_json(trial / SUMMARY, dict)
            return load_study(experiment).simulation_settings(about.get("policy"), about.get("direction"))
    return {}
