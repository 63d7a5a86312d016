"""A trial that fails is run again, then listed with its traceback; the others finish and are in the tables."""

import shutil
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
from pydantic import Field
from tests.kills.processes import forked_at_once
from typer.testing import CliRunner

from gearing.cli import app
from gearing.policies.registry import RULES
from gearing.studies.engines.attempts import Runner
from gearing.studies.engines.failures import TABLE
from gearing.studies.experiment import ExperimentConfig, Findings, experiment
from gearing.studies.runner import run_study
from gearing.studies.trials import Store, Trial
from gearing.tracking import Tracker


@dataclass(frozen=True)
class Root(Trial):
    number: int


class Roots(ExperimentConfig):
    """A kind whose trials fail for negative numbers; of an odd one, the first time."""

    kind: Literal["roots"] = "roots"
    name: str = "roots"
    numbers: list[int] = Field(default=[4, 9, -1])
    needed: bool = False


def root(log, trial, place):
    begun = log.with_name(f"begun-{trial.number}")
    with begun.open("a") as file:
        file.write(".")
    if trial.number < 0:
        raise KeyError(f"no root of {trial.number}")
    if trial.number % 2 and begun.stat().st_size == 1:
        raise OSError("the disk was away")
    time.sleep(0.2)
    return {"root": trial.number**0.5}


@experiment(Roots)
def roots(config, work):
    work.on({})
    trials = [Root(number) for number in config.numbers]
    found = work.run(trials, partial(root, work.folder.parent / "log"), needed=config.needed)
    return Findings("roots", {"roots": pd.DataFrame([one.summary for one in found])})


def config(tmp_path, **given):
    return Roots(tracking={"enabled": False}, output=str(tmp_path / "runs"), **given)


def begun(tmp_path, number):
    return (tmp_path / "runs" / f"begun-{number}").stat().st_size


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_trial_that_raises_is_run_again_then_listed_and_the_others_are_in_the_table(tmp_path, jobs):
    done = run_study(config(tmp_path), jobs=jobs)
    assert done.leaderboard.root.tolist() == [2.0, 3.0]
    assert [begun(tmp_path, number) for number in (4, 9, -1)] == [1, 2, 2]
    assert done.failed.loc["-1", "attempts"] == 2
    lines = Path(__file__).read_text().splitlines()
    number = 1 + lines.index('        raise KeyError(f"no root of {trial.number}")')
    assert done.failed.loc["-1", "error"] == f"{__file__}, line {number}, in root: KeyError: 'no root of -1'"
    assert pd.read_csv(done.folder / TABLE).trial.tolist() == [-1]
    text = (done.folder / done.failed.loc["-1", "traceback"]).read_text()
    assert 'raise KeyError(f"no root of {trial.number}")' in text
    assert done.findings.line == "roots; trials that failed and are missing: 1"
    assert str(done.folder / TABLE) in done.warning
    assert "-1" in (done.folder / "report.md").read_text()


def test_a_trial_that_succeeds_later_is_no_longer_listed(tmp_path, monkeypatch):
    assert not run_study(config(tmp_path)).failed.empty
    monkeypatch.setitem(globals(), "root", lambda log, trial, place: {"root": 0.0})
    done = run_study(config(tmp_path))
    assert done.failed.empty
    assert done.warning is None
    assert not (done.folder / TABLE).exists()
    assert not list((done.folder / "failed").iterdir())


def test_an_experiment_that_needs_every_trial_ends_with_its_error_after_the_others(tmp_path):
    with pytest.raises(KeyError, match="no root of -1"):
        run_study(config(tmp_path, needed=True, retries=0, numbers=[-1, 4]))
    assert begun(tmp_path, 4) == 1
    assert pd.read_csv(config(tmp_path, needed=True, numbers=[-1, 4]).folder / TABLE).attempts.tolist() == [1]


def test_processes_that_share_a_folder_take_the_failure_of_another_for_their_own(tmp_path):
    one = config(tmp_path, numbers=[-1, 4, 16, -2, 25, 36], retries=2)

    def run():
        assert len(run_study(one).failed) == 2

    assert forked_at_once([run, run]) == [0, 0]
    # A process that begins after another's failure tries again: each at most its three times.
    assert begun(tmp_path, -1) in (3, 6)
    assert [begun(tmp_path, number) for number in (4, 16, 36)] == [1, 1, 1]


def test_a_folder_that_is_removed_during_the_study_ends_it_with_one_sentence(tmp_path, monkeypatch, capsys):
    def removed(log, trial, place):
        if trial.number == 9:
            shutil.rmtree(place.folder.parent.parent)
        return {}

    monkeypatch.setitem(globals(), "root", removed)

    with pytest.raises(
        ValueError, match=r"roots-\w+ was removed or renamed while its experiment ran\. Run the"
    ):
        run_study(config(tmp_path, numbers=[4, 9, 16]), progress=True)
    assert "waiting" not in capsys.readouterr().out  # for nobody


def test_a_machine_that_does_not_see_the_folder_returns_the_files_of_a_result(tmp_path):
    one = config(tmp_path, numbers=[4, -1])
    (tmp_path / "runs").mkdir()
    store = Store(one, one.folder, {})
    runner = Runner(store, partial(root, tmp_path / "runs" / "log"), marker=tmp_path / "not here")
    ended = runner((Root(4), None))
    assert not one.folder.exists()
    assert list(ended.files) == ["summary.json"]
    store.unpack(Root(4), ended.files)
    assert store.load(Root(4)).summary == {"root": 2.0}
    failed = runner((Root(-1), None))
    assert failed.count == 2
    assert "no root of -1" in str(failed.error.exc)


def test_a_machine_that_does_not_see_the_folder_refuses_a_tracking_database_in_a_file(tmp_path):
    tracker = Tracker(f"sqlite:///{tmp_path}/mlflow.db", "x")
    one = config(tmp_path, numbers=[4])
    runner = Runner(Store(one, one.folder, {}), partial(root, tmp_path), marker=tmp_path / "not here")
    assert "is a file that" in str(runner((Root(4), tracker)).error.exc)


BROKEN = """\
from gearing.policies.registry import rule
from gearing.policies.rules.rule import Rule
from dataclasses import dataclass

@rule("broken")
@dataclass(frozen=True)
class Broken(Rule):
    required_columns = ("momentum_30d",)

    def choose(self, observation):
        raise ZeroDivisionError("no leverage today")
"""
STUDY = """\
market: {seed: 2, years: 2}
folds: {train: 200d, validate: 60d, test: 90d, count: 2}
decision: {max_leverage: 20, margin_share: 0.5}
forecast: null
tracking: {enabled: false}
retries: 0
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "broken_rule.py"
    path.write_text(BROKEN)
    yield path
    if "broken" in RULES:
        RULES.remove("broken")


@pytest.fixture
def study(tmp_path, plugin):
    def written(more):
        path = tmp_path / "study.yaml"
        path.write_text(f"{STUDY}{more}plugins: [{plugin}]\noutput: {tmp_path}/runs\n")
        return str(path)

    return written


@pytest.mark.parametrize(
    ("more", "rows"),
    [
        ("rules: [fixed_1x, broken, tiered]\n", ["fixed_1x", "tiered"]),
        ("rules: [broken, fixed_1x]\n", ["fixed_1x"]),  # the baseline itself
    ],
)
def test_a_study_with_a_failing_rule_ends_with_its_tables_and_exit_code_1(study, tmp_path, more, rows):
    done = CliRunner().invoke(app, ["study", study(more)])
    assert done.exit_code == 1, done.output
    assert "2 trials failed and are missing from the tables" in done.stderr
    (board,) = (tmp_path / "runs").glob("study-*/leaderboard.csv")
    assert pd.read_csv(board).policy.tolist() == rows
    failed = pd.read_csv(board.with_name(TABLE))
    assert failed.trial.tolist() == ["fold0-broken", "fold1-broken"]
    line = 1 + BROKEN.splitlines().index('        raise ZeroDivisionError("no leverage today")')
    (error,) = set(failed.error)
    assert error.endswith(f"broken_rule.py, line {line}, in choose: ZeroDivisionError: no leverage today")


def test_a_study_with_groups_leaves_out_what_failed(study, tmp_path):
    more = "groups: {both: [BTCUSDT, ETHUSDT]}\nrules: [fixed_1x, broken, tiered]\n"
    done = CliRunner().invoke(app, ["study", study(more)])
    assert done.exit_code == 1, done.output
    (table,) = (tmp_path / "runs").glob("study-*/policies.csv")
    assert pd.read_csv(table).policy.tolist() == ["fixed_1x", "tiered"]


def test_a_study_in_which_everything_failed_ends_with_the_error_itself(study):
    done = CliRunner().invoke(app, ["study", study("rules: [broken]\n")])
    assert isinstance(done.exception, ZeroDivisionError)
