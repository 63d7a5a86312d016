"""The journal of one run: its records on disk, and how many of them are delivered.

A record is one line of JSON, written by one system call before the logging call returns. So a killed process loses no
record: at most an unfinished line, which readers ignore and the next writer removes. An open journal holds the lock
``<name>.lock``; the system releases it when the process dies, which is how others see that it did.

Next to ``<name>.jsonl`` are ``<name>.state.json`` (the tracker's id of the run, the bytes delivered, the last step of
each metric), ``<name>.files`` (copies of logged files) and, if the tracker ever refused a record,
``<name>.refused.jsonl``.
"""

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from gearing.storage.atomic import write_json

Record = dict[str, Any]


@dataclass
class JournalState:
    """Delivery state of a journal."""

    run_id: str | None = None  # the tracker's id of the run
    delivered: int = 0  # bytes delivered
    ended: bool = False  # the last delivered record ends the run
    keyed: bool = False  # the caller named the run and may resume it
    last_step: dict[str, int] = field(default_factory=dict)  # per delivered metric


class Journal:
    """One run's records, appended by its owner and read for delivery.

    Parameters
    ----------
    path : Path
        The ``.jsonl`` file; created if missing.
    patience : float
        Seconds to wait for another process that holds this journal; 0 does not wait.
    create : bool
        Whether to create a missing journal.

    Raises
    ------
    BlockingIOError
        Another process holds this journal.
    FileNotFoundError
        There is none, and ``create`` is False.
    """

    def __init__(self, path: Path, patience: float = 0.0, create: bool = True):
        self.path = path
        self.files = path.with_suffix(".files")
        self._state_path = path.with_suffix(".state.json")
        self._writing = threading.Lock()
        self._lock = _locked(path, patience, create)
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | (os.O_CREAT if create else 0), 0o644)
        except FileNotFoundError:
            self._unlock()
            raise
        self._cut_unfinished_line()
        self.state = self._read_state()

    def append(self, record: Record) -> None:
        """Write one record; afterwards it survives the process."""
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        with self._writing:
            before = os.fstat(self._descriptor).st_size
            written = os.write(self._descriptor, line)
            if written != len(line):
                os.ftruncate(self._descriptor, before)
                raise OSError(
                    f"{self.path}: only {written} of {len(line)} bytes could be written; is the disk full?"
                )

    def keep(self, source: Path, name: str) -> str:
        """Copy a file or folder so that the caller may delete it; returns where it is within `files`."""
        self.files.mkdir(parents=True, exist_ok=True)
        place = self.files / f"{len(list(self.files.iterdir())):05d}"
        place.mkdir()
        if source.is_dir():
            shutil.copytree(source, place / name)
        else:
            shutil.copy2(source, place / name)
        return f"{place.name}/{name}"

    def pending(self) -> Iterator[tuple[Record, int]]:
        """Records not delivered yet, each with the offset [bytes] at which it ends."""
        with self.path.open("rb") as lines:
            lines.seek(self.state.delivered)
            offset = self.state.delivered
            for line in lines:
                if not line.endswith(b"\n"):
                    return
                offset += len(line)
                yield json.loads(line), offset

    def last_steps(self) -> dict[str, int]:
        """The last step of each metric logged so far, delivered or not."""
        last = dict(self.state.last_step)
        for record, _ in self.pending():
            for name in record.get("metrics", ()):
                last[name] = max(record["step"], last.get(name, record["step"]))
        return last

    def delivered(self, offset: int) -> None:
        """Mark everything before ``offset`` [bytes] as delivered."""
        self.state.delivered = offset
        self._write_state()

    def refused(self, record: Record, reason: str) -> None:
        """Set aside a record that the tracker rejects, so that it does not block later ones."""
        with self.path.with_suffix(".refused.jsonl").open("a") as lines:
            lines.write(json.dumps({"reason": reason, "record": record}) + "\n")

    def close(self) -> None:
        """Close the journal; undelivered records stay on disk."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._unlock()

    def remove(self) -> None:
        """Delete a delivered journal, except the state of a run that may be resumed."""
        if self.state.keyed or not self.state.ended:
            self.state.delivered = 0
            self._write_state()
        else:
            self._state_path.unlink(missing_ok=True)
        if os.name == "nt":  # an open file cannot be deleted there
            self.close()
        self.path.unlink(missing_ok=True)
        shutil.rmtree(self.files, ignore_errors=True)
        self.close()

    def _unlock(self) -> None:
        with contextlib.suppress(PermissionError):  # an open file cannot be deleted there, filelock does it
            os.unlink(self._lock.lock_file)
        self._lock.release()

    def _cut_unfinished_line(self) -> None:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(self.path, whole)

    def _read_state(self) -> JournalState:
        try:
            return JournalState(**json.loads(self._state_path.read_text()))
        except FileNotFoundError:
            return JournalState()

    def _write_state(self) -> None:
        write_json(self._state_path, asdict(self.state), indent=None)


def first_record(path: Path) -> Record | None:
    """The first record of a journal, or None if its first line is unfinished."""
    with path.open("rb") as lines:
        line = lines.readline()
    return json.loads(line) if line.endswith(b"\n") else None


def _locked(path: Path, patience: float, create: bool) -> BaseFileLock:
    """The held lock of a journal; releasing it deletes its file, which waiting processes notice."""
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.exists():
        raise FileNotFoundError(path)
    lock = FileLock(path.with_suffix(".lock"), timeout=patience, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise BlockingIOError(f"{path} is in use by another process.") from None
    return lock
