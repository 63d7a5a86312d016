"""What is logged arrives once: in good weather, after a kill, and after the tracker was away."""

import logging
import os
import pickle
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from gearing.tracking import Tracker, find_runs
from gearing.tracking.journal import Journal

EXPERIMENT = "leverage"
LOG_FOREVER = """
import sys, time
from gearing.tracking import Tracker
tracker = Tracker(sys.argv[1], "leverage", interval=0.05)
with tracker.run("trial", key="trial-1") as run:
    step = 0
    while True:
        run.log_metrics({"equity": 1000.0 + step}, step=step)
        print(step, flush=True)
        time.sleep(0.001)
        step += 1
"""
SHORT_TRIAL = """
import pickle, sys
tracker = pickle.load(sys.stdin.buffer)
with tracker.run("trial", key="trial-1", parent="study-1") as run:
    run.log_metrics({"loss": 1.0}, step=1)
tracker.close()
print("mlflow" in sys.modules)
"""
LOG_AND_DIE = """
import os, sys
from gearing.tracking import Tracker
tracker = Tracker(sys.argv[1], "leverage", interval=60.0)
with tracker.run("trial", key="trial-1") as run:
    for step in range(5):
        run.log_metrics({"loss": 1.0}, step=step)
    os._exit(1)
"""
OPEN: list[Tracker] = []
ON_REQUEST = 60.0  # an interval at which nothing is sent before a flush, or the end of a run, wants it


@pytest.fixture
def client(uri):
    mlflow = pytest.importorskip("mlflow")
    return mlflow.MlflowClient(uri)


@pytest.fixture
def own_settings():
    """What a test sets in MLflow ends with it."""
    mlflow = pytest.importorskip("mlflow")
    environment = {name: os.environ.get(name) for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")}
    yield
    mlflow.set_tracking_uri("")
    mlflow.set_registry_uri("")
    for name, value in environment.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def open_tracker(uri, interval=0.05, **settings):
    OPEN.append(Tracker(uri, EXPERIMENT, interval=interval, **settings))
    return OPEN[-1]


@pytest.fixture(autouse=True)
def no_writer_outlives_its_test():
    yield
    while OPEN:
        OPEN.pop().close()


def runs(client):
    found = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    return {run.info.run_name: run for run in found}


def history(client, run_name, metric):
    return [(m.step, m.value) for m in client.get_metric_history(runs(client)[run_name].info.run_id, metric)]


def spooled(tracker):
    return [path.name for path in tracker.spool.iterdir() if not path.name.endswith(".lock")]


def doubling_network(path):
    onnx = pytest.importorskip("onnx")
    make = onnx.helper
    rows = [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 2]) for name in ("x", "y")]
    two = make.make_tensor("two", onnx.TensorProto.FLOAT, [1], [2.0])
    graph = make.make_graph([make.make_node("Mul", ["x", "two"], ["y"])], "double", rows[:1], rows[1:], [two])
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9), path)
    return path


def test_parameters_metrics_tags_and_data_arrive_and_the_spool_is_empty_afterwards(uri, client):
    tracker = open_tracker(uri)
    with tracker.run("study", tags={"question": "does it help?"}) as run:
        run.log_params({"agent": {"algorithm": "ppo", "seeds": 3}})
        for step in range(2500):  # more than two of MLflow's batches
            run.log_metrics({"equity": step / 2}, step=step)
        run.log_dataset("BTCUSDT 1h", fingerprint="f" * 64, source="a folder", bars=3)
    arrived = runs(client)["study"]
    assert arrived.info.status == "FINISHED"
    assert arrived.data.params == {"agent.algorithm": "ppo", "agent.seeds": "3"}
    assert arrived.data.tags["question"] == "does it help?"
    assert history(client, "study", "equity") == [(step, step / 2) for step in range(2500)]
    dataset = arrived.inputs.dataset_inputs[0].dataset
    assert (dataset.name, dataset.digest) == ("BTCUSDT 1h", "f" * 36)
    assert spooled(tracker) == []


def test_files_arrive_as_they_were_when_logged(uri, client, tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "settings.json").write_text("{}")
    with open_tracker(uri).run("study") as run:
        run.log_artifact(folder)
        shutil.rmtree(folder)
        run.log_text("market: {}", "config/study.yaml")
    run_id = runs(client)["study"].info.run_id
    assert [item.path for item in client.list_artifacts(run_id, "bundle")] == ["bundle/settings.json"]
    assert Path(client.download_artifacts(run_id, "config/study.yaml")).read_text() == "market: {}"


def test_a_figure_arrives_as_a_picture(uri, client):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, axes = pyplot.subplots()
    axes.plot([1, 2])
    with open_tracker(uri).run("study") as run:
        run.log_figure(figure, "equity.png")
    pyplot.close(figure)
    assert [item.path for item in client.list_artifacts(runs(client)["study"].info.run_id)] == ["equity.png"]


def test_a_model_arrives_as_a_loadable_registered_version_with_its_alias(uri, client, tmp_path, own_settings):
    pytest.importorskip("onnxruntime")
    mlflow = pytest.importorskip("mlflow")
    with open_tracker(uri).run("study") as run:
        run.log_model(doubling_network(tmp_path / "m.onnx"), register_as="btc-policy", aliases=["champion"])
    mlflow.set_tracking_uri(uri)  # where load_model looks
    model = mlflow.pyfunc.load_model("models:/btc-policy@champion")
    assert model.predict(np.array([[1.0, 2.0], [3.0, 4.0]])).tolist() == [[2.0, 4.0], [6.0, 8.0]]


def test_the_same_model_logged_again_makes_no_new_version_and_another_one_does(uri, client, tmp_path):
    pytest.importorskip("onnxruntime")
    tracker = open_tracker(uri)
    network = doubling_network(tmp_path / "m.onnx")
    for _ in range(2):
        with tracker.run("study", key="study-1") as run:
            run.log_model(network, register_as="btc-policy")
    assert len(client.search_model_versions("name = 'btc-policy'")) == 1
    extra = tmp_path / "bundle"
    extra.mkdir()
    (extra / "manifest.json").write_text("{}")
    with tracker.run("study", key="study-1") as run:
        run.log_model(network, extra_files=extra, register_as="btc-policy")
    assert len(client.search_model_versions("name = 'btc-policy'")) == 2


def test_mlflow_settings_of_the_process_and_its_active_run_stay_the_users_own(
    uri, tmp_path, empty_database, own_settings
):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("onnxruntime")
    mine = f"sqlite:///{tmp_path / 'mine.db'}"
    shutil.copy(empty_database, tmp_path / "mine.db")
    mlflow.set_tracking_uri(mine)
    mlflow.set_registry_uri(mine)
    mlflow.set_experiment("my own")
    environment, level = dict(os.environ), logging.getLogger("alembic").level
    with mlflow.start_run() as active:
        with open_tracker(uri).run("study") as run:
            run.log_metrics({"m": 1.0}, step=0)
            run.log_model(doubling_network(tmp_path / "m.onnx"), register_as="btc-policy")
        assert mlflow.active_run().info.run_id == active.info.run_id
        mlflow.log_metric("of_my_own", 1.0)
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == (mine, mine)
    assert (dict(os.environ), logging.getLogger("alembic").level) == (environment, level)
    (own,) = mlflow.MlflowClient(mine).search_runs([active.info.experiment_id])
    assert (own.data.metrics, own.info.status) == ({"of_my_own": 1.0}, "FINISHED")
    assert mlflow.MlflowClient(mine).search_registered_models() == []
    assert len(mlflow.MlflowClient(uri, uri).search_model_versions("name = 'btc-policy'")) == 1


def test_a_child_knows_its_parent_even_from_another_process(uri, client):
    tracker = open_tracker(uri)
    with tracker.run("study", key="study-1"):
        elsewhere = pickle.loads(pickle.dumps(tracker))
        with elsewhere.run("trial", parent="study-1"):
            pass
        tracker.flush()
    arrived = runs(client)
    assert arrived["trial"].data.tags["mlflow.parentRunId"] == arrived["study"].info.run_id


def test_a_worker_imports_no_mlflow_for_a_short_trial_and_its_run_is_sent_by_the_main_process(uri, client):
    tracker = open_tracker(uri, ON_REQUEST)
    with tracker.run("study", key="study-1"):
        worker = pickle.dumps(tracker.for_worker())
        printed = subprocess.run(
            [sys.executable, "-c", SHORT_TRIAL], input=worker, capture_output=True, check=True
        ).stdout
    assert printed.split() == [b"False"]
    arrived = runs(client)
    assert arrived["trial"].info.status == "FINISHED"
    assert arrived["trial"].data.tags["mlflow.parentRunId"] == arrived["study"].info.run_id
    assert history(client, "trial", "loss") == [(1, 1.0)]
    assert [name for name in spooled(tracker) if name.endswith(".jsonl")] == []


def test_a_worker_sends_a_long_run_itself(uri, client):
    worker = open_tracker(uri, defer=0.05)
    with worker.run("trial", key="trial-1") as run:
        run.log_metrics({"loss": 1.0}, step=1)
        deadline = time.monotonic() + 60.0
        while client.get_experiment_by_name(EXPERIMENT) is None or "trial" not in runs(client):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert runs(client)["trial"].info.status == "RUNNING"


def test_an_experiment_opens_as_training_of_models_also_one_of_older_versions(uri, client):
    older = client.create_experiment(EXPERIMENT)
    client.set_experiment_tag(older, "mlflow.note.content", "my own words")
    with open_tracker(uri).run("study"):
        pass
    tags = client.get_experiment(older).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    assert tags["mlflow.note.content"] == "my own words"


def test_children_of_a_study_look_their_parent_up_once(uri, client, monkeypatch):
    from gearing.tracking import delivery

    looked_up = []
    find = delivery.find_parent
    monkeypatch.setattr(delivery, "find_parent", lambda *given: looked_up.append(1) or find(*given))
    tracker = open_tracker(uri, ON_REQUEST)
    with tracker.run("study", key="study-1"):
        tracker.flush()
        for number in range(3):
            with tracker.run(f"trial-{number}", parent="study-1"):
                pass
        tracker.flush()
    assert len(looked_up) == 1
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs(client).values()}
    assert parents == {None, runs(client)["study"].info.run_id}


def test_a_run_that_raises_is_marked_failed_and_the_error_passes(uri, client):
    with pytest.raises(ZeroDivisionError), open_tracker(uri).run("study"):
        1 / 0  # noqa: B018
    assert runs(client)["study"].info.status == "FAILED"


def test_a_killed_process_loses_nothing_it_logged_and_nothing_arrives_twice(uri, client):
    process = subprocess.Popen([sys.executable, "-c", LOG_FOREVER, uri], stdout=subprocess.PIPE, text=True)
    written = 0
    while not _some_but_not_all_delivered(Path(uri.removeprefix("sqlite:///")).parent / "spool"):
        written = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    written = max([written, *(int(line) for line in process.stdout.read().split())])
    process.wait()

    assert open_tracker(uri).flush(timeout=60) == 0
    arrived = history(client, "trial", "equity")
    assert arrived[: written + 1] == [(step, 1000.0 + step) for step in range(written + 1)]
    assert len(arrived) - (written + 1) in (0, 1)  # one may have been written, and not yet printed
    assert runs(client)["trial"].info.status == "KILLED"


def _some_but_not_all_delivered(spool):
    state = next(iter(spool.glob("*.state.json")), None)
    return state is not None and '"delivered": 0' not in state.read_text()


def test_a_run_taken_up_again_is_the_same_run_and_repeats_no_step(uri, client):
    tracker = open_tracker(uri)
    for _ in range(2):
        with tracker.run("trial", key="trial-1") as run:
            for step in range(5):
                run.log_metrics({"loss": 1.0}, step=step)
    assert runs(client)["trial"].info.status == "FINISHED"
    assert [step for step, _ in history(client, "trial", "loss")] == [0, 1, 2, 3, 4]


def test_an_interrupted_run_says_so(uri, client):
    with pytest.raises(KeyboardInterrupt), open_tracker(uri).run("trial"):
        raise KeyboardInterrupt
    assert runs(client)["trial"].info.status == "KILLED"


def test_a_killed_run_goes_on_from_its_last_checkpoint_without_doubling_steps(uri, client):
    assert subprocess.run([sys.executable, "-c", LOG_AND_DIE, uri], check=False).returncode == 1
    later = open_tracker(uri)
    later.flush()
    run_id = runs(client)["trial"].info.run_id
    assert runs(client)["trial"].info.status == "KILLED"
    with later.run("trial", key="trial-1") as run:
        for step in range(3, 8):  # its checkpoint was older than its last metric
            run.log_metrics({"loss": 1.0}, step=step)
    assert runs(client)["trial"].info.run_id == run_id
    assert runs(client)["trial"].info.status == "FINISHED"
    assert [step for step, _ in history(client, "trial", "loss")] == list(range(8))


def test_a_crash_between_sending_and_noting_it_doubles_nothing(uri, client, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    noted = Journal.delivered
    crashes = []

    def crash_once_per_offset(journal, offset):
        if offset not in crashes:
            crashes.append(offset)
            raise OSError("the process died here")
        noted(journal, offset)

    monkeypatch.setattr(Journal, "delivered", crash_once_per_offset)
    tracker = open_tracker(uri, ON_REQUEST, patience=60)  # else a delivery may part the two metrics
    with tracker.run("study", key="study-1") as run:
        run.log_params({"seed": 1})
        run.log_metrics({"loss": 1.0}, step=1)
        run.log_metrics({"loss": 1.0}, step=1)  # logged twice on purpose: both are kept
        run.log_dataset("BTC", "f" * 64)
        run.log_text("note", "note.txt")
        run.log_model(doubling_network(tmp_path / "m.onnx"), register_as="btc-policy", aliases=["champion"])
    for _ in range(10):
        tracker.flush(60)
    assert tracker.pending == 0
    assert len(crashes) == 4  # start; parameters, metrics, dataset and file; model; end
    assert len(client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])) == 1
    assert history(client, "study", "loss") == [(1, 1.0), (1, 1.0)]
    assert len(runs(client)["study"].inputs.dataset_inputs) == 1
    assert len(client.search_model_versions("name = 'btc-policy'")) == 1
    assert len(runs(client)["study"].outputs.model_outputs) == 1


def test_the_tracker_being_away_neither_stops_a_run_nor_loses_it(tmp_path, empty_database, caplog):
    mlflow = pytest.importorskip("mlflow")
    home = tmp_path / "server"
    home.write_text("a file where the database's folder should be")
    uri = f"sqlite:///{home / 'mlflow.db'}"
    # An attempt between the new folder and the copied database would lay out a database of its own there.
    tracker = open_tracker(uri, ON_REQUEST, spool=tmp_path / "spool", patience=20)
    with caplog.at_level(logging.WARNING), tracker.run("study") as run:
        run.log_metrics({"equity": 1.0}, step=3)
    # the start, the metric and the end
    assert tracker.pending == 3
    assert "3 records have not reached the tracker" in caplog.text

    home.unlink()
    home.mkdir()
    shutil.copy(empty_database, home / "mlflow.db")
    assert tracker.flush(60) == 0
    assert history(mlflow.MlflowClient(uri), "study", "equity") == [(3, 1.0)]


def test_what_an_earlier_process_could_not_send_is_sent_by_the_next_run(tmp_path, empty_database):
    mlflow = pytest.importorskip("mlflow")
    home = tmp_path / "server"
    home.write_text("in the way")
    uri = f"sqlite:///{home / 'mlflow.db'}"
    earlier = open_tracker(uri, spool=tmp_path / "spool")
    with earlier.run("monday") as run:
        run.log_metrics({"equity": 1.0})
    earlier.close()
    home.unlink()
    home.mkdir()
    shutil.copy(empty_database, home / "mlflow.db")
    with open_tracker(uri, spool=tmp_path / "spool", patience=60).run("tuesday"):
        pass
    found = runs(mlflow.MlflowClient(uri))
    assert {name: run.info.status for name, run in found.items()} == {
        "monday": "FINISHED",
        "tuesday": "FINISHED",
    }


def test_a_parameter_that_changed_between_sessions_keeps_its_first_value_and_the_new_one_is_a_tag(
    uri, client
):
    tracker = open_tracker(uri)
    with tracker.run("trial", key="trial-1") as run:
        run.log_params({"seed": 1})
    with tracker.run("trial", key="trial-1") as run:
        run.log_params({"seed": 2, "lr": 0.1})
        run.log_metrics({"loss": 0.5})
    arrived = runs(client)["trial"]
    assert arrived.data.params == {"seed": "1", "lr": "0.1"}
    assert arrived.data.tags["changed.seed"] == "2"
    assert history(client, "trial", "loss") == [(0, 0.5)]
    assert (tracker.undelivered, spooled(tracker)) == (
        None,
        [spooled(tracker)[0]],
    )  # the state of a resumable run


def test_a_record_that_mlflow_refuses_is_put_aside_named_and_the_rest_arrives(uri, client, caplog):
    tracker = open_tracker(uri)
    with caplog.at_level(logging.WARNING), tracker.run("trial", key="trial-1") as run:
        run.append({"op": "params", "params": {"seed": "1", "no (name)": "2", "lr": "0.1"}})
        run.log_metrics({"loss": 0.5})
    arrived = runs(client)["trial"]
    assert (arrived.info.status, arrived.data.params) == ("FINISHED", {"seed": "1", "lr": "0.1"})
    assert history(client, "trial", "loss") == [(0, 0.5)]
    assert sorted(name.split(".", 1)[1] for name in spooled(tracker)) == ["refused.jsonl", "state.json"]
    assert tracker.undelivered.startswith("1 record has been refused by MLflow")
    assert all(len(line) < 500 for line in caplog.messages)


def test_a_parameter_cannot_change_within_a_run(uri):
    with open_tracker(uri).run("study") as run:
        run.log_params({"seed": 1})
        with pytest.raises(ValueError, match="'seed' is '1' and cannot become '2'"):
            run.log_params({"seed": 2})


def test_characters_that_mlflow_refuses_in_a_name_become_underscores(uri, client):
    tracker = open_tracker(uri)
    with tracker.run("study") as run:
        run.log_metrics({"fixed_1x + controls.growth": 1.0, "ppo [0].sharpe": 2.0, "ppo (0).sharpe": 3.0})
        run.log_params({"rules": {"a+b": "fixed_1x"}})
    found = runs(client)["study"]
    assert found.data.metrics == {
        "fixed_1x _ controls.growth": 1.0, "ppo _0_.sharpe": 2.0, "ppo _0_.sharpe_2": 3.0,
    }  # fmt: skip
    assert found.data.params["rules.a_b"] == "fixed_1x"


def test_a_name_that_is_too_long_for_mlflow_is_refused_at_once(uri):
    with open_tracker(uri).run("study") as run, pytest.raises(ValueError, match="1 to 250 characters"):
        run.log_metrics({"x" * 251: 1.0})


def test_a_run_that_has_ended_takes_nothing_more(uri):
    with open_tracker(uri).run("study") as run:
        pass
    with pytest.raises(RuntimeError, match="has ended"):
        run.log_metrics({"equity": 1.0})


def test_a_key_in_use_is_refused(uri):
    tracker = open_tracker(uri, patience=0.2)
    with tracker.run("study", key="k"):
        with pytest.raises(ValueError, match="open already"), tracker.run("study", key="k"):
            pass
        other = open_tracker(uri, patience=0.2)
        with pytest.raises(BlockingIOError, match="another process"), other.run("study", key="k"):
            pass


def test_a_plain_folder_is_refused_as_tracker_with_what_to_write_instead():
    with pytest.raises(ValueError, match=r"sqlite:///mlruns/mlflow\.db"):
        Tracker("./mlruns")


def test_passwords_stay_out_of_the_journal(tmp_path):
    tracker = Tracker("https://me:secret@tracker.invalid", spool=tmp_path, patience=0.0)
    with tracker.run("study"):
        assert "secret" not in next(tmp_path.glob("*.jsonl")).read_text()
    tracker.close()


def test_logging_a_step_takes_little_time(uri):
    with open_tracker(uri).run("study") as run:
        begin = time.thread_time()  # of the caller: sending, and importing MLflow, are another thread's
        for step in range(1000):
            run.log_metrics({"loss": 0.1, "equity": 1.0}, step=step)
        took = time.thread_time() - begin
    assert took < 1.0  # 30 ms on an idle core; MLflow's own call: 20 s


def delete_runs(client):
    for run in client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id]):
        client.delete_run(run.info.run_id)


def delete_experiment(client):
    client.delete_experiment(client.get_experiment_by_name(EXPERIMENT).experiment_id)


def rename_experiment(client):
    client.rename_experiment(client.get_experiment_by_name(EXPERIMENT).experiment_id, "another name")


def delete_for_good(client):
    delete_runs(client)
    path = client.tracking_uri.removeprefix("sqlite:///")
    with sqlite3.connect(path) as tables:  # what `mlflow gc` does
        for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
            tables.execute(f"DELETE FROM {table}")


LOSSES = [delete_runs, delete_experiment, rename_experiment, delete_for_good]


@pytest.mark.parametrize("lose", LOSSES)
def test_a_run_that_was_deleted_is_a_new_run_of_that_name_when_it_is_repeated(uri, client, lose):
    for value in (1.0, 2.0):
        with open_tracker(uri).run("study", key="k", tags={"question": "?"}) as run:
            run.log_params({"a": 1})
            run.log_metrics({"m": value}, step=0)  # the same step: of another run, so it is not repeated
        if value == 1.0:
            lose(client)
    (arrived,) = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    assert (arrived.info.run_name, arrived.info.status) == ("study", "FINISHED")
    assert (arrived.data.metrics, arrived.data.params) == ({"m": 2.0}, {"a": "1"})
    assert arrived.data.tags["question"] == "?"
    assert [name.split(".", 1)[1] for name in spooled(OPEN[-1])] == ["state.json"]


@pytest.mark.parametrize("lose", LOSSES)
def test_a_run_that_is_deleted_while_it_is_open_loses_no_record_of_its_session(uri, client, lose):
    tracker = open_tracker(uri, ON_REQUEST)
    with tracker.run("study", key="parent") as parent:
        parent.log_params({"a": 1})
        parent.log_metrics({"m": 1.0}, step=0)
        with tracker.run("trial", key="child", parent=parent) as child:
            child.log_metrics({"n": 1.0}, step=0)
        assert tracker.flush(60) == 0
        lose(client)
        parent.log_metrics({"m": 2.0}, step=1)
        with tracker.run("later trial", key="later", parent=parent):
            pass
    assert (tracker.pending, tracker.undelivered) == (0, None)
    name = "another name" if lose is rename_experiment else EXPERIMENT
    found = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    arrived = {run.info.run_name: run for run in found}
    assert {run.info.status for run in found} == {"FINISHED"}
    parent_id = arrived["study"].info.run_id
    assert [(m.step, m.value) for m in client.get_metric_history(parent_id, "m")] == [(0, 1.0), (1, 2.0)]
    assert arrived["study"].data.params == {"a": "1"}
    assert len([run for run in found if run.info.run_name == "study"]) == 1
    assert "later trial" in {
        run.info.run_name
        for run in client.search_runs([one.experiment_id for one in client.search_experiments()])
    }


def test_a_child_whose_parent_is_gone_for_good_arrives_alone(uri, client):
    earlier = open_tracker(uri)
    with earlier.run("study", key="parent"):
        pass
    delete_runs(client)
    with open_tracker(uri).run("trial", parent="parent"):
        pass
    assert runs(client)["trial"].info.status == "FINISHED"
    assert runs(client)["trial"].data.tags["gearing.parent"] == "parent"


def test_a_finished_run_stays_finished_when_a_later_session_fails_or_is_killed(uri, client):
    tracker = open_tracker(uri)
    with tracker.run("study", key="k") as run:
        run.log_metrics({"m": 1.0})
    with pytest.raises(ZeroDivisionError), tracker.run("study", key="k"):
        1 / 0  # noqa: B018
    assert runs(client)["study"].info.status == "FINISHED"
    with pytest.raises(KeyboardInterrupt), tracker.run("study", key="k"):
        raise KeyboardInterrupt
    assert runs(client)["study"].info.status == "FINISHED"


def test_a_result_of_the_whole_run_that_is_logged_again_is_stored_once(uri, client):
    tracker = open_tracker(uri)
    for value in (1.0, 1.0, 2.0):
        with tracker.run("study", key="k") as run:
            run.log_metrics({"growth": value})
    assert history(client, "study", "growth") == [(0, 1.0), (0, 2.0)]


def test_steps_are_not_repeated_when_the_spool_was_deleted(uri, client):
    for _ in range(2):
        tracker = open_tracker(uri)
        with tracker.run("trial", key="trial-1") as run:
            for step in range(5):
                run.log_metrics({"loss": 1.0}, step=step)
        shutil.rmtree(tracker.spool)
    assert [step for step, _ in history(client, "trial", "loss")] == [0, 1, 2, 3, 4]


def test_a_folder_that_was_moved_with_its_spool_loses_nothing(tmp_path, empty_database):
    mlflow = pytest.importorskip("mlflow")
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "mlflow.db").mkdir(parents=True)  # in the way of the database
    earlier = open_tracker(f"sqlite:///{here / 'mlflow.db'}", patience=1)
    with earlier.run("monday", key="k") as run:
        run.log_metrics({"equity": 1.0})
    assert earlier.pending == 3
    earlier.close()
    (here / "mlflow.db").rmdir()
    here.rename(there)
    shutil.copy(empty_database, there / "mlflow.db")
    uri = f"sqlite:///{there / 'mlflow.db'}"
    assert open_tracker(uri).flush(60) == 0
    assert history(mlflow.MlflowClient(uri), "monday", "equity") == [(0, 1.0)]
    assert not here.exists()


def test_undelivered_records_are_counted_in_one_line_that_says_where_they_are_and_how_to_send_them(tmp_path):
    with socket.socket() as probe:  # a port where nobody listens
        probe.bind(("127.0.0.1", 0))
        address = f"http://me:secret@127.0.0.1:{probe.getsockname()[1]}"
    tracker = open_tracker(address, spool=tmp_path / "spool", patience=20)
    with tracker.run("study") as run:
        run.log_metrics({"equity": 1.0})
    assert tracker.undelivered.startswith("3 records have not reached the tracker http://127.0.0.1:")
    assert str(tmp_path / "spool") in tracker.undelivered
    assert "run again" in tracker.undelivered
    assert "\n" not in tracker.undelivered
    assert "secret" not in tracker.undelivered


@pytest.fixture
def left_behind(uri, monkeypatch):
    """The journal of a process that wrote four lines and sent nothing: start, metrics, params, end."""
    with monkeypatch.context() as patch:
        patch.setattr(Tracker, "_ensure_thread", lambda tracker: None)
        earlier = open_tracker(uri, patience=0)
        with earlier.run("study", key="k") as run:
            run.log_metrics({"m": 1.0}, step=0)
            run.log_params({"a": 1})
        earlier.close()
    (path,) = earlier.spool.glob("*.jsonl")
    return path


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("line", [b"\x00\xff\n", b'{"op": "metrics"}\n'])
def test_one_damaged_line_of_a_spool_stops_nothing_and_is_set_aside(
    uri, client, left_behind, number, line, caplog
):
    lines = left_behind.read_bytes().splitlines(keepends=True)
    left_behind.write_bytes(b"".join([*lines[:number], line, *lines[number + 1 :]]))
    with caplog.at_level(logging.WARNING), open_tracker(uri, patience=60).run("next"):
        pass
    found = client.search_runs([one.experiment_id for one in client.search_experiments()])
    assert {run.info.status for run in found} == {"FINISHED"}
    arrived = next(run for run in found if run.info.run_name != "next")
    assert arrived.data.metrics == ({} if number == 1 else {"m": 1.0})
    assert arrived.data.params == ({} if number == 2 else {"a": "1"})
    assert left_behind.name in caplog.text
    (aside,) = (path for path in left_behind.parent.glob("*.jsonl"))
    assert (
        line.decode(errors="replace").strip() in aside.read_text(errors="replace")
        or "reason" in aside.read_text()
    )


@pytest.mark.parametrize("text", ["", "[]", '{"delivered": "x"}', "\x00"])
def test_a_damaged_state_of_a_journal_is_set_aside_and_its_run_is_sent_once(uri, client, text):
    tracker = open_tracker(uri, ON_REQUEST)
    with tracker.run("study", key="k") as run:
        run.log_metrics({"m": 1.0}, step=0)
    tracker.close()
    (state,) = tracker.spool.glob("*.state.json")
    state.write_text(text)
    with open_tracker(uri).run("study", key="k") as run:
        run.log_metrics({"m": 1.0}, step=0)
    assert history(client, "study", "m") == [(0, 1.0)]
    assert len(list(tracker.spool.glob("*.state.json.damaged-1"))) == 1


@pytest.mark.slow
def test_a_server_that_dies_in_the_middle_and_comes_back_gets_everything_once(uri, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    server, address = _serve(uri, tmp_path)
    tracker = open_tracker(address, spool=tmp_path / "spool", patience=60)
    with tracker.run("study") as run:
        run.log_metrics({"equity": 0.0}, step=0)
        assert tracker.flush(60) == 0
        _kill(server)
        run.log_metrics({"equity": 1.0}, step=1)
        assert tracker.flush(60) == 1
        server, _ = _serve(uri, tmp_path, port=int(address.rsplit(":", 1)[1]))
        run.log_metrics({"equity": 2.0}, step=2)
    assert tracker.flush(60) == 0
    _kill(server)
    assert history(mlflow.MlflowClient(uri), "study", "equity") == [(0, 0.0), (1, 1.0), (2, 2.0)]


def _kill(server):
    os.killpg(server.pid, signal.SIGKILL)  # with its workers
    server.wait()


def _serve(uri, folder, port=None):
    if port is None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--port", str(port)]
    command += ["--workers", "1", "--artifacts-destination", str(folder / "artifacts")]
    calm = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, env=calm, start_new_session=True, **quiet)
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/health", timeout=1)
            return server, address
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("mlflow server did not answer within a minute")


@pytest.mark.parametrize("name", ["trader's", "a`b", "100%_", "é 中文", "back\\slash", 'the "best"'])
def test_quotes_and_other_letters_in_names_are_found_again(uri, client, tmp_path, name):
    network = tmp_path / "network.onnx"
    network.write_bytes(b"a network")
    for _ in range(2):
        tracker = open_tracker(uri)
        with tracker.run(name, key=name) as run:
            run.log_params({"agent": name})
            run.log_model(network, register_as=name)
        tracker.close()
        assert tracker.undelivered is None
    assert list(runs(client)) == [name]
    assert len(find_runs(EXPERIMENT, uri, agent=name)) == 1
    assert len(client.search_model_versions()) == 1


def test_a_key_with_both_kinds_of_quotes_is_refused_at_once(uri):
    with (
        pytest.raises(ValueError, match=r"contains both ' and \"; .* Use one of them"),
        open_tracker(uri).run("x", key="""the "trader's\""""),
    ):
        pass
