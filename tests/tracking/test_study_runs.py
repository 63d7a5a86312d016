"""Studies are found in MLflow by their name and compared from what they left there."""

import pandas as pd
import pytest

import gearing
from gearing.studies.runner import run_study
from gearing.tracking import study_runs
from gearing.tracking.store import open_client

EXPERIMENT = """\
# Are two rules different?
market: {seed: 2, years: 1}
folds: {train: 60d, validate: 20d, test: 40d, count: 2}
decision: {max_leverage: 20, margin_share: 0.5}
forecast: null
rules: [fixed_1x, volatility_weighted]
"""


@pytest.fixture
def tracked(tmp_path, uri):
    (tmp_path / "rules.yaml").write_text(EXPERIMENT)
    return run_study(tmp_path / "rules.yaml", [f"output={tmp_path / 'runs'}", f"tracking.uri={uri}"])


def test_a_tracked_study_compares_like_its_folder(tracked, uri):
    (run,) = study_runs("rules", uri=uri)
    assert run.tags["result"] == tracked.findings.line
    pd.testing.assert_frame_equal(gearing.compare(run).aggregates, tracked.comparison.aggregates)
    pd.testing.assert_frame_equal(gearing.compare(run).growth, tracked.comparison.growth)
    assert study_runs("others", uri=uri) == []
    assert len(study_runs(uri=uri)) == 1


def test_a_run_that_is_no_study_is_refused(tracked, uri, monkeypatch):
    client = open_client(uri)
    (experiment,) = (one for one in client.search_experiments() if one.name == "gearing")
    children = [
        one for one in client.search_runs([experiment.experiment_id]) if "mlflow.parentRunId" in one.data.tags
    ]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ValueError, match="has no scores of policies"):
        gearing.compare(children[0])


def test_a_database_that_is_not_there_has_no_studies(tmp_path):
    assert study_runs(uri=f"sqlite:///{tmp_path / 'none.db'}") == []
    assert not (tmp_path / "none.db").exists()
