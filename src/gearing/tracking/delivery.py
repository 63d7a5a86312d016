"""Send journals to MLflow so that each record arrives exactly once.

A batch is sent, then the journal marks it as delivered. If the process dies between the two, the batch is sent again,
and every operation here is idempotent: MLflow stores a metric once per (name, step, time, value), parameters, tags,
statuses and files overwrite themselves, runs and models are tagged with the name of their record and found by it.
"""

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from filelock import FileLock

from gearing.tracking.journal import Journal, Record

KEY_TAG = "gearing.key"
RECORD_TAG = "gearing.record"
_VALUES_PER_BATCH = {"metrics": 1000, "params": 100, "tags": 100}  # MLflow's limits
_RECORDS_PER_BATCH = 1000
_DIGEST_LENGTH = 36
_REFUSALS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE", "PERMISSION_DENIED"}
# This writer retries by itself; MLflow's retries of several minutes would block it.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_logger = logging.getLogger(__name__)


class TrackerAway(ConnectionError):  # noqa: N818  a state, not a mistake
    """The tracker cannot be reached; retry later."""


class ParentMissing(TrackerAway):
    """The parent run has not arrived yet; its own journal delivers it."""


class MlflowSender:
    """Delivers journals to one MLflow tracker.

    Parameters
    ----------
    uri : str
        Tracking URI.
    artifacts : Path or None
        Artifact folder of new experiments; None leaves it to the server.
    setup_lock : Path
        Held while the store is opened: two processes must not create a database at once.
    """

    def __init__(self, uri: str, artifacts: Path | None, setup_lock: Path):
        self.uri = uri
        self._artifacts = artifacts
        self._setup_lock = setup_lock
        self._client: Any = None

    def deliver(self, journal: Journal) -> None:
        """Send the pending records of a journal.

        Raises
        ------
        TrackerAway
            Unsent records stay pending.
        """
        with self._away_on_error():
            for records, offset in _batches(journal.pending()):
                self._send_or_refuse(journal, records)
                journal.state.ended = records[-1]["op"] == "end"
                journal.delivered(offset)

    def mark_killed(self, journal: Journal) -> None:
        """Mark a run whose process died as killed."""
        with self._away_on_error():
            self._client.set_terminated(journal.state.run_id, "KILLED")

    def is_reachable(self) -> bool:
        """Whether the tracker responds."""
        try:
            with self._away_on_error():
                self._client.search_experiments(max_results=1)
        except TrackerAway:
            return False
        return True

    def _send_or_refuse(self, journal: Journal, records: list[Record]) -> None:
        try:
            self._send(journal, records)
        except Exception as error:
            if not _is_refusal(error):
                raise
            if len(records) > 1:  # one of them is invalid; send the others
                for record in records:
                    self._send_or_refuse(journal, [record])
                return
            _logger.warning("MLflow refused a record of run %s: %s", journal.state.run_id, error)
            journal.refused(records[0], str(error))

    def _send(self, journal: Journal, records: list[Record]) -> None:
        operation = records[0]["op"]
        if operation == "start":
            journal.state.run_id = self._start(records[0])
            journal.state.keyed = records[0]["keyed"]
        elif operation in _VALUES_PER_BATCH:
            self._send_values(journal, operation, records)
        else:
            getattr(self, f"_send_{operation}")(journal, records[0])

    def _start(self, record: Record) -> str:
        experiment = self._experiment(record["experiment"])
        run_id = self._find(experiment, record["key"])
        if run_id is None:
            tags = dict(record["tags"]) | {KEY_TAG: record["key"]}
            if record["parent"] is not None:
                parent = self._find(experiment, record["parent"])
                if parent is None:
                    raise ParentMissing(f"the parent run {record['parent']!r} has not arrived yet")
                tags["mlflow.parentRunId"] = parent
            run = self._client.create_run(experiment, record["time"], tags, record["name"])
            return run.info.run_id
        self._client.update_run(run_id, "RUNNING")
        return run_id

    def _send_values(self, journal: Journal, operation: str, records: list[Record]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        kind = {"metrics": Metric, "params": Param, "tags": RunTag}[operation]
        size, last = _VALUES_PER_BATCH[operation], journal.state.last_step
        values = []
        for record in records:
            moment = (record["time"], record["step"]) if operation == "metrics" else ()
            values += [kind(name, value, *moment) for name, value in record[operation].items()]
        for start in range(0, len(values), size):
            self._client.log_batch(journal.state.run_id, **{operation: values[start : start + size]})
        if operation == "metrics":
            for metric in values:
                last[metric.key] = max(metric.step, last.get(metric.key, metric.step))

    def _send_dataset(self, journal: Journal, record: Record) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        facts = {"fingerprint": record["fingerprint"], **record["facts"]}
        dataset = Dataset(
            name=record["name"],
            digest=record["fingerprint"][:_DIGEST_LENGTH],
            source_type="local",
            source=json.dumps({"uri": record["source"]}),
            profile=json.dumps(facts),
        )
        tags = [InputTag("mlflow.data.context", record["context"])]
        self._client.log_inputs(journal.state.run_id, [DatasetInput(dataset, tags)])

    def _send_artifact(self, journal: Journal, record: Record) -> None:
        path = journal.files / record["kept"]
        folder = record["folder"]
        if path.is_dir():
            inside = path.name if folder is None else f"{folder}/{path.name}"
            self._client.log_artifacts(journal.state.run_id, str(path), inside)
        else:
            self._client.log_artifact(journal.state.run_id, str(path), folder)

    def _send_model(self, journal: Journal, record: Record) -> None:
        from gearing.tracking.models import send_model

        send_model(self._client, journal, record, RECORD_TAG)

    def _send_end(self, journal: Journal, record: Record) -> None:
        self._client.set_terminated(journal.state.run_id, record["status"], record["time"])

    @contextlib.contextmanager
    def _away_on_error(self) -> Iterator[None]:
        try:
            self._connect()
            yield
        except ParentMissing:
            raise
        except Exception as error:
            raise TrackerAway(f"{type(error).__name__}: {error}") from error

    def _connect(self) -> None:
        if self._client is not None:
            return
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import mlflow

        for name in ("alembic", "mlflow.store.db.utils", "mlflow.pyfunc"):  # new databases, missing schemas
            logging.getLogger(name).setLevel(logging.ERROR)
        self._setup_lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._setup_lock, timeout=60.0):
            mlflow.set_tracking_uri(self.uri)
            client = mlflow.MlflowClient(self.uri)
            client.search_experiments(max_results=1)  # creates a new database
        self._client = client

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            location = None if self._artifacts is None else (self._artifacts / _file_name(name)).as_uri()
            try:
                return self._client.create_experiment(name, artifact_location=location)
            except Exception:  # another process was faster
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return found.experiment_id

    def _find(self, experiment: str, key: str) -> str | None:
        found = self._client.search_runs([experiment], f"tags.`{KEY_TAG}` = '{key}'", max_results=1)
        return found[0].info.run_id if found else None


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, FileNotFoundError) or getattr(error, "error_code", None) in _REFUSALS


def _batches(pending: Iterator[tuple[Record, int]]) -> Iterator[tuple[list[Record], int]]:
    """Batches of consecutive metric, parameter and tag records; other records one by one."""
    for operation, group in groupby(pending, key=lambda item: item[0]["op"]):
        size = _RECORDS_PER_BATCH if operation in _VALUES_PER_BATCH else 1
        while chunk := list(islice(group, size)):
            yield [record for record, _ in chunk], chunk[-1][1]


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in name)
