"""Send journals to MLflow so that each record arrives exactly once.

A batch is sent, then the journal marks it as delivered. If the process dies between the two, the batch is sent again,
and every operation here is idempotent: MLflow stores a metric once per (name, step, time, value), parameters, tags,
statuses and files overwrite themselves, runs are found by their key and models by the digest of their files. A run that
was deleted in MLflow is begun again under its name.
"""

import contextlib
import json
import logging
import os
import socket
from collections.abc import Callable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from gearing.tracking.experiments import (
    Journaled,
    ParentMissing,
    TrackerAway,
    create_run,
    experiment_id,
    find_parent,
    find_run,
    last_step,
)
from gearing.tracking.journal import Journal, JournalState, Record
from gearing.tracking.store import open_client

_VALUES = ("metrics", "params", "tags")
_TOGETHER = (*_VALUES, "artifact", "dataset")
_PER_CALL = {"metrics": 800, "params": 100, "tags": 100}  # MLflow's limits, 1000 in total
_RECORDS_PER_BATCH = 1000
_DIGEST_LENGTH = 36
_LONGEST_TAG = 5000
_REFUSALS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE"}
_LOST = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "INVALID_STATE"}  # of a run that was deleted
_CONNECT_SECONDS = 10.0
# What MLflow prints on its own; only while a journal is sent, since the variables belong to the process.
_ENVIRONMENT = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_logger = logging.getLogger(__name__)


class _RunDeleted(Exception):  # noqa: N818  a state, not a mistake
    """Somebody deleted the run in MLflow."""


class MlflowSender:
    """Delivers journals to one MLflow tracker.

    Parameters
    ----------
    uri : str
        Tracking URI.
    artifacts : Path or None
        Artifact folder of new experiments; None leaves it to the server.
    journaled : callable
        What the spool knows of a run, see `gearing.tracking.experiments.Journaled`.
    """

    def __init__(self, uri: str, artifacts: Path | None, journaled: Journaled):
        self.uri = uri
        self.refused = 0  # records that MLflow rejected
        self._artifacts = artifacts
        self._journaled = journaled
        self._client: Any = None
        self._params: dict[str, dict[str, str]] = {}  # by run, as MLflow has them
        self._experiments: dict[str, str] = {}  # ids by name
        self.experiments: dict[str, str] = {}  # the same, as they were last
        self._parents: dict[tuple[str, str], Any] = {}  # runs by experiment and key

    def deliver(self, journal: Journal) -> None:
        """Send the pending records of a journal.

        Raises
        ------
        TrackerAway
            Unsent records stay pending.
        """
        with self._away_on_error():
            try:
                self._deliver(journal)
            except _RunDeleted:
                _logger.warning("a run was deleted in MLflow; its records go to a new run of the same name")
                journal.restart()
                self._deliver(journal)

    def forget(self) -> None:
        """Look up experiments and parent runs again: somebody may have deleted them."""
        self._experiments.clear()
        self._parents.clear()

    def mark_killed(self, journal: Journal) -> None:
        """Mark a run whose process died as killed, unless it had been finished before."""
        if not journal.state.finished:
            with self._away_on_error(), contextlib.suppress(_RunDeleted):
                self._or_deleted(journal, lambda: self._client.set_terminated(journal.state.run_id, "KILLED"))

    def is_reachable(self) -> bool:
        """Whether the tracker responds."""
        try:
            with self._away_on_error():
                self._client.search_experiments(max_results=1)
        except TrackerAway:
            return False
        return True

    def _deliver(self, journal: Journal) -> None:
        for records, offset in _batches(journal.pending()):
            if journal.state.run_id is None and records[0]["op"] != "start":
                self._begin(journal, _recovered(journal))
            self._send_or_refuse(journal, records)
            journal.state.ended = records[-1]["op"] == "end"
            journal.delivered(offset)

    def _send_or_refuse(self, journal: Journal, records: list[Record]) -> None:
        try:
            self._or_deleted(journal, lambda: self._send(journal, records))
        except Exception as error:
            if not _is_refusal(error):
                raise
            smaller = [[one] for one in records] if len(records) > 1 else _each_value(records[0])
            for one in smaller:  # one of them is invalid; send the others
                self._send_or_refuse(journal, one)
            if not smaller:
                self.refused += 1
                _logger.warning("MLflow refused a record of run %s: %s", journal.state.run_id, _short(error))
                journal.refused(records[0], str(error))

    def _or_deleted(self, journal: Journal, send: Callable[[], None]) -> None:
        try:
            send()
        except Exception as error:
            run_id = journal.state.run_id
            if (
                getattr(error, "error_code", None) in _LOST
                and run_id is not None
                and self._is_deleted(run_id)
            ):
                raise _RunDeleted from error
            raise

    def _is_deleted(self, run_id: str) -> bool:
        try:
            return bool(self._client.get_run(run_id).info.lifecycle_stage == "deleted")
        except Exception as error:
            if getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST":
                return True
            raise

    def _send(self, journal: Journal, records: list[Record]) -> None:
        values = [record for record in records if record["op"] in _VALUES]
        if values:
            self._send_values(journal, values)
        datasets = [record for record in records if record["op"] == "dataset"]
        if datasets:
            self._client.log_inputs(journal.state.run_id, [_dataset_input(record) for record in datasets])
        for record in records:
            if record["op"] == "start":
                self._begin(journal, record)
            elif record["op"] not in (*_VALUES, "dataset"):
                getattr(self, f"_send_{record['op']}")(journal, record)

    def _begin(self, journal: Journal, record: Record) -> None:
        """Find the run of a key, or create it; its earlier sessions say which steps it has."""
        experiment = self._experiment(record["experiment"])
        run, state = find_run(self._client, [experiment], record["key"], journal.state.run_id), journal.state
        if run is None:
            created = create_run(self._client, experiment, record, self._parent(experiment, record))
            state = JournalState(delivered=state.delivered, run_id=created)
            self._params[state.run_id or ""] = {}
        else:
            if run.info.run_id != state.run_id:
                state = JournalState(delivered=state.delivered, run_id=run.info.run_id)
                state.last_step = {name: last_step(self._client, run, name) for name in run.data.metrics}
            self._params[run.info.run_id] = dict(run.data.params)
            state.finished = run.info.status == "FINISHED"
            if run.info.status not in ("FINISHED", "RUNNING"):
                self._client.update_run(run.info.run_id, "RUNNING")
        state.keyed, state.skip = record["keyed"], dict(state.last_step)
        journal.state = state

    def _experiment(self, name: str) -> str:
        if name not in self._experiments:
            self._experiments[name] = experiment_id(self._client, name, self._artifacts)
            self.experiments[name] = self._experiments[name]
        return self._experiments[name]

    def _parent(self, experiment: str, record: Record) -> Any:
        """The parent run of a start record, looked up once for all its children; None where there is none."""
        if record["parent"] is None:
            return None
        key = (experiment, record["parent"])
        if self._parents.get(key) is None:
            self._parents[key] = find_parent(self._client, experiment, record, self._journaled)
        return self._parents[key]

    def _send_values(self, journal: Journal, records: list[Record]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        state = journal.state
        fresh = [
            Metric(name, value, record["time"], record["step"] or 0)
            for record in records
            for name, value in record.get("metrics", {}).items()
            if _is_fresh(state, name, value, record["step"])
        ]
        given = {name: value for record in records for name, value in record.get("params", {}).items()}
        tags = {name: value for record in records for name, value in record.get("tags", {}).items()}
        params, changed = self._split_params(state.run_id or "", given) if given else ({}, {})
        self._log_batch(
            str(state.run_id),
            metrics=fresh,
            params=[Param(name, value) for name, value in params.items()],
            tags=[RunTag(name, value) for name, value in (changed | tags).items()],
        )
        self._params.get(state.run_id or "", {}).update(params)
        for record in records:
            for name, value in record.get("metrics", {}).items():
                if record["step"] is None:
                    state.values[name] = value
                else:
                    state.last_step[name] = max(record["step"], state.last_step.get(name, record["step"]))

    def _split_params(self, run_id: str, given: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        """Parameters that the run does not have yet, and tags of those that changed: MLflow allows no change."""
        if run_id not in self._params:
            self._params[run_id] = dict(self._client.get_run(run_id).data.params)
        known = self._params[run_id]
        changed = {name: value for name, value in given.items() if known.get(name, value) != value}
        if changed:
            _logger.info("run %s: %s changed; the new values are tags", run_id, ", ".join(changed))
        new = {name: value for name, value in given.items() if name not in known}
        return new, {f"changed.{name}": value[:_LONGEST_TAG] for name, value in changed.items()}

    def _log_batch(self, run_id: str, **values: list[Any]) -> None:
        while any(values.values()):
            part = {name: some[: _PER_CALL[name]] for name, some in values.items() if some}
            self._client.log_batch(run_id, **part)
            values = {name: some[_PER_CALL[name] :] for name, some in values.items()}

    def _send_artifact(self, journal: Journal, record: Record) -> None:
        path = journal.files / record["file"]
        folder = record["folder"]
        if path.is_dir():
            inside = path.name if folder is None else f"{folder}/{path.name}"
            self._client.log_artifacts(journal.state.run_id, str(path), inside)
        else:
            self._client.log_artifact(journal.state.run_id, str(path), folder)

    def _send_model(self, journal: Journal, record: Record) -> None:
        from gearing.tracking.models import send_model

        send_model(self._client, journal, record)

    def _send_end(self, journal: Journal, record: Record) -> None:
        state = journal.state
        if state.finished and record["status"] != "FINISHED":
            return  # what was finished stays finished
        self._client.set_terminated(state.run_id, record["status"], record["time"])
        state.finished = record["status"] == "FINISHED"

    @contextlib.contextmanager
    def _away_on_error(self) -> Iterator[None]:
        try:
            with quiet_environment():
                self._connect()
                yield
        except ParentMissing:
            raise
        except Exception as error:
            raise TrackerAway(f"{type(error).__name__}: {_short(error)}") from error

    def _connect(self) -> None:
        _check_address(self.uri)
        if self._client is None:
            self._client = open_client(self.uri)


@contextlib.contextmanager
def quiet_environment() -> Iterator[None]:
    """MLflow prints no progress and no addresses inside."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update({name: value for name, value in _ENVIRONMENT.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def _check_address(uri: str) -> None:
    """Fail at once if nobody listens: MLflow itself would try for minutes.

    Raises
    ------
    OSError
        If there is no connection.
    """
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https") and parts.hostname and not getproxies():
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), _CONNECT_SECONDS).close()


def _dataset_input(record: Record) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    facts = {"fingerprint": record["fingerprint"], **record["facts"]}
    dataset = Dataset(
        name=record["name"],
        digest=record["fingerprint"][:_DIGEST_LENGTH],
        source_type="local",
        source=json.dumps({"uri": record["source"]}),
        profile=json.dumps(facts),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", record["context"])])


def _is_fresh(state: JournalState, name: str, value: float, step: int | None) -> bool:
    """Whether earlier sessions of the run have not sent this metric."""
    if step is None:
        return state.values.get(name) != value
    return step > state.skip.get(name, step - 1)


def _recovered(journal: Journal) -> Record:
    """The start of a run whose own cannot be read."""
    name, first = f"recovered {journal.path.stem}", next(journal.pending())[0]
    _logger.warning(
        "%s does not say which run it belongs to; its records go to the run %r", journal.path, name
    )
    return {
        "op": "start", "name": name, "key": f"recovered-{journal.path.stem}", "keyed": False, "parent": None,
        "tags": {}, "experiment": "recovered", "time": first.get("time", 0),
    }  # fmt: skip


def _each_value(record: Record) -> list[list[Record]]:
    """A record of several metrics, parameters or tags as records of one each; none for any other record."""
    operation = record["op"]
    values = record.get(operation, {}) if operation in _VALUES else {}
    return (
        [[{**record, operation: {name: value}}] for name, value in values.items()] if len(values) > 1 else []
    )


def _is_refusal(error: Exception) -> bool:
    malformed = (FileNotFoundError, KeyError, TypeError, AttributeError)  # a record whose line was changed
    return isinstance(error, malformed) or getattr(error, "error_code", None) in _REFUSALS


def _short(error: Exception) -> str:
    """First line of an error, of a length that people read."""
    line = (str(error).splitlines() or [""])[0]
    return line if len(line) <= 300 else line[:296] + " ..."


def _batches(pending: Iterator[tuple[Record, int]]) -> Iterator[tuple[list[Record], int]]:
    """Batches of consecutive records whose order does not matter; starts, ends and models one by one."""
    for together, group in groupby(pending, key=lambda item: item[0]["op"] in _TOGETHER):
        size = _RECORDS_PER_BATCH if together else 1
        while chunk := list(islice(group, size)):
            yield [record for record, _ in chunk], chunk[-1][1]
