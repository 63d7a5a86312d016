"""A trial is named by all that its result depends on; results of other code count only where they are asked for."""

import os
import shutil
import socket
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import Literal

import pandas as pd
import pytest
from pydantic import Field
from tests.kills.processes import FORK, die, forked, forked_at_once, waited

from gearing.cli.failures import explained
from gearing.plugins import users_frame
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
    monkeypatch.setattr(sys.modules[ExperimentConfig.__module__], "code_digest", lambda: "of other code")
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
        run_study(config(tmp_path, numbers=[2, -1], retries=0))
    with pytest.raises(RuntimeError, match="no root"):
        run_study(config(tmp_path, numbers=[2, -1], retries=0))
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
    assert stores[1].copy(Shared(2)) == {"power": 4}
    assert stores[1].load(Shared(2)) is None  # until it is saved, when its tracked run has ended
    stores[1].save(Shared(2), {"power": 4})
    assert stores[1].load(Shared(2)).summary == {"power": 4}
    assert stores[1].copy(Shared(3)) is None


def test_results_of_other_code_are_made_again_unless_they_are_requested(tmp_path, monkeypatch):
    run_study(config(tmp_path))
    monkeypatch.setattr(sys.modules[ExperimentConfig.__module__], "code_digest", lambda: "0123456789abcdef")
    again = run_study(config(tmp_path))
    assert calls(tmp_path) == [1, 2, 3, 1, 2, 3]
    assert "code" not in again.leaderboard


@pytest.mark.parametrize("by_flag", [True, False])
def test_reused_results_of_other_code_are_marked_in_every_table(tmp_path, monkeypatch, by_flag):
    from gearing.storage.digest import code_digest

    run_study(config(tmp_path))
    monkeypatch.setattr(sys.modules[ExperimentConfig.__module__], "code_digest", lambda: "0123456789abcdef")
    again = run_study(config(tmp_path, reuse=not by_flag), reuse=True if by_flag else None)
    assert calls(tmp_path) == [1, 2, 3]
    assert set(again.leaderboard["code"]) == {code_digest()}
    assert set(again.findings.tables["totals"]["code"]) == {code_digest()}
    assert code_digest() in (again.folder / "report.md").read_text(encoding="utf-8")
    assert "code" in (again.folder / "powers.csv").read_text(encoding="utf-8").splitlines()[0]


def test_every_trial_is_a_child_run_of_the_experiment(tmp_path, uri):
    import mlflow

    run_study(config(tmp_path, tracking={"uri": uri}))
    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("gearing").experiment_id])
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(runs) == 1 + len(children)
    assert sorted(run.data.metrics["power"] for run in children) == [1.0, 4.0, 9.0]
    assert {run.data.params["number"] for run in children} == {"1", "2", "3"}


def spoil_text(text):
    return lambda place, other: (place / "summary.json").write_text(text)


def change_a_file(place, other):
    (place / "number.txt").write_text("3")


def remove_a_file(place, other):
    (place / "number.txt").unlink()


def change_a_number(place, other):
    path = place / "summary.json"
    path.write_text(path.read_text().replace('"power": 4', '"power": 5'))


def copy_a_file_of_another_trial(place, other):
    shutil.copy(other / "number.txt", place)


def copy_the_summary_of_another_trial(place, other):
    shutil.copy(other / "summary.json", place)


def copy_all_of_another_trial(place, other):
    shutil.rmtree(place)
    shutil.copytree(other, place)


DAMAGE = [
    *map(spoil_text, ["", '{"trial": "2"', "[]", "{}", "\0\xff"]),
    change_a_file,
    remove_a_file,
    change_a_number,
    copy_a_file_of_another_trial,
    copy_the_summary_of_another_trial,
    copy_all_of_another_trial,
]


def places(config, number):
    (found,) = config.folder.glob(f"trials/{number}-*")
    return found


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_result_is_named_set_aside_and_made_again(tmp_path, damage, caplog):
    one = config(tmp_path, numbers=[2, 3])
    whole = run_study(one).leaderboard
    place = places(one, 2)
    damage(place, places(one, 3))
    assert run_study(one).leaderboard.equals(whole)
    assert calls(tmp_path) == [2, 3, 2]
    assert str(place) in caplog.text
    assert "the trial is run again" in caplog.text
    assert run_study(one).leaderboard.equals(whole)
    assert calls(tmp_path) == [2, 3, 2]
    assert damage in (remove_a_file,) or list(place.glob("*.damaged-1"))


def test_a_damaged_result_of_another_experiment_is_not_taken_over(tmp_path):
    one, more = config(tmp_path), config(tmp_path, numbers=[1, 2, 3, 4])
    stores = [Store(each, each.folder, {}) for each in (one, more)]
    place = stores[0].place(Shared(2))
    place.mkdir(parents=True)
    (place / "number.txt").write_text("2")
    stores[0].save(Shared(2), {"power": 4})
    assert stores[1].copy(Shared(2)) == {"power": 4}
    (place / "number.txt").write_text("22")
    assert stores[1].copy(Shared(2)) is None


def test_processes_that_share_a_folder_run_each_trial_once_and_find_the_same(tmp_path):
    one = config(tmp_path, numbers=list(range(1, 9)), exponent=3)

    def run(name):
        run_study(one).leaderboard.to_csv(tmp_path / name)

    assert forked_at_once([partial(run, f"{number}.csv") for number in range(3)]) == [0, 0, 0]
    assert sorted(calls(tmp_path)) == list(range(1, 9))
    assert len({(tmp_path / f"{number}.csv").read_text() for number in range(3)}) == 1
    assert not list(one.folder.rglob("*.claim"))


def test_a_trial_of_a_process_that_dies_is_run_by_one_that_waits_for_it(tmp_path, monkeypatch):
    one = config(tmp_path, numbers=[1, 2])

    usual = compute

    def die_in_the_second(config, log, trial, place):
        if trial.number == 2:
            waited(lambda: (tmp_path / "there is another").exists())
            time.sleep(0.3)
            die()
        return usual(config, log, trial, place)

    def first():
        monkeypatch.setitem(globals(), "compute", die_in_the_second)
        run_study(one)

    child = FORK.Process(target=first)
    child.start()
    waited(lambda: list(one.folder.glob("trials/.2-*.claim")))
    (tmp_path / "there is another").touch()
    assert run_study(one).leaderboard.power.tolist() == [1, 4]
    child.join()
    assert child.exitcode == -9
    assert calls(tmp_path) == [1, 2]


def test_a_name_of_any_length_makes_a_folder(tmp_path):
    @dataclass(frozen=True)
    class Long(Trial):
        text: str

    one = config(tmp_path)
    store = Store(one, one.folder, {})
    names = {store.place(Long(text)).name for text in ("x" * 300, "x" * 301, "漢" * 300)}
    assert len(names) == 3
    assert all(len(name.encode()) < 160 for name in names)


def tracked_runs(uri):
    import mlflow

    client = mlflow.MlflowClient(uri)
    return client.search_runs([client.get_experiment_by_name("gearing").experiment_id])


def test_the_run_of_a_trial_has_ended_before_the_trial_counts(tmp_path, uri, monkeypatch):
    one = config(tmp_path, numbers=[2, 3], tracking={"uri": uri})
    save = Store.save

    def die_before_the_second(store, trial, summary):
        if trial == Power(3):
            die()
        save(store, trial, summary)

    def first():
        monkeypatch.setattr(Store, "save", die_before_the_second)
        run_study(one)

    assert forked(first) == -9
    done = run_study(one)
    assert done.leaderboard.power.tolist() == [4, 9]
    assert done.undelivered is None
    assert {run.info.status for run in tracked_runs(uri)} == {"FINISHED"}
    assert len(tracked_runs(uri)) == 3
    assert calls(tmp_path) == [2, 3, 3]


def test_a_run_again_that_fails_leaves_the_finished_run_finished(tmp_path, uri, monkeypatch):
    one = config(tmp_path, numbers=[2], tracking={"uri": uri})
    run_study(one)

    def fail(folder):
        raise RuntimeError("no room for the report")

    with monkeypatch.context() as patch:
        patch.setattr("gearing.studies.runner.write_report", fail)
        with pytest.raises(RuntimeError, match="no room"):
            run_study(one)
    run_study(one)
    assert [run.info.status for run in tracked_runs(uri)] == ["FINISHED", "FINISHED"]


def test_processes_that_share_a_folder_leave_one_finished_run_of_each_trial(tmp_path, uri):
    one = config(tmp_path, numbers=[1, 2, 3, 4], tracking={"uri": uri})
    assert forked_at_once([partial(run_study, one)] * 2) == [0, 0]
    found = tracked_runs(uri)
    assert {run.info.status for run in found} == {"FINISHED"}
    assert sorted(run.info.run_name for run in found) == ["1-0", "2-0", "3-0", "4-0", "powers"]
    assert calls(tmp_path) == sorted(calls(tmp_path)) == [1, 2, 3, 4] or sorted(calls(tmp_path)) == [
        1,
        2,
        3,
        4,
    ]


def test_records_that_did_not_arrive_are_said_at_the_end(tmp_path):
    with socket.socket() as probe:  # a port where nobody listens
        probe.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{probe.getsockname()[1]}"
    one = config(tmp_path, numbers=[2], tracking={"uri": uri})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        done = run_study(one)
    assert done.leaderboard.power.tolist() == [4]
    # start, params, tag and four files and end of the experiment's run; start, params, metrics and end of the trial's
    assert "records have not reached the tracker" in done.undelivered
    assert str(tmp_path / "mlruns" / "spool") in done.undelivered


class Rooted(Powers):
    """A kind whose trials of negative numbers end in the ways that a user's code may end."""

    kind: Literal["rooted"] = "rooted"
    ending: str = "error"


class TwoParts(Exception):  # noqa: N818
    """An error that cannot be rebuilt from its message."""

    def __init__(self, what, why):
        super().__init__(f"{what}: {why}")


def rooted(config, trial, place):
    if trial.number < 0:
        endings = {
            "error": lambda: {}["no root"],
            "two parts": lambda: (_ for _ in ()).throw(TwoParts("no", "root")),
            "exit": lambda: sys.exit(0),
            "memory": lambda: (_ for _ in ()).throw(MemoryError("no root")),
            "killed": die,
            "left": lambda: os._exit(0),
        }
        endings[config.ending]()
    return {"power": trial.number**2}


@experiment(Rooted)
def run_rooted(config, work):
    work.on({})
    found = work.run([Power(number) for number in config.numbers], partial(rooted, config))
    return Findings("rooted", {"powers": pd.DataFrame([one.summary for one in found])})


def rooted_config(tmp_path, ending, **given):
    return Rooted(
        tracking={"enabled": False}, output=str(tmp_path / "runs"), ending=ending, numbers=[-1, 2, 3], **given
    )


@pytest.mark.parametrize(
    ("ending", "kind", "text"),
    [
        ("error", KeyError, "no root"),
        ("two parts", RuntimeError, "TwoParts: no: root"),
        ("exit", SystemExit, "0"),
        ("memory", MemoryError, "no root"),
    ],
)
def test_a_trial_that_fails_in_a_worker_says_where_and_the_others_finish(tmp_path, ending, kind, text):
    config = rooted_config(tmp_path, ending)
    with pytest.raises(kind, match=text) as raised:
        run_study(config, jobs=2)
    store = Store(config, config.folder, {})
    assert [store.load(Power(number)) is not None for number in config.numbers] == [False, True, True]
    assert users_frame(raised.value).file == __file__


@pytest.mark.parametrize("ending", ["killed", "left"])
def test_a_worker_that_is_killed_ends_the_study_with_one_message(tmp_path, ending):
    with pytest.raises(BaseException) as raised:
        run_study(rooted_config(tmp_path, ending), jobs=2)
    assert explained(raised.value)[1].startswith("a worker process was killed")
