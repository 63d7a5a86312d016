"""Fetch files: verified by checksum, written atomically, retried with growing waits, ended after a stated time."""

import hashlib
import os
import re
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from gearing.market.sources.retrying import FetchError, PassingError, Patience, Retrying
from gearing.market.sources.web import LARGEST, Web
from gearing.storage.atomic import write_atomically, write_text
from gearing.storage.digest import file_digest

CHECKSUM = ".CHECKSUM"
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")


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
    longest_time : float
        Seconds after which a file fails, tries and waits included; and those without any file after which the
        remaining ones are given up.
    largest : int
        Bytes after which a file fails.
    most_failures : int
        Files that fail in a row after which the remaining ones are given up.
    """

    base_url: str = "https://data.binance.vision"
    workers: int = 4
    retries: int = 6
    first_wait: float = 0.5
    longest_wait: float = 60.0
    timeout: float = 30.0
    longest_time: float = 600.0
    largest: int = LARGEST
    most_failures: int = 8

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise ValueError(f"base_url {self.base_url!r} is no address; it begins with http:// or https://.")
        for name, least in (("workers", 1), ("retries", 0), ("most_failures", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}.")
        for name in ("timeout", "longest_time", "largest"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive.")

    @property
    def patience(self) -> Patience:
        """The part that says how often and how long a file is tried."""
        return Patience(self.retries, self.first_wait, self.longest_wait, self.longest_time)


@dataclass(frozen=True)
class Outcome:
    """The state of one file: "new", "kept" (already there), "absent" (404) or "failed"."""

    path: str
    state: str
    detail: str = ""


class Fetcher:
    """Fetches archive files into a folder, keeping the archive's paths.

    Parameters
    ----------
    folder : Path
        Files in it are complete; their checksums are stored next to them and compared by later runs.
    settings : FetchSettings
    sleep : callable, optional
        Replaces ``time.sleep`` in tests.
    """

    def __init__(self, folder: Path, settings: FetchSettings, sleep: Callable[[float], None] | None = None):
        self.folder, self.settings = folder, settings
        self.web = Web(settings.timeout, settings.largest)
        self.retrying = Retrying(settings.patience, sleep or self.web.sleep)
        self._last_file = time.monotonic()
        self._failures = 0  # in a row

    def fetch_all(
        self, paths: Iterable[str], progress: Callable[[Outcome, int, int], None] | None = None
    ) -> list[Outcome]:
        """Fetch files in parallel; failures are reported, not raised, and do not stop the others."""
        wanted = list(dict.fromkeys(paths))
        outcomes = []
        self._last_file, self._failures = time.monotonic(), 0
        with ThreadPoolExecutor(self.settings.workers) as pool:
            tasks = [pool.submit(self.fetch, path) for path in wanted]
            try:
                for done, task in enumerate(as_completed(tasks), start=1):
                    outcomes.append(task.result())
                    if progress is not None:
                        progress(outcomes[-1], done, len(wanted))
            except BaseException:  # Ctrl-C, a full disk: end at once what has begun
                self.web.stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return sorted(outcomes, key=lambda o: o.path)

    def fetch(self, path: str) -> Outcome:
        """Fetch one file unless it exists as it was fetched."""
        target = self.folder / path
        if target.is_file() and _is_intact(target):
            return Outcome(path, "kept")
        if hopeless := self._hopeless():
            return Outcome(path, "failed", f"{path}: {hopeless}, so the rest was given up; try again later.")
        try:
            found = self.retrying.run(lambda deadline: self._verified(path, deadline))
        except FetchError as error:
            self._failures += 1
            return Outcome(path, "failed", f"{path}: {error}")
        self._last_file, self._failures = time.monotonic(), 0
        if found is None:
            return Outcome(path, "absent")
        content, listed = found
        _store_checksum(target, listed)
        write_atomically(target, lambda draft: draft.write_bytes(content))
        return Outcome(path, "new")

    def _hopeless(self) -> str:
        """Why no further file is tried; empty where it is."""
        if self._failures >= self.settings.most_failures:
            return f"{self.settings.most_failures} files in a row failed"
        if time.monotonic() - self._last_file > self.settings.longest_time:
            return f"no file came for {self.settings.longest_time:g} seconds"
        return ""

    def _verified(self, path: str, deadline: float) -> tuple[bytes, str] | None:
        """Content of a file and the checksum it agrees with, or None where the archive has no such file."""
        listed = self._get(path + CHECKSUM, deadline)
        content = self._get(path, deadline)
        if content is None:
            return None
        if listed is None:
            raise FetchError("the archive has the file but no checksum, so it cannot be verified.")
        words = listed[:200].decode(errors="replace").split()
        expected = words[0].lower() if words else ""
        if not _DIGEST.fullmatch(expected):
            raise PassingError(f"what came for {CHECKSUM} is no checksum (a proxy's or a login page?)")
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            raise PassingError(f"checksum {found[:12]}... differs from the listed {expected[:12]}...")
        return content, expected

    def _get(self, path: str, deadline: float) -> bytes | None:
        url = f"{self.settings.base_url.rstrip('/')}/{path}"
        status, body = self.web.get(url, deadline)
        if status == 404:
            return None
        if status >= 400:
            raise FetchError(f"status {status}; check the base address {url}.")
        return body


def _is_intact(path: Path) -> bool:
    """Whether a stored file is what was fetched: by its checksum, or by those inside the zip if it is of old."""
    checksum = path.with_name(path.name + CHECKSUM)
    if checksum.is_file():
        words = checksum.read_text(encoding="utf-8", errors="replace").split()
        return bool(words) and words[0] == file_digest(path)
    try:
        with zipfile.ZipFile(path) as archive:
            intact = archive.testzip() is None
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError):
        return False
    if intact:
        _store_checksum(path, file_digest(path))  # which later runs compare, faster
    return intact


def _store_checksum(path: Path, checksum: str) -> None:
    write_text(path.with_name(path.name + CHECKSUM), f"{checksum}  {path.name}\n")


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
