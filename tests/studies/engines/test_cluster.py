"""What is said where a Ray cluster cannot be used; tests/studies/engines/test_engine.py runs jobs on one."""

import pytest

from gearing.studies.engines import cluster
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.reading import load_config
from gearing.studies.runner import run_study


def test_without_ray_a_study_ends_before_anything_is_read_and_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    config = ExperimentConfig(kind="study", name="x", engine="ray", output=str(tmp_path / "runs"))
    with pytest.raises(ValueError, match=r'pip install "gearing\[cluster\]", or write engine=local'):
        run_study(config)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"engine": "slurm"}, "engine: 'slurm' is refused: it must be 'local' or 'ray'"),
        (
            {"address": "10.0.0.1:6379"},
            "address '10.0.0.1:6379' is that of a Ray cluster, and engine is local",
        ),
        ({"engine": "ray", "address": ""}, "address"),
        ({"retries": -1}, "retries: -1 is refused"),
        ({"jobs": 0}, "jobs: 0 is refused"),
    ],
)
def test_settings_of_an_engine_are_checked_when_the_experiment_is_read(given, message):
    with pytest.raises(ValueError, match=message):
        load_config({"kind": "study", "name": "x", "forecast": None, "rules": ["fixed_1x"], **given})
