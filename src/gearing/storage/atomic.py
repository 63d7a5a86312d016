"""Atomic writes: a file is either complete or absent, also if the process is killed; damaged files are set aside."""

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import zlib
from collections.abc import Callable, Iterator, Mapping
from glob import escape
from itertools import count
from pathlib import Path
from typing import Any

_LONGEST = 200  # bytes of a name to which a suffix is added; file systems allow 255
_DRAFT = re.compile(r"\.([0-9a-f]{8})-(\d+)-[0-9a-f]{4}\.part$")  # of a host and a process


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a draft in the same folder, made if missing, and rename it once it is complete and on disk.

    Parameters
    ----------
    path : Path
    write : callable
        Is given the draft's path, which ends in ".part"; a device or a pipe (``/dev/stdout``), which must not be
        replaced, is given itself.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        write(path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path)
    try:
        write(draft)
        with draft.open("rb+") as handle:
            os.fsync(handle.fileno())
        draft.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(draft)):
            error.filename = str(path)  # for a person: a full disk names no file
        raise
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def draft_folder(final: Path) -> Iterator[Path]:
    """A draft next to ``final``, this process's own, that replaces it once the block has filled it."""
    draft, old = _draft(final), _draft(final)
    draft.mkdir(parents=True)
    try:
        yield draft
        if final.exists():
            final.rename(old)
        draft.rename(final)
    finally:
        for folder in (draft, old):
            shutil.rmtree(folder, ignore_errors=True)


def set_aside(path: Path, word: str = "damaged") -> Path:
    """Rename a file or folder, so that it can be made again and nothing is lost; returns its new path."""
    for number in count(1):
        aside = path.with_name(f"{_short(path.name)}.{word}-{number}")
        if not aside.exists():
            path.rename(aside)
            return aside
    raise AssertionError("unreachable")


def _draft(final: Path) -> Path:
    """A new name for a draft of a file or folder; drafts that killed processes of this machine left are removed."""
    name, host = _short(final.name), f"{zlib.crc32(socket.gethostname().encode()):08x}"
    for left in final.parent.glob(f".{escape(name)}.*.part"):
        found = _DRAFT.search(left.name)
        if found and found[1] == host and not _is_alive(int(found[2])):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
    return final.with_name(f".{name}.{host}-{os.getpid()}-{secrets.token_hex(2)}.part")


def _short(name: str) -> str:
    return name.encode()[:_LONGEST].decode(errors="ignore")


def _is_alive(pid: int) -> bool:
    if os.name == "nt":  # signal 0 would end the process there
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8, atomically."""
    write_atomically(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def write_json(path: Path, values: Any, indent: int | None = 1) -> None:
    """Write plain values as JSON, atomically; NumPy numbers are allowed."""
    write_text(path, json.dumps(values, indent=indent, default=float))


def write_arrays(path: Path, arrays: Mapping[str, Any], compressed: bool = False) -> None:
    """Write named arrays as ``.npz``, atomically."""
    import numpy as np

    save = np.savez_compressed if compressed else np.savez

    def write(draft: Path) -> None:
        with draft.open("wb") as handle:  # given a path, NumPy would add a suffix to it
            save(handle, **arrays)

    write_atomically(path, write)
