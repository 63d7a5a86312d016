"""The journal of one run: its records on disk, and how many of them are delivered.

A record is one line of JSON, written by one system call before the logging call returns. So a killed process loses no
record: at most an unfinished line, which readers ignore and the next writer removes. An open journal holds the lock
``<name>.lock``; the system releases it when the process dies, which is how others see that it did.

Next to ``<name>.jsonl`` are ``<name>.state.json`` (the tracker's id of the run, the bytes delivered, the last step of
each metric), ``<name>.files`` (copies of logged files), ``<name>.refused.jsonl`` if the tracker ever refused a record,
and ``<name>.damaged.jsonl`` if a line could not be read.
"""

import contextlib
import json
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from gearing.storage.atomic import set_aside, write_atomically, write_json

Record = dict[str, Any]
NOT_JOURNALS = (".refused.jsonl", ".damaged.jsonl")
# What a record of an operation says at least; a line without it is damaged.
_FIELDS = {
    "start": frozenset({"name", "key", "keyed", "parent", "tags", "experiment", "time"}),
    "metrics": frozenset({"metrics", "step", "time"}),
    "params": frozenset({"params"}),
    "tags": frozenset({"tags"}),
    "end": frozenset({"status", "time"}),
}
_logger = logging.getLogger(__name__)


@dataclass
class JournalState:
    """Delivery state of a journal."""

    run_id: str | None = None  # the tracker's id of the run
    delivered: int = 0  # bytes delivered
    ended: bool = False  # the last delivered record ends the run
    finished: bool = False  # the run has been finished once; what a later session does cannot change that
    keyed: bool = False  # the caller named the run and may resume it
    last_step: dict[str, int] = field(default_factory=dict)  # per delivered metric
    skip: dict[str, int] = field(default_factory=dict)  # per metric, the last step of earlier sessions
    values: dict[str, float] = field(default_factory=dict)  # delivered metrics without a step


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
            self.state = self._read_state()
            if not create or path.exists():
                self._set_damaged_lines_aside()
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | (os.O_CREAT if create else 0), 0o644)
        except BaseException:
            self._unlock()
            raise
        if (
            os.fstat(self._descriptor).st_size < self.state.delivered
        ):  # a journal of an earlier session was removed
            self.state.delivered = 0

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

    def copy(self, source: Path, name: str) -> str:
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
                record = _record(line)
                if record is not None:
                    yield record, offset

    def delivered(self, offset: int) -> None:
        """Mark everything before ``offset`` [bytes] as delivered."""
        self.state.delivered = offset
        self._write_state()

    def restart(self) -> None:
        """Mark everything as pending, for a new run: the tracker has lost the one it was sent to."""
        self.state = JournalState(keyed=self.state.keyed)
        self._write_state()

    def refused(self, record: Record, reason: str) -> None:
        """Set aside a record that the tracker rejects, so that it does not block later ones."""
        with self.path.with_suffix(".refused.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"reason": reason, "record": record}) + "\n")

    def close(self) -> None:
        """Close the journal; undelivered records stay on disk."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._unlock()

    def remove(self) -> None:
        """Delete a delivered journal, except the state of a run that may be resumed."""
        if os.name == "nt":  # an open file cannot be deleted there
            self.close()
        shutil.rmtree(self.files, ignore_errors=True)
        self.path.unlink(missing_ok=True)
        # Last: a state without its journal is right, a delivered journal without its state would be sent again.
        if self.state.keyed or not self.state.ended:
            self.state.delivered = 0
            self._write_state()
        else:
            self._state_path.unlink(missing_ok=True)
        self.close()

    def _unlock(self) -> None:
        with contextlib.suppress(PermissionError):  # an open file cannot be deleted there, filelock does it
            os.unlink(self._lock.lock_file)
        self._lock.release()

    def _set_damaged_lines_aside(self) -> None:
        """Remove an unfinished last line, and lines that are no records; the latter go into a file of their own."""
        content = self.path.read_bytes()
        whole = [line + b"\n" for line in content.split(b"\n")[:-1]]
        damaged = [line for line in whole if _record(line) is None]
        if not content.endswith(b"\n"):
            os.truncate(self.path, sum(map(len, whole)))
        if not damaged:
            return
        aside = self.path.with_suffix(".damaged.jsonl")
        with aside.open("ab") as damaged_file:
            damaged_file.writelines(damaged)
        good = [line for line in whole if _record(line) is not None]
        # Records are sent from the first one again: each arrives once, however often it is sent.
        self.state.delivered = 0
        self._write_state()
        write_atomically(self.path, lambda draft: draft.write_bytes(b"".join(good)))
        _logger.warning(
            "%d of %d records in %s cannot be read; they are now in %s, and the others are sent.",
            len(damaged), len(whole), self.path, aside.name,
        )  # fmt: skip

    def _read_state(self) -> JournalState:
        try:
            stored = json.loads(self._state_path.read_text(encoding="utf-8"))
            return _checked_state(stored)
        except FileNotFoundError:
            return JournalState()
        except ValueError:
            aside = set_aside(self._state_path)
            _logger.warning(
                "%s cannot be read; it is now %s, and its run is sent again.", self._state_path, aside.name
            )
            return JournalState()

    def _write_state(self) -> None:
        write_json(self._state_path, asdict(self.state), indent=None)


def _checked_state(stored: Any) -> JournalState:
    if not isinstance(stored, dict):
        raise ValueError("no state")
    usual = JournalState()
    known = {one.name: stored[one.name] for one in fields(usual) if one.name in stored}
    for name, value in known.items():
        if not isinstance(value, str | None if name == "run_id" else type(getattr(usual, name))):
            raise ValueError(f"{name} is {value!r}")
    return JournalState(**known)


def first_record(path: Path) -> Record | None:
    """The first record of a journal that can be read, or None if there is none."""
    with path.open("rb") as lines:
        return next((record for line in lines if (record := _record(line)) is not None), None)


def delivered_to(path: Path) -> str | None:
    """The tracker's id of a journal's run, as far as it is known; the journal may be open elsewhere."""
    with contextlib.suppress(OSError, ValueError):
        return _checked_state(json.loads(path.with_suffix(".state.json").read_text(encoding="utf-8"))).run_id
    return None


def _record(line: bytes) -> Record | None:
    """What a line says; None of an unfinished or a damaged one."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or "op" not in record:
        return None
    return record if _FIELDS.get(str(record["op"]), frozenset()) <= record.keys() else None


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
