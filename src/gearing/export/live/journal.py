"""An append-only log whose lines are chained by their SHA-256: torn and changed lines show.

A line is one JSON object: ``n`` (its number from 0), ``kind``, ``prev`` (the hash of the line before; zeros at first),
its values, and ``sha256`` of all that. It is on the disk before `Journal.append` returns. A process that dies while it
writes leaves a line without its end, which the next one sets aside. What the chain cannot show is that whole lines were
cut off at the end: note the last hash elsewhere, and give it to `read_journal`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from gearing.export.bundle.files import BundleError
from gearing.storage.text import parse_json

FIRST = "0" * 64  # hash before the first line
_OWN = ("n", "kind", "prev", "sha256")


class JournalError(BundleError):
    """A log cannot be used; the message names the line."""

    def __init__(self, message: str):
        super().__init__(message, "log")


def read_journal(path: Path, head: str | None = None) -> list[dict[str, Any]]:
    """All records of a log, checked.

    Parameters
    ----------
    head : str, optional
        Hash of a line that must be in it.

    Raises
    ------
    JournalError
        For a torn, changed, missing or added line.
    """
    content = _content(path)
    if content and not content.endswith(b"\n"):
        number = content.count(b"\n") + 1
        raise JournalError(
            f"{path}, line {number} is torn: a process died while it wrote it. Open the session again, which sets it "
            "aside, or cut it off."
        )
    records = _records(path, content)
    if head is not None and head not in {record["sha256"] for record in records}:
        raise JournalError(f"{path} has no line with the hash {head}: lines are missing at its end.")
    return records


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path} cannot be read ({error.strerror}); give the log of a session.") from error


def _records(path: Path, content: bytes) -> list[dict[str, Any]]:
    records, before = list[dict[str, Any]](), FIRST
    for number, line in enumerate(content.split(b"\n")[:-1]):
        where = f"{path}, line {number + 1}"
        try:
            record: dict[str, Any] = parse_json(line.decode("utf-8"), where, dict)
        except (UnicodeDecodeError, ValueError) as error:
            raise JournalError(
                f"{where} was changed: it is no JSON object. Use the log as it was written."
            ) from error
        given = record.get("sha256")
        if (
            given != _hash(record)
            or line != _line(record)
            or record.get("prev") != before
            or record.get("n") != number
        ):
            raise JournalError(
                f"{where} was changed, or a line before it was removed or added: its hash does not fit. Use the log as "
                "it was written."
            )
        before = given
        records.append(record)
    return records


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


def _hash(record: dict[str, Any]) -> str:
    return hashlib.sha256(_line({k: v for k, v in record.items() if k != "sha256"})).hexdigest()


class Journal:
    """A log that one process writes.

    Parameters
    ----------
    path : Path
        Created if it is missing.

    Attributes
    ----------
    records : list of dict
        All of them, oldest first.

    Raises
    ------
    JournalError
        If a line was changed, or another process has the log open.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink():
                raise OSError(40, "it is a link")
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
            flags |= getattr(os, "O_NOFOLLOW", 0)
            self._descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise JournalError(
                f"{path} cannot be written ({error.strerror}); choose another folder."
            ) from error
        try:
            _lock(self._descriptor, path)
            self.records = self._opened()
        except BaseException:
            os.close(self._descriptor)
            raise

    @property
    def head(self) -> str:
        """Hash of the last line."""
        return str(self.records[-1]["sha256"]) if self.records else FIRST

    def append(self, kind: str, **values: Any) -> dict[str, Any]:
        """Write one record; it is on the disk afterwards."""
        if taken := set(_OWN) & values.keys():
            raise ValueError(f"{', '.join(sorted(taken))} are the log's own fields.")
        record = {"n": len(self.records), "kind": kind, "prev": self.head, **values}
        record["sha256"] = _hash(record)
        record = json.loads(_line(record))  # as it will be read back
        self._write(_line(record) + b"\n")
        self.records.append(record)
        return record

    def close(self) -> None:
        """Let another process write."""
        os.close(self._descriptor)

    def _write(self, line: bytes) -> None:
        start = os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, line)
            if written != len(line):
                raise OSError(28, "the disk is full")
            os.fsync(self._descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, start)
            raise JournalError(
                f"{self.path} cannot be written ({error.strerror}): nothing was decided. Free space on its disk."
            ) from error

    def _opened(self) -> list[dict[str, Any]]:
        content = _content(self.path)
        whole, _, torn = content.rpartition(b"\n")
        kept = whole + b"\n" if whole or content.startswith(b"\n") else b""
        records = _records(self.path, kept)
        if torn:
            os.ftruncate(self._descriptor, len(kept))
            self.records = records
            self.append("torn", bytes=len(torn), torn=hashlib.sha256(torn).hexdigest())
        return records


def _lock(descriptor: int, path: Path) -> None:
    """One writer; where the system has no such locks, nothing is checked."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise JournalError(f"{path} is open in another process; one session writes a log.") from None
