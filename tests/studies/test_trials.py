"""A trial is named by all that its result depends on; results of other code count only where they are asked for."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import pandas as pd
import pytest
from pydantic import Field

from gearing.studies import experiment as module
from gearing.studies.experiment import ExperimentConfig, Findings, experiment
from gearing.studies.runner import run_study
from gearing.studies.trials import Store, Trial


@dataclass(frozen=True)
class Power(Trial):
    number: int
    seed: int = 0


class Powers(ExperimentConfig):
    """A kind of trials that leave a file each."""

    kind: Literal["powers"] = "powers"
    name: str = "powers"
    numbers: list[int] = Field(default=[1, 2, 3])
    exponent: int = 2


def compute(config, log, trial, place):
    with open(log, "a", encoding="utf-8") as calls:
        calls.write(f"{trial.number}\n")
    (place.folder / "number.txt").write_text(str(trial.number))
    if trial.number < 0:
        raise RuntimeError("no root")
    return {"power": trial.number**config.exponent}


@experiment(Powers)
def powers(config, work):
    work.on({})
    play = partial(compute, config, work.folder.parent / "calls")
    found = work.run([Power(number) for number in config.numbers], play)
    table = pd.DataFrame([{"number": one.trial.number, **one.summary} for one in found]).set_index("number")
    totals = work.part("total", lambda: pd.DataFrame({"total": [table.power.sum()]}))
    return Findings("powers", {"powers": table, "totals": totals})


def config(tmp_path, **given):
    return Powers(**{"tracking": {"enabled": False}, "output": str(tmp_path / "runs"), **given})


def calls(tmp_path):
    path = tmp_path / "runs" / "calls"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def place(config, trial=Power(2), data=None):
    return Store(config, config.folder, data or {"BTCUSDT": "aa"}).place(trial).name


def test_the_name_of_a_trial_changes_with_all_that_its_result_depends_on(tmp_path, monkeypatch):
    one = config(tmp_path)
    usual = place(one)
    assert usual == place(config(tmp_path, jobs=2, question="?"))
    assert usual.startswith("2-0-")  # readable
    others = [
        place(config(tmp_path, exponent=3)),
        place(one, Power(3)),
        place(one, Power(2, seed=1)),
        place(one, data={"BTCUSDT": "bb"}),
    ]
    monkeypatch.setattr(module, "code_digest", lambda: "of other code")
    others.append(place(one))
    assert len({usual, *others}) == 6


def test_results_come_back_in_the_order_of_the_trials_and_nothing_runs_twice(tmp_path):
    first = run_study(config(tmp_path, numbers=[3, 1, 2]))
    assert first.leaderboard.power.tolist() == [9, 1, 4]
    again = run_study(config(tmp_path, numbers=[3, 1, 2]))
    assert calls(tmp_path) == [3, 1, 2]
    assert again.leaderboard.equals(first.leaderboard)


def test_two_processes_give_the_same_results_as_one(tmp_path):
    one = run_study(config(tmp_path / "one"))
    two = run_study(config(tmp_path / "two"), jobs=2)
    assert two.leaderboard.equals(one.leaderboard)
    assert sorted(calls(tmp_path / "two")) == [1, 2, 3]


def test_a_trial_that_failed_is_run_again_and_finished_ones_are_not(tmp_path):
    with pytest.raises(RuntimeError, match="no root"):
        run_study(config(tmp_path, numbers=[2, -1]))
    with pytest.raises(RuntimeError, match="no root"):
        run_study(config(tmp_path, numbers=[2, -1]))
    assert calls(tmp_path) == [2, -1, -1]


class Shared(Power):
    """A trial that does not depend on how many there are."""

    def settings(self, config):
        return {"exponent": config.exponent}


def test_an_experiment_takes_over_what_another_of_its_name_computed(tmp_path):
    one, more = config(tmp_path), config(tmp_path, numbers=[1, 2, 3, 4])
    assert one.folder != more.folder
    stores = [Store(each, each.folder, {}) for each in (one, more)]
    stores[0].place(Shared(2)).mkdir(parents=True)
    stores[0].save(Shared(2), {"power": 4})
    assert stores[1].load(Shared(2)) is None
    assert stores[1].copy(Shared(2))
    assert stores[1].load(Shared(2)).summary == {"power": 4}
    assert not stores[1].copy(Shared(3))


def test_results_of_other_code_are_made_again_unless_they_are_requested(tmp_path, monkeypatch):
    run_study(config(tmp_path))
    monkeypatch.setattr(module, "code_digest", lambda: "0123456789abcdef")
    again = run_study(config(tmp_path))
    assert calls(tmp_path) == [1, 2, 3, 1, 2, 3]
    assert "code" not in again.leaderboard


@pytest.mark.parametrize("by_flag", [True, False])
def test_reused_results_of_other_code_are_marked_in_every_table(tmp_path, monkeypatch, by_flag):
    from gearing.storage.digest import code_digest

    run_study(config(tmp_path))
    monkeypatch.setattr(module, "code_digest", lambda: "0123456789abcdef")
    again = run_study(config(tmp_path, reuse=not by_flag), reuse=True if by_flag else None)
    assert calls(tmp_path) == [1, 2, 3]
    assert set(again.leaderboard["code"]) == {code_digest()}
    assert set(again.findings.tables["totals"]["code"]) == {code_digest()}
    assert code_digest() in (again.folder / "report.md").read_text(encoding="utf-8")
    assert "code" in (again.folder / "powers.csv").read_text(encoding="utf-8").splitlines()[0]


def test_every_trial_is_a_child_run_of_the_experiment(tmp_path):
    import mlflow

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    run_study(config(tmp_path, tracking={"uri": uri}))
    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("gearing").experiment_id])
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(runs) == 1 + len(children)
    assert sorted(run.data.metrics["power"] for run in children) == [1.0, 4.0, 9.0]
    assert {run.data.params["number"] for run in children} == {"1", "2", "3"}


@pytest.mark.parametrize("text", ["", '{"trial": "2', "[]", "{}"])
def test_a_damaged_summary_is_no_result(tmp_path, text):
    one = config(tmp_path, numbers=[2])
    run_study(one)
    for summary in one.folder.glob("trials/2-*/summary.json"):
        summary.write_text(text)
    assert run_study(one).leaderboard.power.tolist() == [4]
    assert calls(tmp_path) == [2, 2]
