"""A database is whole or absent, whatever happens while it is laid out; what is not MLflow's is left alone."""

import contextlib
import logging
import shutil
import sqlite3
from functools import partial

import pytest
from tests.kills.processes import die, forked, forked_at_once

from gearing.studies import load_config
from gearing.studies.runner import run_study
from gearing.tracking import Tracker, find_runs, store
from gearing.tracking.store import checked_uri, database, engine_uri, open_client


def tables(path):
    with contextlib.closing(sqlite3.connect(path)) as opened:
        return {name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type='table'")}


def run_one(uri):
    tracker = Tracker(uri, "exp", interval=60.0, patience=60.0)
    with tracker.run("study", key="k") as run:
        run.log_metrics({"m": 2.0}, step=1)
    left = tracker.undelivered
    tracker.close()
    return left


def test_a_process_killed_during_the_layout_leaves_nothing_that_stops_the_next_one(
    tmp_path, monkeypatch, empty_database
):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"

    def half(path):
        shutil.copy(empty_database, path)
        with contextlib.closing(sqlite3.connect(path)) as opened:
            opened.execute("DROP TABLE metrics")
        die()

    with monkeypatch.context() as patch:
        patch.setattr(store, "_lay_out", half)
        assert forked(lambda: open_client(uri)) == -9
    assert not (tmp_path / "mlflow.db").exists()
    monkeypatch.setattr(store, "_lay_out", lambda path: shutil.copy(empty_database, path))
    assert run_one(uri) is None
    assert [metrics for _, metrics in find_runs("exp", uri)] == [{"m": 2.0}]
    assert not list(tmp_path.glob(".*.part*"))


def test_a_study_without_mlflow_is_refused_before_anything_is_read_with_what_to_install(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(store, "find_spec", lambda name: None)
    config = load_config(
        {"name": "x", "market": {"folder": "nowhere"}, "groups": {"a": ["A"]}, "rules": ["fixed_1x"]},
        [f"output={tmp_path}/runs"],
    )
    with pytest.raises(ValueError, match=r'pip install "gearing\[track\]".*tracking\.enabled=false'):
        run_study(config)
    assert not (tmp_path / "runs").exists()


def drop_a_table(opened):
    opened.execute("DROP TABLE metrics")


def forget_the_version(opened):
    opened.execute("DELETE FROM alembic_version")


def go_back_a_version(opened):
    opened.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")  # its next steps have been made


def keep_the_version_alone(opened):
    names = [name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    opened.execute("PRAGMA foreign_keys = OFF")
    for name in names:
        if name not in ("alembic_version", "sqlite_sequence"):
            opened.execute(f"DROP TABLE {name}")


HALVES = [
    forget_the_version,
    *(
        pytest.param(spoil, marks=pytest.mark.slow)
        for spoil in (drop_a_table, go_back_a_version, keep_the_version_alone)
    ),
]


@pytest.mark.parametrize("spoil", HALVES)
def test_a_database_that_was_laid_out_in_part_is_made_again_and_the_rest_is_set_aside(
    tmp_path, empty_database, spoil, caplog, monkeypatch
):
    path = tmp_path / "mlflow.db"
    shutil.copy(empty_database, path)
    with contextlib.closing(sqlite3.connect(path)) as opened:
        spoil(opened)
        opened.commit()
    spoilt = path.read_bytes()
    monkeypatch.setattr(store, "_QUIET_SECONDS", 0.0)
    with caplog.at_level(logging.WARNING):
        open_client(f"sqlite:///{path}")
    assert tables(path) >= {"runs", "metrics", "experiments"}
    assert (tmp_path / "mlflow.db.damaged-1").read_bytes() == spoilt
    assert str(path) in caplog.text
    assert run_one(f"sqlite:///{path}") is None


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"SQLite format 3\0 and nothing of the kind" * 200])
def test_a_file_that_is_no_database_is_laid_out_if_empty_and_else_refused(
    tmp_path, content, empty_database, monkeypatch
):
    path = tmp_path / "mlflow.db"
    path.write_bytes(content)
    monkeypatch.setattr(store, "_lay_out", lambda path: shutil.copy(empty_database, path))
    if content:
        with pytest.raises(ValueError, match=r"mlflow\.db is not a SQLite database"):
            open_client(f"sqlite:///{path}")
        assert path.read_bytes() == content
    else:
        open_client(f"sqlite:///{path}")


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "mine.db"
    with contextlib.closing(sqlite3.connect(path)) as opened:
        opened.execute("CREATE TABLE trades (price REAL)")
    with pytest.raises(ValueError, match=r"mine\.db is a database of another program \(tables trades\)"):
        open_client(f"sqlite:///{path}")
    assert tables(path) == {"trades"}


def test_a_database_with_runs_is_never_moved_even_if_mlflow_cannot_open_it(uri, tmp_path):
    assert run_one(uri) is None
    shutil.copy(tmp_path / "mlflow.db", tmp_path / "older.db")  # MLflow does not look twice at one database
    with contextlib.closing(sqlite3.connect(tmp_path / "older.db")) as opened:
        opened.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        opened.commit()
    left = run_one(f"sqlite:///{tmp_path / 'older.db'}")
    assert "mlflow db upgrade" in left
    assert left.startswith("3 records have not reached the tracker")
    assert not list(tmp_path.glob("*.damaged-*"))


@pytest.mark.parametrize("name", ["what?", "100%", "%41", "a#b", "a b", "ü 漢", "a?b=c", "it's"])
def test_a_folder_may_have_any_name(tmp_path, name, empty_database, monkeypatch):
    monkeypatch.setattr(store, "_lay_out", lambda path: shutil.copy(empty_database, path))
    uri = f"sqlite:///{tmp_path / name / 'mlruns' / 'mlflow.db'}"
    assert run_one(uri) is None
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert tables(tmp_path / name / "mlruns" / "mlflow.db") >= {"runs"}
    assert [metrics for _, metrics in find_runs("exp", uri)] == [{"m": 2.0}]


def test_options_of_an_address_are_no_part_of_the_path(tmp_path):
    uri = f"sqlite:///{tmp_path}/a?b/ml.db?timeout=30"
    assert database(uri) == tmp_path / "a?b" / "ml.db"
    assert engine_uri(uri) == f"sqlite:///{tmp_path}/a%3Fb/ml.db?timeout=30"
    assert checked_uri("http://host:5000") == "http://host:5000"
    assert checked_uri("databricks") == "databricks"


@pytest.mark.parametrize("uri", ["sqlite:///:memory:", "sqlite://", "./mlruns", "file:///tmp/mlruns"])
def test_an_address_that_keeps_nothing_is_refused_with_what_to_write_instead(uri):
    with pytest.raises(ValueError, match=r"sqlite:///mlruns/mlflow\.db"):
        checked_uri(uri)


def test_a_locked_database_keeps_nobody_waiting_and_gets_everything_later(uri, tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        tracker = Tracker(uri, "exp", interval=60.0, patience=0.5)
        with tracker.run("study", key="k") as run:
            run.log_metrics({"m": 2.0}, step=1)
        assert tracker.undelivered.startswith("3 records")
        other.execute("ROLLBACK")
    assert tracker.flush(60) == 0
    tracker.close()
    assert [metrics for _, metrics in find_runs("exp", uri)] == [{"m": 2.0}]


def test_where_the_databases_folder_cannot_be_written_the_journals_lie_in_the_working_folder(
    tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    tracker = Tracker(f"sqlite:///{tmp_path / 'file' / 'mlflow.db'}", "exp", patience=0.5)
    with tracker.run("study") as run:
        run.log_metrics({"m": 2.0}, step=1)
    assert str(tmp_path / "mlruns" / "spool") in tracker.undelivered
    tracker.close()


@pytest.mark.slow
def test_processes_that_begin_at_once_lay_out_one_database(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"

    def begin(number):
        tracker = Tracker(uri, "exp", patience=60.0)
        with tracker.run("study", key=f"k{number}") as run:
            run.log_metrics({"m": float(number)})
        assert tracker.undelivered is None

    assert forked_at_once([partial(begin, number) for number in range(3)]) == [0, 0, 0]
    assert sorted(metrics["m"] for _, metrics in find_runs("exp", uri)) == [0.0, 1.0, 2.0]
