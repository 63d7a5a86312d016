"""What is logged arrives once: in good weather, after a kill, and after the tracker was away."""

import logging
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from gearing.tracking import Tracker
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
    return [path.name for path in tracker.spool.iterdir() if path.name != ".setup.lock"]


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


def test_a_model_arrives_as_a_loadable_registered_version_with_its_alias(uri, client, tmp_path):
    pytest.importorskip("onnxruntime")
    mlflow = pytest.importorskip("mlflow")
    with open_tracker(uri).run("study") as run:
        run.log_model(doubling_network(tmp_path / "m.onnx"), register_as="btc-policy", aliases=["champion"])
    model = mlflow.pyfunc.load_model("models:/btc-policy@champion")
    assert model.predict(np.array([[1.0, 2.0], [3.0, 4.0]])).tolist() == [[2.0, 4.0], [6.0, 8.0]]


def test_a_child_knows_its_parent_even_from_another_process(uri, client):
    tracker = open_tracker(uri)
    with tracker.run("study", key="study-1"):
        elsewhere = pickle.loads(pickle.dumps(tracker))
        with elsewhere.run("trial", parent="study-1"):
            pass
        tracker.flush()
    arrived = runs(client)
    assert arrived["trial"].data.tags["mlflow.parentRunId"] == arrived["study"].info.run_id


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
    assert len(crashes) == 7  # start, params, metrics (one batch), dataset, file, model, end
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


def test_a_record_that_mlflow_refuses_is_put_aside_and_the_rest_arrives(uri, client):
    tracker = open_tracker(uri)
    with tracker.run("trial", key="trial-1") as run:
        run.log_params({"seed": 1})
    with tracker.run("trial", key="trial-1") as run:
        run.log_params({"seed": 2, "lr": 0.1})  # a parameter cannot change
        run.log_metrics({"loss": 0.5})
    assert runs(client)["trial"].data.params["seed"] == "1"
    assert history(client, "trial", "loss") == [(0, 0.5)]
    assert sorted(name.split(".", 1)[1] for name in spooled(tracker)) == ["refused.jsonl", "state.json"]


def test_a_parameter_cannot_change_within_a_run(uri):
    with open_tracker(uri).run("study") as run:
        run.log_params({"seed": 1})
        with pytest.raises(ValueError, match="'seed' is '1' and cannot become '2'"):
            run.log_params({"seed": 2})


def test_a_name_that_mlflow_would_refuse_is_refused_at_once(uri):
    with open_tracker(uri).run("study") as run, pytest.raises(ValueError, match="cannot name a parameter"):
        run.log_metrics({"Sharpe (365 d)": 1.0})


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
