"""What MLflow shows of studies: the same names in every run, every setting, descriptions, data and curves."""

import shutil

import pytest
from tests.studies.regret.test_run import QUICK
from tests.studies.study.test_run import EXPERIMENT

from gearing.agents.settings import agent_settings
from gearing.studies.runner import run_study

mlflow = pytest.importorskip("mlflow")
SETTINGS = {  # of the agent in EXPERIMENT
    "algorithm": "ppo", "total_decisions": 4096, "n_accounts": 16, "episode": "30d", "validate_every": 2048,
    "parameters": {"n_steps": 32, "batch_size": 256, "n_epochs": 1},
}  # fmt: skip


class Tracked:
    """A study that was run, with its runs in MLflow by name."""

    def __init__(self, folder, database, experiment, *overrides):
        shutil.copy(database, folder / "mlflow.db")
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        given = [f"output={folder}", "tracking.enabled=true", f"tracking.uri={self.uri}", *overrides]
        self.study = run_study(experiment, given)
        self.client = mlflow.MlflowClient(self.uri)
        self.experiment = self.client.get_experiment_by_name("gearing")
        found = self.client.search_runs([self.experiment.experiment_id])
        self.runs = {run.info.run_name: run for run in found}

    def curve(self, run, metric):
        points = self.client.get_metric_history(self.runs[run].info.run_id, metric)
        return [(point.step, point.value) for point in points]


@pytest.fixture(scope="module")
def study(tmp_path_factory, empty_database):
    folder = tmp_path_factory.mktemp("tracked")
    (folder / "tiny.yaml").write_text(EXPERIMENT)
    return Tracked(folder, empty_database, folder / "tiny.yaml", "folds.count=1", "seeds=1")


@pytest.fixture(scope="module")
def regret(tmp_path_factory, empty_database):
    folder = tmp_path_factory.mktemp("tracked")
    import yaml

    (folder / "quick.yaml").write_text(yaml.safe_dump(QUICK))
    return Tracked(folder, empty_database, folder / "quick.yaml")


def test_runs_are_named_by_what_they_are(study, regret):
    rules = {"fixed_1x fold 0", "fixed_20x fold 0", "volatility_weighted fold 0"}
    assert set(study.runs) == {"tiny", *rules, "ppo fold 0, seed 0"}
    references = {"oracle", "half of the oracle", "best fixed", "formula"}
    assert set(regret.runs) == {"quick", *references, "differentiable, seed 0"}


def test_every_setting_of_an_agent_is_a_parameter_of_its_trial(study):
    params = study.runs["ppo fold 0, seed 0"].data.params
    nested = ("network", "parameters", "randomise")
    wanted = agent_settings(SETTINGS).as_dict()
    for name, value in wanted.items():
        if name not in nested and value is not None and name != "columns":
            assert params[name] == str(value)
    for group in nested:
        assert {k: v for k, v in params.items() if k.startswith(f"{group}.")} == {
            f"{group}.{name}": str(value) for name, value in wanted[group].items()
        }
    assert (params["action"], params["base.rule"], params["base.high"]) == (
        "residual",
        "volatility_weighted",
        "8.0",
    )
    assert (params["policy"], params["seed"], params["columns"]) == ("ppo", "0", "default")
    assert params["decision.max_leverage"] == "20.0"


def test_no_parameter_is_named_by_a_field_of_python_and_none_is_none(study, regret):
    for run in [*study.runs.values(), *regret.runs.values()]:
        for name, value in run.data.params.items():
            assert not any(part.endswith("_") for part in name.split("."))
            assert value not in ("None", "[]", "{}")


def test_the_study_and_its_trials_have_the_same_metric_names(study):
    parent, child = study.runs["tiny"].data, study.runs["ppo fold 0, seed 0"].data
    shared = {"log_growth", "sharpe", "max_drawdown", "effective_leverage", "liquidations", "fees", "funding"}
    assert (
        shared | {"ruined", "trained_decisions", "untrained"} <= parent.metrics.keys() & child.metrics.keys()
    )
    assert parent.tags["policy"] == child.tags["policy"] == "ppo"
    row = study.study.leaderboard.loc["ppo [0]"]
    # one fold and one seed: the study's are the trial's
    for run in (parent, child):
        assert run.metrics["log_growth"] == row["log_growth"]
    rule = study.runs["fixed_1x fold 0"].data
    assert parent.metrics["fixed_1x/log_growth"] == rule.metrics["log_growth"]


def test_score_and_regret_are_metrics_of_trials_and_of_their_study(regret):
    parent, child = regret.runs["quick"].data, regret.runs["differentiable, seed 0"].data
    oracle = regret.runs["oracle"].data.metrics
    best = oracle["log_growth"]
    assert (oracle["score"], oracle["regret"]) == (1.0, 0.0)
    for run in (parent, child):
        assert run.metrics["score"] == pytest.approx(run.metrics["log_growth"] / best)
        assert run.metrics["regret"] == pytest.approx(best - run.metrics["log_growth"])
        assert {"effective_leverage", "trained_decisions", "untrained", "seconds"} <= run.metrics.keys()
    assert parent.metrics["differentiable/score"] == parent.metrics["score"] == child.metrics["score"]


def test_tags_say_what_tells_runs_apart(study):
    child = study.runs["ppo fold 0, seed 0"].data.tags
    expected = {
        "study": "tiny", "kind": "study", "policy": "ppo", "policy_kind": "agent", "contract": "market-b", "fold": "0",
        "seed": "0", "direction": "long", "code": study.study.config.code,
        "mlflow.parentRunId": study.runs["tiny"].info.run_id,
    }  # fmt: skip
    assert expected.items() <= child.items()
    assert child["mlflow.user"] == study.runs["tiny"].data.tags["mlflow.user"]
    rule = study.runs["fixed_1x fold 0"].data.tags
    assert rule["policy_kind"] == "rule"
    assert "seed" not in rule


def test_a_description_holds_the_question_and_the_result(study):
    note = study.runs["tiny"].data.tags["mlflow.note.content"]
    assert note.startswith("**Does a tiny study run?**")
    assert study.study.findings.line in note
    growth = study.runs["ppo fold 0, seed 0"].data.metrics["log_growth"]
    note = study.runs["ppo fold 0, seed 0"].data.tags["mlflow.note.content"]
    assert note.startswith("Agent `ppo` on fold 0 (train 20")
    assert f"Log growth {growth:+.3f} a year." in note


def test_learning_curves_go_by_decisions_trained_and_test_curves_by_decisions_tested(study):
    steps = [step for step, _ in study.curve("ppo fold 0, seed 0", "validation/best")]
    assert steps == [0, 2048, 4096]
    equity = study.curve("fixed_1x fold 0", "test/equity")
    assert equity[0] == (0, 1.0)
    assert equity[-1][0] == 90  # days of the test
    (result,) = [one for trial, one in study.study.results.items() if trial.policy == "fixed_1x"]
    assert equity[-1][1] == pytest.approx(result.equity[-1] / result.equity[0])
    assert len(equity) <= 60


def test_data_are_inputs_with_their_fingerprints(study, regret):
    (market,) = study.study.findings.markets.values()
    for name, use in (
        ("tiny", "study"),
        ("fixed_1x fold 0", "test"),
        ("ppo fold 0, seed 0", "training, validation, test"),
    ):
        (data,) = study.runs[name].inputs.dataset_inputs
        assert data.dataset.digest == market.fingerprint[:36]
        assert [tag.value for tag in data.tags] == [use]
    uses = {data.tags[0].value for data in regret.runs["differentiable, seed 0"].inputs.dataset_inputs}
    assert uses == {"training", "validation", "test"}


def test_the_page_of_the_runs_is_printed_with_the_command_that_shows_them(study):
    number = study.experiment.experiment_id
    address = f"http://127.0.0.1:5000/#/experiments/{number}/runs?workflowType=machine_learning"
    assert address in study.study.summary
    assert "mlflow ui --backend-store-uri" in study.study.summary
