"""Which process runs which trial, where several share a study's folder, on one machine or on a shared disk.

A claim is a small file next to the trial's folder. It names host and process, and its process renews it while it
lives. The claim of a process that died is taken over: at once on the same machine, else after it was not renewed for
`LEASE_SECONDS`.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import SoftFileLease, Timeout

LEASE_SECONDS = 120.0
_UNWRITTEN_SECONDS = 3.0  # a claim is written within milliseconds of being made


class Claims:
    """Claims of one process on the trials in a folder.

    Parameters
    ----------
    folder : Path
        Created with the first claim.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._leases: dict[str, SoftFileLease] = {}

    @contextlib.contextmanager
    def take(self, name: str) -> Iterator[bool]:
        """Claim a trial until the block ends; False if another process has it."""
        lease = self._lease(name)
        _remove_dead(Path(lease.lock_file))
        try:
            lease.acquire()
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lease.release()

    def is_free(self, name: str) -> bool:
        """Whether no living process has claimed a trial; ask again and again of one object, which watches renewals."""
        with self.take(name) as taken:
            return taken

    def _lease(self, name: str) -> SoftFileLease:
        if name not in self._leases:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f".{name}.claim"
            self._leases[name] = SoftFileLease(path, lease_duration=LEASE_SECONDS, timeout=0.0)
        return self._leases[name]


def _remove_dead(path: Path) -> None:
    """Remove a claim whose process was killed before it wrote its name, or is dead and not yet forgotten by its parent.

    The library recognises processes that are gone.
    """
    with contextlib.suppress(OSError):
        found, text = path.stat(), path.read_text(encoding="utf-8", errors="replace")
        unwritten = not text and time.time() - found.st_mtime > _UNWRITTEN_SECONDS
        if unwritten or _is_zombie(dict(line.split("=", 1) for line in text.splitlines() if "=" in line)):
            path.unlink()


def _is_zombie(owner: dict[str, str]) -> bool:
    if not owner.get("host", "").startswith(socket.gethostname()):
        return False
    try:
        state = Path("/proc", owner.get("pid", ""), "stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return state.rpartition(")")[2].split()[:1] == ["Z"]
