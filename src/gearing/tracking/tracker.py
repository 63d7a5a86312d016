"""The tracker: opens runs, and sends their journals in the background."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gearing.storage.digest import digest
from gearing.tracking.delivery import MlflowSender
from gearing.tracking.experiments import ParentMissing, TrackerAway, quoted
from gearing.tracking.journal import NOT_JOURNALS, Journal, Record, delivered_to, first_record
from gearing.tracking.pages import page
from gearing.tracking.run import Run
from gearing.tracking.store import (
    SQLITE,
    chosen_uri,
    database,
    engine_uri,
    prepare_for_reading,
    without_password,
)

LOCAL_SERVER = "http://127.0.0.1:5000"  # of `mlflow ui`
LATE = 30.0  # seconds after which a worker process sends what it records
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
    defer : float
        Seconds before this process sends anything; what it has not sent by its end, it leaves to another process
        that uses the spool. See `for_worker`.

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
        defer: float = 0.0,
    ):
        self.uri = chosen_uri(uri)
        self.experiment = experiment
        file = database(self.uri)
        home = None if file is None else file.parent
        self.spool = Path(spool).absolute() if spool is not None else _spool_of(home)
        self.interval = interval
        self.patience = patience
        self.defer = defer
        self.last_error: str | None = None
        artifacts = None if home is None else home / "artifacts"
        self._address = _address(self.uri, self.spool)
        self._sender = MlflowSender(self.uri, artifacts, self._journaled)
        self._runs: dict[str, Run] = {}  # of this process: open, or ended and waiting for delivery
        self._changed = threading.Condition()
        self._wake = threading.Event()
        self._requested = self._served = 0
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._parent_missing = False

    def __reduce__(self) -> tuple[Any, ...]:
        names = ("spool", "interval", "patience", "defer")
        settings: dict[str, Any] = {name: getattr(self, name) for name in names}
        return partial(Tracker, self.uri, self.experiment, **settings), ()

    def for_worker(self) -> Tracker:
        """The same tracker for a worker process on this machine, whose short runs this process sends.

        A worker then imports no MLflow, and one process writes to the database. A run that takes longer than
        ``LATE`` seconds is sent by the worker itself, so that its curves can be watched.
        """
        return Tracker(
            self.uri,
            self.experiment,
            spool=self.spool,
            interval=self.interval,
            patience=self.patience,
            defer=LATE,
        )

    @property
    def command(self) -> str:
        """The command that shows the runs."""
        path = database(self.uri)
        if path is None:
            return f"open {without_password(self.uri)}"
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        return f"mlflow ui --backend-store-uri {shlex.quote(engine_uri(f'{SQLITE}{shown}'))}"

    @property
    def page(self) -> str | None:
        """Address of the runs, while `command` runs or at the server; None until a run was sent."""
        known = self._sender.experiments.get(self.experiment)
        if known is None or not (self.uri.startswith(("http://", "https://")) or database(self.uri)):
            return None
        return page(LOCAL_SERVER if database(self.uri) else without_password(self.uri), known)

    @contextlib.contextmanager
    def run(
        self,
        name: str,
        *,
        key: str | None = None,
        parent: Run | str | None = None,
        tags: Mapping[str, Any] | None = None,
        patience: float | None = None,
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
        patience : float, optional
            Seconds to wait for another process that writes this run; default: the tracker's own.

        Raises
        ------
        BlockingIOError
            If another process writes it.
        """
        journal, start = self._opened(key, self.patience if patience is None else patience)
        start |= {"name": name, "parent": parent.key if isinstance(parent, Run) else parent}
        start["tags"] = {tag: str(value) for tag, value in (tags or {}).items()}
        run = self._begin(journal, start)
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
            if not self.defer:
                self.flush(self.patience)
                prepare_for_reading(self.uri)
            self._stopped = True
            self._wake.set()
            self._thread.join(self.patience)
        if self._thread is None or not self._thread.is_alive():  # else the thread closes them when it is done
            self._close_journals()

    @property
    def undelivered(self) -> str | None:
        """One line about records that have not arrived: how many, why, where they are and how to send them."""
        pending, refused = self.pending, self._sender.refused
        if pending:
            return (
                f"{_records(pending)} not reached the tracker {without_password(self.uri)} "
                f"({self.last_error or 'it responds slowly'}). They are stored in {self.spool}; the same command, run "
                "again when the tracker responds, sends them, and so does gearing.tracking.Tracker(uri).flush()."
            )
        if refused:
            return (
                f"{_records(refused)} been refused by MLflow; they are in {self.spool}, in *.refused.jsonl."
            )
        return None

    @property
    def pending(self) -> int:
        """Records on disk not yet delivered."""
        own = {run.journal.path: run.journal for run in list(self._runs.values())}
        return sum(_count_pending(path, own.get(path)) for path in self._journals())

    def _opened(self, key: str | None, patience: float) -> tuple[Journal, Record]:
        """The journal of a key, and what its start record says of it."""
        start: Record = {"op": "start", "key": key or uuid.uuid4().hex, "keyed": key is not None}
        key = start["key"]
        quoted(key)  # runs are found by their keys
        if key in self._runs and not self._runs[key].ended:
            raise ValueError(f"run {key!r} is open already in this process.")
        return self._journal(key, patience), start | {"experiment": self.experiment, "tracker": self._address}

    def _begin(self, journal: Journal, start: Record) -> Run:
        run = Run(journal, start["name"], start["key"])
        run.append(start)
        with self._changed:
            self._runs[run.key] = run
            self._ensure_thread()
        return run

    def _journal(self, key: str, patience: float) -> Journal:
        with self._changed:
            waiting = self._runs.pop(key, None)
        if waiting is not None:  # ended in this process and resumed
            return waiting.journal
        try:
            return Journal(self._place(self.experiment, key), patience)
        except BlockingIOError:
            raise BlockingIOError(
                f"run {key!r} is being written by another process. End that one, or choose another key."
            ) from None

    def _place(self, experiment: str, key: str) -> Path:
        return self.spool / f"{digest(self._address, experiment, key, length=24)}.jsonl"

    def _journaled(self, experiment: str, key: str) -> str | None:
        path = self._place(experiment, key)
        return (delivered_to(path) or "") if path.exists() else None

    def _end(self, run: Run, status: str) -> None:
        run.append({"op": "end", "status": status})
        with self._changed:
            last = all(one.ended for one in self._runs.values())
        if last and not self.defer:
            self.flush(self.patience)
            if self.undelivered is not None:
                _logger.warning("%s", self.undelivered)

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
        pause = self.defer or self.interval
        while not self._stopped:
            if self._wake.wait(pause) and self._stopped:
                break
            self._wake.clear()
            pause = self.interval
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
        self._close_journals()

    def _close_journals(self) -> None:
        with self._changed:
            for run in self._runs.values():
                run.journal.close()
            self._runs.clear()

    def _deliver_all(self) -> None:
        """Try everything once; a failing journal stops the others only if the tracker is unreachable."""
        with self._changed:
            own = {run.journal.path: run for run in self._runs.values()}
        trouble: TrackerAway | None = None
        self._sender.forget()
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
        found = []
        for path in self.spool.glob("*.jsonl"):
            with contextlib.suppress(FileNotFoundError):
                record = None if path.name.endswith(NOT_JOURNALS) else first_record(path)
                if record is not None and self._is_ours(record):
                    began = record.get("time")
                    found.append((began if isinstance(began, int) else 0, path))
        return [path for _, path in sorted(found)]

    def _is_ours(self, record: Record) -> bool:
        """Whether a journal that begins with a record is for this tracker; a record whose own start is lost is."""
        given = record.get("tracker", self._address)
        if given == self._address:
            return True
        file, other = database(self.uri), database(str(given))
        if file is None or other is None:  # of former versions, which wrote where the database was
            return False
        return other == file or (
            other.name == file.name and not other.exists() and self.spool.parent == file.parent
        )


def _count_pending(path: Path, journal: Journal | None) -> int:
    if journal is not None:
        return sum(1 for _ in journal.pending())
    with (
        contextlib.suppress(FileNotFoundError, BlockingIOError),
        contextlib.closing(Journal(path, create=False)) as orphan,
    ):
        return sum(1 for _ in orphan.pending())
    return 0


def _records(number: int) -> str:
    return f"{number} record{'' if number == 1 else 's'} {'has' if number == 1 else 'have'}"


def _spool_of(home: Path | None) -> Path:
    """Folder of the journals: next to the database, or in this folder where that one cannot be written."""
    here = Path("mlruns").absolute() / "spool"
    if home is None:
        return here
    try:
        (home / "spool").mkdir(parents=True, exist_ok=True)
        if os.access(home / "spool", os.W_OK):
            return home / "spool"
    except OSError:
        pass
    _logger.warning("%s cannot be written; records are stored in %s until it can", home, here)
    return here


def _address(uri: str, spool: Path) -> str:
    """What a journal says about where it goes: a database by its path from the spool, so that both may be moved."""
    file = database(uri)
    return (
        without_password(uri) if file is None else f"{SQLITE}{Path(os.path.relpath(file, spool)).as_posix()}"
    )
