"""Fetch files: verified by checksum, written atomically, retried with growing waits."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import httpx

from gearing.storage.atomic import write_atomically

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class FetchSettings:
    """Settings of a download.

    Parameters
    ----------
    base_url : str
        Address of the archive.
    workers : int
        Files fetched at a time.
    retries : int
        Retries of a file after the first attempt.
    first_wait, longest_wait : float
        Seconds before the first retry, doubled each time, and their bound. A server's Retry-After takes precedence.
    timeout : float
        Seconds without a byte after which an attempt fails.
    """

    base_url: str = "https://data.binance.vision"
    workers: int = 4
    retries: int = 6
    first_wait: float = 0.5
    longest_wait: float = 60.0
    timeout: float = 30.0


@dataclass(frozen=True)
class Outcome:
    """The state of one file: "new", "kept" (already there), "absent" (404) or "failed"."""

    path: str
    state: str
    detail: str = ""


class FetchError(Exception):
    """A file could not be fetched; the message names it and the reason."""


class Fetcher:
    """Fetches archive files into a folder, keeping the archive's paths.

    Parameters
    ----------
    folder : Path
        Files in it are complete and verified by checksum.
    settings : FetchSettings
    sleep : callable, optional
        Replaces ``time.sleep`` in tests.
    """

    def __init__(self, folder: Path, settings: FetchSettings, sleep: Callable[[float], None] = time.sleep):
        self.folder, self.settings, self.sleep = folder, settings, sleep
        self.client = httpx.Client(timeout=settings.timeout, follow_redirects=True)
        self._pause_until = 0.0
        self._lock = threading.Lock()

    def fetch_all(
        self, paths: Iterable[str], progress: Callable[[Outcome, int, int], None] | None = None
    ) -> list[Outcome]:
        """Fetch files in parallel; failures are reported, not raised, and do not stop the others."""
        wanted = list(paths)
        outcomes = []
        with ThreadPoolExecutor(self.settings.workers) as pool:
            tasks = [pool.submit(self.fetch, path) for path in wanted]
            for done, task in enumerate(as_completed(tasks), start=1):
                outcomes.append(task.result())
                if progress is not None:
                    progress(outcomes[-1], done, len(wanted))
        return sorted(outcomes, key=lambda o: o.path)

    def fetch(self, path: str) -> Outcome:
        """Fetch one file unless it exists."""
        target = self.folder / path
        if target.is_file():
            return Outcome(path, "kept")
        try:
            content = self._verified(path)
        except FetchError as error:
            return Outcome(path, "failed", str(error))
        if content is None:
            return Outcome(path, "absent")
        write_atomically(target, lambda draft: draft.write_bytes(content))
        return Outcome(path, "new")

    def _verified(self, path: str) -> bytes | None:
        """Content of a file whose checksum agrees, or None where the archive has no such file."""
        detail = ""
        for attempt in range(self.settings.retries + 1):
            if attempt:
                self.sleep(self._wait(attempt))
            listed = self._get(path + ".CHECKSUM")
            content = self._get(path)
            if content is None:
                return None
            if listed is None:
                raise FetchError(
                    f"{path}: the archive has the file but no checksum, so it cannot be verified."
                )
            words = listed.decode(errors="replace").split()
            expected = words[0].lower() if words else ""
            found = hashlib.sha256(content).hexdigest()
            if found == expected:
                return content
            detail = f"checksum {found[:12]}... differs from the listed {expected[:12]}..."
        raise FetchError(f"{path}: {detail} after {self.settings.retries + 1} tries; try again later.")

    def _get(self, path: str) -> bytes | None:
        url = f"{self.settings.base_url.rstrip('/')}/{path}"
        detail = ""
        for attempt in range(self.settings.retries + 1):
            if attempt:
                self.sleep(self._wait(attempt))
            self._respect_pause()
            try:
                response = self.client.get(url)
            except httpx.TransportError as error:  # refused, cut off, too slow
                detail = f"{type(error).__name__}: {error}"
                continue
            if response.status_code == 404:
                return None
            if response.status_code in RETRIED:
                detail = f"status {response.status_code}"
                self._pause(response)
                continue
            if response.is_error:
                raise FetchError(f"{path}: status {response.status_code}; check the base address {url}.")
            return response.content
        raise FetchError(f"{path}: {detail} after {self.settings.retries + 1} tries; try again later.")

    def _wait(self, attempt: int) -> float:
        return min(self.settings.first_wait * 2.0 ** (attempt - 1), self.settings.longest_wait)

    def _pause(self, response: httpx.Response) -> None:
        """Pause all workers for the time the server requests."""
        try:
            seconds = float(response.headers.get("Retry-After", 0.0))
        except ValueError:
            seconds = self.settings.longest_wait
        with self._lock:
            self._pause_until = max(
                self._pause_until, time.monotonic() + min(seconds, self.settings.longest_wait)
            )

    def _respect_pause(self) -> None:
        with self._lock:
            rest = self._pause_until - time.monotonic()
        if rest > 0.0:
            self.sleep(rest)


def remove_abandoned_parts(folder: Path) -> None:
    """Remove unfinished files of killed processes; those of running processes stay for a day."""
    for part in folder.rglob(".*.part"):
        owner = part.name.split(".")[-2]
        if part.is_file() and owner.isdigit() and not (_alive(int(owner)) and _young(part)):
            part.unlink(missing_ok=True)


def _young(path: Path) -> bool:
    """Younger than a day: later the process number may belong to another process."""
    try:
        return time.time() - path.stat().st_mtime < 86_400.0
    except FileNotFoundError:
        return False


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
