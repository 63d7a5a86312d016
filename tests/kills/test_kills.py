"""Whenever a process is killed, the next one ends with the same results: nothing is lost, doubled or falsely marked.

Half of the kills come at random moments, half just before or after the steps that make something count: a draft takes
its name, a record of a run is written, sent, marked as delivered, a trial is claimed.
"""

import importlib
import os
import random
import shutil
from dataclasses import dataclass
from functools import partial
from typing import Literal

import pandas as pd
import pytest
from tests.agents.test_training import assert_same, train, weights
from tests.kills.processes import aimed, forked, returned
from tests.market.sources.test_download import assert_whole, run

from gearing.agents.checkpoints import CheckpointFolder
from gearing.market.sources.download import ARCHIVE
from gearing.market.sources.fetching import Fetcher
from gearing.storage.atomic import write_json
from gearing.storage.digest import code_digest, file_digest
from gearing.studies.claims import Claims
from gearing.studies.experiment import ExperimentConfig, Findings, experiment
from gearing.studies.runner import run_study
from gearing.studies.trials import Trial
from gearing.tracking import Tracker
from gearing.tracking.delivery import MlflowSender
from gearing.tracking.journal import Journal

mlflow = pytest.importorskip("mlflow", reason="tracking needs the extra 'track'")
for name in (
    "tracking",
    "model_registry",
):  # once for all copies of this process, which would import them each
    importlib.import_module(f"mlflow.store.{name}.sqlalchemy_store")
importlib.import_module("mlflow.artifacts")
code_digest()  # once for all copies of this process, also while somebody edits the package
FEW_OR_MANY = [1, pytest.param(50, marks=pytest.mark.slow)]
IN_A_ROW = 5  # kills of one study, training or run, before it runs to its end
FILES = ((os, "replace"), (os, "rename"))
RECORDS = ((Journal, "append"), (Journal, "keep"), (Journal, "delivered"), (Journal, "remove"))
SENDING = ((MlflowSender, "deliver"), (MlflowSender, "mark_killed"))


def killed(action, times, steps, seed, longest=1.0):
    """Run an action in processes that are killed."""
    draws = random.Random(seed)
    for number in range(times):
        if number % 2:
            forked(action, killed_after=draws.uniform(0.0, longest))
        else:
            forked(partial(aimed, action, draws.choice(steps), draws.randint(1, 9), draws.random() < 0.5))


def home(tmp_path, empty_database, name):
    """A folder with a database, and its address."""
    folder = tmp_path / str(name)
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")
    return folder, f"sqlite:///{folder / 'mlflow.db'}"


def tracked(uri, experiment):
    """Name, status, last metrics, steps of the loss, parameters and files of each run; a run twice is there twice."""
    client = mlflow.MlflowClient(uri)
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return sorted(
        (
            run.info.run_name,
            run.info.status,
            sorted(run.data.metrics.items()),
            [point.step for point in client.get_metric_history(run.info.run_id, "loss")],
            sorted(run.data.params.items()),
            sorted(item.path for item in client.list_artifacts(run.info.run_id)),
        )
        for run in found
    )


def left_over(folder):
    return [path.name for path in folder.rglob("*") if path.name.endswith((".part", ".claim", ".jsonl"))]


@dataclass(frozen=True)
class Square(Trial):
    number: int


class Squares(ExperimentConfig):
    """A kind whose trials write files, and metrics and files of their runs."""

    kind: Literal["squares"] = "squares"
    name: str = "squares"
    numbers: tuple[int, ...] = (1, 2)


def square(config, trial, place):
    write_json(place.folder / "number.json", trial.number)
    for step in range(3):
        place.run.log_metrics({"loss": 1.0 / (1 + step)}, step=step)
    place.run.log_text(str(trial.number), "number.txt")
    return {"square": trial.number**2}


@experiment(Squares)
def squares(config, work):
    work.on({})
    found = work.run([Square(number) for number in config.numbers], partial(square, config))
    table = pd.DataFrame([{"number": one.trial.number, **one.summary} for one in found]).set_index("number")
    return Findings("squares", {"leaderboard": table}, metrics={"total": float(table.square.sum())})


def study(folder, uri):
    return Squares(tracking={"uri": uri}, output=str(folder / "runs"))


def what_a_study_leaves(folder, uri):
    run_study(study(folder, uri))
    table = (study(folder, uri).folder / "leaderboard.csv").read_bytes()
    runs = [(*run[:4], run[5]) for run in tracked(uri, "gearing")]  # parameters hold the folder
    return table, runs, left_over(folder)


@pytest.mark.parametrize("count", FEW_OR_MANY)
def test_a_study_that_was_killed_ends_with_the_same_leaderboard_and_runs(tmp_path, empty_database, count):
    steps = (*FILES, *RECORDS, *SENDING, (Claims, "take"))
    expected = returned(partial(what_a_study_leaves, *home(tmp_path, empty_database, "whole")))
    assert expected[2] == []
    for number in range(max(1, count // IN_A_ROW)):
        folder, uri = home(tmp_path, empty_database, number)
        killed(partial(run_study, study(folder, uri)), min(count, IN_A_ROW), steps, seed=number)
        assert returned(partial(what_a_study_leaves, folder, uri)) == expected


def log_twenty_steps(uri, folder):
    tracker = Tracker(uri, "kills", interval=0.05)
    with tracker.run("trial", key="trial") as run:
        run.log_params({"seed": 1})
        for step in range(20):
            run.log_metrics({"loss": 1.0 / (1 + step)}, step=step)
        (folder / "note.txt").write_text("a note")
        run.log_artifact(folder / "note.txt")
        run.log_metrics({"growth": 0.5})
    tracker.close()


def what_tracking_leaves(folder, uri):
    log_twenty_steps(uri, folder)
    return tracked(uri, "kills"), left_over(folder)


@pytest.mark.parametrize("count", FEW_OR_MANY)
def test_a_tracked_run_that_was_killed_has_each_record_once(tmp_path, empty_database, count):
    expected = returned(partial(what_tracking_leaves, *home(tmp_path, empty_database, "whole")))
    assert expected[1] == []
    assert expected[0][0][3] == list(range(20))
    for number in range(max(1, count // IN_A_ROW)):
        folder, uri = home(tmp_path, empty_database, number)
        action = partial(log_twenty_steps, uri, folder)
        killed(action, min(count, IN_A_ROW), (*FILES, *RECORDS, *SENDING), seed=number, longest=0.3)
        assert returned(partial(what_tracking_leaves, folder, uri)) == expected


def train_all(folder):
    return weights(train(checkpoint_dir=folder, resume="restart", total_decisions=1024))


@pytest.mark.parametrize("count", FEW_OR_MANY)
def test_a_training_that_was_killed_ends_with_the_same_weights(tmp_path, count):
    expected = weights(train(total_decisions=1024))
    for number in range(max(1, count // IN_A_ROW)):
        folder = tmp_path / str(number)
        steps = (*FILES, (CheckpointFolder, "write"))
        killed(partial(train_all, folder), min(count, IN_A_ROW), steps, seed=number)
        assert_same(expected, train_all(folder))
        assert [path.name for path in folder.iterdir()] == ["checkpoint.pt"]


def what_a_download_leaves(folder, server, market):
    assert run(server, folder).exit_code == 0
    assert_whole(folder, market)
    return {
        path.relative_to(folder).as_posix(): file_digest(path) for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("count", FEW_OR_MANY)
def test_a_download_that_was_killed_ends_with_the_same_files(tmp_path, server, archive, market, count):
    expected = what_a_download_leaves(tmp_path / "whole", server, market)
    for number in range(max(1, count // IN_A_ROW)):
        folder = tmp_path / str(number)
        action = partial(run, server, folder)
        killed(action, min(count, IN_A_ROW), (*FILES, (Fetcher, "fetch_all")), seed=number, longest=0.3)
        for path in (folder / ARCHIVE).rglob("*.zip"):  # whatever is there is whole
            assert path.read_bytes() == archive[path.relative_to(folder / ARCHIVE).as_posix()]
        for path in folder.glob("binance-um/*/*.parquet"):
            pd.read_parquet(path)
        assert what_a_download_leaves(folder, server, market) == expected
