"""One worker for each bundle: a thread that owns its session and makes its decisions in turn."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from gearing.export.runtime import Bundle, BundleError, Session, State, load_bundle
from gearing.live.service.settings import Served, ServiceSettings

T = TypeVar("T")


class BusyError(Exception):
    """Too many requests wait already."""


class Worker:
    """Loads a bundle, opens its session and runs what it is given, one after the other.

    Whatever touches the session runs in its thread, a swap of the bundle as well, so a decision is of one bundle.

    Attributes
    ----------
    name : str
    bundle : Bundle
        The one that decides now.
    session : Session
    """

    def __init__(self, served: Served, settings: ServiceSettings):
        self.name, self._served, self._settings = served.name, served, settings
        self.bundle = self._loaded(served.digest)
        self.session = self._opened(self.bundle)
        self._jobs: queue.Queue[tuple[Callable[[], Any], Future[Any]] | None] = queue.Queue(settings.queue)
        self._thread = threading.Thread(target=self._run, name=f"bundle {served.name}", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._jobs.qsize()

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """Run a job in the worker's thread.

        Raises
        ------
        BusyError
            If the queue is full.
        """
        future: Future[T] = Future()
        try:
            self._jobs.put_nowait((job, future))
        except queue.Full:
            raise BusyError from None
        return future

    def swap(self, digest: str) -> Bundle:
        """Read the folder again and take over its bundle if it has this digest; else nothing changes.

        To be run as a job.
        """
        bundle = self._loaded(digest)
        if bundle.digest == self.bundle.digest:
            return bundle
        session = self._opened(bundle)
        if self.session.state != State.ACTIVE and session.state == State.ACTIVE:
            session.halt("swap", f"the bundle before was {self.session.state}: {self.session.tally.reason}")
        self.session.close()
        self.bundle, self.session = bundle, session
        return bundle

    def close(self) -> None:
        """Finish what waits, and end."""
        self._jobs.put(None)
        self._thread.join(self._settings.patience)
        self.session.close()

    def _loaded(self, digest: str | None) -> Bundle:
        return load_bundle(self._served.folder, digest=digest, key=self._settings.key)

    def _opened(self, bundle: Bundle) -> Session:
        settings = self._settings
        folder = settings.logs / self.name / bundle.digest[:16]  # a log is of one bundle
        folder.mkdir(parents=True, exist_ok=True)
        return Session(
            bundle, folder, limits=settings.limits, fallback=settings.fallback, venue=settings.venue,
            max_age=settings.max_age, max_jump=settings.max_jump, max_outside=settings.max_outside,
        )  # fmt: skip

    def _run(self) -> None:
        while (given := self._jobs.get()) is not None:
            job, future = given
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)


def opened(served: tuple[Served, ...], settings: ServiceSettings) -> dict[str, Worker]:
    """A worker for each bundle, by name.

    Raises
    ------
    BundleError
        If a bundle cannot be used.
    """
    if not served:
        raise BundleError("no bundle is named; give the folder of one or several.")
    return {one.name: Worker(one, settings) for one in served}
