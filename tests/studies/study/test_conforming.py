"""Policies of a user's own in an experiment file: a class, a function, a model of stable-baselines3."""

import numpy as np
import pytest
from tests.agents.own.models import model

from gearing.evaluation import PolicyError
from gearing.studies.reading import load_config
from gearing.studies.runner import run_study

OWN = """\
import numpy as np

from gearing.agents import from_callable


class Mine:
    required_columns = ("trend_7d",)
    action_scheme = "target"

    def __init__(self, leverage=2.0):
        self.leverage = leverage

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.where(observation["trend_7d"] > 0.0, self.leverage, 0.0), state


class Peeping(Mine):
    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.where(observation["momentum_30d"] > 0.0, self.leverage, 0.0), state


calm = from_callable(lambda x: np.where(x["realized_volatility_24h"] < 0.5, 3.0, 1.0), ["realized_volatility_24h"])
"""
EXPERIMENT = """\
market: {seed: 2, years: 1.2}
folds: {train: 200d, validate: 30d, test: 60d, count: 2}
decision: {max_leverage: 20, margin_share: 0.5}
forecast: null
columns: [trend_7d, momentum_30d]
rules:
  fixed_1x: fixed_1x
  mine: {rule: "FILE.py:Mine", leverage: 3}
  calm: FILE.py:calm
  theirs:
    rule: model.zip
    columns: [trend_7d, realized_volatility_24h, effective_leverage, drawdown]
    action: target
tracking: {enabled: false}
output: runs
"""


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = f"own_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(OWN)
    model("ppo").save(tmp_path / "model.zip")
    (tmp_path / "own.yaml").write_text(EXPERIMENT.replace("FILE", name))
    return tmp_path / "own.yaml"


def test_a_study_compares_them_with_rules_and_knows_when_their_files_change(experiment, tmp_path):
    study = run_study(experiment)
    assert list(study.leaderboard.index) == ["fixed_1x", "mine", "calm", "theirs"]
    assert np.isfinite(study.leaderboard.loc["theirs", "log_growth"])
    again = load_config(study.folder / "experiment.yaml")
    assert again.settings == study.config.settings
    model("ppo", policy_kwargs={"net_arch": [3]}).save(tmp_path / "model.zip")
    before = {path: path.stat().st_mtime_ns for path in study.folder.glob("trials/*/summary.json")}
    run_study(experiment)
    new = [path.parent.name for path in study.folder.glob("trials/*/summary.json") if path not in before]
    assert len(new) == 2  # of two folds
    assert all("theirs" in name for name in new)


def test_a_policy_that_reads_what_it_does_not_declare_is_refused_before_anything_is_played(experiment):
    text = experiment.read_text().replace(":Mine", ":Peeping")
    experiment.write_text(text)
    with pytest.raises(PolicyError, match=r"rules\.mine: Peeping breaks.*\n.*momentum_30d"):
        run_study(experiment)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("action: target", "acton: target", r"rules\.theirs.*no setting 'acton'. Did you mean 'action'"),
        ("    action: target\n", "", r"action 'leverage' is of Box"),
        ("drawdown]", "drawdowns]", r"no column 'drawdowns'. Did you mean 'drawdown'"),
        (", drawdown]", "]", "reads 4 columns, and 3 are named"),
        ("model.zip", "mode.zip", r"mode\.zip.*no such file|mode\.zip cannot be read"),
        ("leverage: 3", "leverag: 3", "Did you mean 'leverage'"),
    ],
)
def test_mistakes_are_found_when_the_file_is_read(experiment, old, new, message):
    experiment.write_text(experiment.read_text().replace(old, new))
    with pytest.raises(ValueError, match=message):
        load_config(experiment)
