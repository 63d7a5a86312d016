"""The tracker: opens runs, and sends their journals in the background."""

import contextlib
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from gearing.storage.digest import digest
from gearing.tracking.delivery import MlflowSender, ParentMissing, TrackerAway
from gearing.tracking.journal import Journal, first_record
from gearing.tracking.run import Run

DEFAULT_URI = "sqlite:///mlruns/mlflow.db"
_SQLITE = "sqlite:///"
_logger = logging.getLogger(__name__)


class Tracker:
    """Runs in MLflow; a killed process or an unreachable server neither loses nor duplicates records.

    Parameters
    ----------
    uri : str, optional
        Tracking URI; default ``$MLFLOW_TRACKING_URI``, else a SQLite database in ``mlruns/``.
    experiment : str
        MLflow experiment the runs belong to.
    spool : path, optional
        Folder of the journals; default ``spool`` next to the database, or ``mlruns/spool`` for a server.
    interval : float
        Seconds between two deliveries.
    patience : float
        Seconds that the end of the last open run waits for delivery. Unsent records stay in the
        spool; the next tracker on it (or `flush`) sends them.

    Notes
    -----
    What earlier processes left in the spool is sent by the first run or `flush`. The object may be pickled to worker
    processes; each has its own writer.
    """

    def __init__(
        self,
        uri: str | None = None,
        experiment: str = "gearing",
        *,
        spool: str | Path | None = None,
        interval: float = 5.0,
        patience: float = 30.0,
    ):
        self.uri = _checked_uri(uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI)
        self.experiment = experiment
        home = Path(self.uri.removeprefix(_SQLITE)).parent if self.uri.startswith(_SQLITE) else None
        self.spool = Path(spool) if spool is not None else (home or Path("mlruns").absolute()) / "spool"
        self.interval = interval
        self.patience = patience
        self.last_error: str | None = None
        artifacts = None if home is None else home / "artifacts"
        self._sender = MlflowSender(self.uri, artifacts, self.spool / ".setup.lock")
        self._runs: dict[str, Run] = {}  # of this process: open, or ended and waiting for delivery
        self._changed = threading.Condition()
        self._wake = threading.Event()
        self._requested = self._served = 0
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._parent_missing = False

    def __reduce__(self) -> tuple[Any, ...]:
        settings: dict[str, Any] = {"spool": self.spool, "interval": self.interval, "patience": self.patience}
        return partial(Tracker, self.uri, self.experiment, **settings), ()

    @property
    def command(self) -> str:
        """The command that shows the runs."""
        if not self.uri.startswith(_SQLITE):
            return f"open {self.uri}"
        path = Path(self.uri.removeprefix(_SQLITE))
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        return f"mlflow ui --backend-store-uri {_SQLITE}{shown}"

    @contextlib.contextmanager
    def run(
        self,
        name: str,
        *,
        key: str | None = None,
        parent: Run | str | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> Iterator[Run]:
        """Open a run; it ends as finished, as failed on an exception, as killed on an interrupt.

        Parameters
        ----------
        name : str
            For people.
        key : str, optional
            The same key is the same run: a killed run opened again continues. Default: a new one.
        parent : Run or str, optional
            The parent run, or its key (from another process).
        tags : mapping, optional
            Set at the start.
        """
        run = self._begin(name, key, parent, tags or {})
        try:
            yield run
        except BaseException as error:
            self._end(run, "FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        self._end(run, "FINISHED")

    def flush(self, timeout: float | None = None) -> int:
        """Send everything pending, of this and of killed processes; returns the records left."""
        deadline = time.monotonic() + (threading.TIMEOUT_MAX if timeout is None else timeout)
        self._attempt(deadline)
        # Wait only for parents in another process.
        while self._parent_missing and time.monotonic() < deadline:
            time.sleep(min(1.0, self.interval))
            self._attempt(deadline)
        return self.pending

    def close(self) -> None:
        """Send what can be sent and close; the rest stays on disk for the next tracker."""
        if self._thread is not None:
            self.flush(self.patience)
            self._stopped = True
            self._wake.set()
            self._thread.join(self.patience)
        for run in self._runs.values():
            run.journal.close()
        self._runs.clear()

    @property
    def pending(self) -> int:
        """Records on disk not yet delivered."""
        own = {run.journal.path: run.journal for run in list(self._runs.values())}
        return sum(_count_pending(path, own.get(path)) for path in self._journals())

    def _begin(self, name: str, key: str | None, parent: Run | str | None, tags: Mapping[str, Any]) -> Run:
        keyed = key is not None
        key = key or uuid.uuid4().hex
        if "'" in key or "`" in key:
            raise ValueError(f"run key {key!r} contains a quote; use letters, digits, '-', '_' and '/'.")
        if key in self._runs and not self._runs[key].ended:
            raise ValueError(f"run {key!r} is open already in this process.")
        journal = self._journal(key)
        run = Run(journal, name, key)
        run.append(
            {
                "op": "start",
                "name": name,
                "key": key,
                "keyed": keyed,
                "parent": parent.key if isinstance(parent, Run) else parent,
                "tags": {tag: str(value) for tag, value in tags.items()},
                "experiment": self.experiment,
                "tracker": _without_password(self.uri),
            }
        )
        with self._changed:
            self._runs[key] = run
            self._ensure_thread()
        return run

    def _journal(self, key: str) -> Journal:
        with self._changed:
            waiting = self._runs.pop(key, None)
        if waiting is not None:  # ended in this process and resumed
            return waiting.journal
        path = self.spool / f"{digest(_without_password(self.uri), self.experiment, key, length=24)}.jsonl"
        try:
            return Journal(path, self.patience)
        except BlockingIOError:
            raise BlockingIOError(
                f"run {key!r} is being written by another process. End that one, or choose another key."
            ) from None

    def _end(self, run: Run, status: str) -> None:
        run.append({"op": "end", "status": status})
        with self._changed:
            last = all(one.ended for one in self._runs.values())
        if last and self.flush(self.patience):
            _logger.warning(
                "%d records have not reached the tracker (%s). They are stored in %s and will be sent by the "
                "next run or by Tracker.flush().",
                self.pending,
                self.last_error or "it responds slowly",
                self.spool,
            )

    def _attempt(self, deadline: float) -> None:
        """Let the writer try everything once."""
        with self._changed:
            self._requested += 1
            request = self._requested
            self._ensure_thread()
            self._wake.set()
            self._changed.wait_for(lambda: self._served >= request, deadline - time.monotonic())

    def _ensure_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._stopped = False
            self._thread = threading.Thread(target=self._deliver_forever, name="gearing-tracker", daemon=True)
            self._thread.start()

    def _deliver_forever(self) -> None:
        while not self._stopped:
            self._wake.wait(self.interval)
            self._wake.clear()
            requested = self._requested
            try:
                self._deliver_all()
                self.last_error, self._parent_missing = None, False
            except Exception as error:  # the run continues and the journals stay
                self.last_error, self._parent_missing = str(error), isinstance(error, ParentMissing)
                _logger.info("not delivered: %s", error)
            with self._changed:
                self._served = requested
                self._changed.notify_all()

    def _deliver_all(self) -> None:
        """Try everything once; a failing journal stops the others only if the tracker is unreachable."""
        with self._changed:
            own = {run.journal.path: run for run in self._runs.values()}
        trouble: TrackerAway | None = None
        for path in self._journals():
            try:
                self._deliver_own(own[path]) if path in own else self._deliver_orphan(path)
            except TrackerAway as error:
                trouble = error
                if not isinstance(error, ParentMissing) and not self._sender.is_reachable():
                    break
        if trouble is not None:
            raise trouble

    def _deliver_own(self, run: Run) -> None:
        self._sender.deliver(run.journal)
        with self._changed:
            # A run that was resumed meanwhile goes on in the same journal.
            if run.ended and run.journal.state.ended and self._runs.get(run.key) is run:
                del self._runs[run.key]
                run.journal.remove()

    def _deliver_orphan(self, path: Path) -> None:
        """Send the journal of a process that ended."""
        try:
            journal = Journal(path, create=False)
        except (BlockingIOError, FileNotFoundError):
            return  # its process is running and sends it, or has just sent it
        with contextlib.closing(journal):
            self._sender.deliver(journal)
            if not journal.state.ended and journal.state.run_id is not None:
                self._sender.mark_killed(journal)
            journal.remove()

    def _journals(self) -> list[Path]:
        """Journals in the spool for this tracker, parents first."""
        here = _without_password(self.uri)
        found = []
        for path in self.spool.glob("*.jsonl"):
            with contextlib.suppress(FileNotFoundError):
                record = None if path.name.endswith(".refused.jsonl") else first_record(path)
                if record is not None and record.get("tracker") == here:
                    found.append((record["time"], path))
        return [path for _, path in sorted(found)]


def _count_pending(path: Path, journal: Journal | None) -> int:
    if journal is not None:
        return sum(1 for _ in journal.pending())
    with (
        contextlib.suppress(FileNotFoundError, BlockingIOError),
        contextlib.closing(Journal(path, create=False)) as orphan,
    ):
        return sum(1 for _ in orphan.pending())
    return 0


def _checked_uri(uri: str) -> str:
    """Make a SQLite path absolute, so that worker processes and a change of folder mean the same database."""
    if uri.startswith("file:") or "://" not in uri:
        raise ValueError(
            f"tracking URI {uri!r} names a folder, and MLflow no longer writes to plain folders. "
            "Use a database such as 'sqlite:///mlruns/mlflow.db', or the address of a server."
        )
    if uri.startswith(_SQLITE):
        return _SQLITE + str(Path(uri.removeprefix(_SQLITE)).absolute())
    return uri


def _without_password(uri: str) -> str:
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def find_runs(
    experiment: str = "gearing", uri: str | None = None, **params: Any
) -> list[tuple[dict[str, str], dict[str, float]]]:
    """Parameters and last metrics of finished runs, the newest first.

    Parameters
    ----------
    experiment : str
        MLflow experiment.
    uri : str, optional
        Tracking URI, as `Tracker` takes it.
    **params
        Logged parameters that a run must have, such as ``agent="ppo"``.

    Returns
    -------
    list of (params, metrics)
        Empty if nothing was tracked there.
    """
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return []
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    known = client.get_experiment_by_name(experiment)
    if known is None:
        return []
    wanted = " and ".join(f"params.`{name}` = '{value}'" for name, value in params.items())
    found = client.search_runs([known.experiment_id], wanted, order_by=["attributes.start_time DESC"])
    return [(dict(run.data.params), dict(run.data.metrics)) for run in found if run.info.status == "FINISHED"]
