"""File locks that the system releases when the process dies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FAR = (
    1 << 40
)  # Windows locks bytes, and a locked byte cannot be read: lock one beyond the end of any journal


def try_lock(descriptor: int) -> bool:
    """Lock the open file ``descriptor`` if it is free; returns whether it is locked now."""
    try:
        _lock(descriptor)
    except OSError:
        return False
    return True


def wait_lock(descriptor: int, seconds: float) -> bool:
    """Like `try_lock`, for as long as ``seconds``."""
    deadline = time.monotonic() + seconds
    while not try_lock(descriptor):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the lock on a file, created if missing, within the block; waits until it is free."""
    with path.open("ab") as handle:
        while not try_lock(handle.fileno()):
            time.sleep(0.05)
        yield


if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
