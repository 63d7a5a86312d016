"""Try again after failures that pass, with growing waits, and end after a stated time."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Found = TypeVar("Found")


class FetchError(ValueError):
    """Something could not be fetched; the message gives the reason."""


class PassingError(Exception):
    """A failure that may pass: worth another try.

    Parameters
    ----------
    detail : str
    pause : float
        Seconds that the server requests to wait.
    """

    def __init__(self, detail: str, pause: float = 0.0):
        super().__init__(detail)
        self.pause = pause


@dataclass(frozen=True)
class Patience:
    """How often and how long something is tried.

    Parameters
    ----------
    retries : int
        Tries after the first.
    first_wait, longest_wait : float
        Seconds before the first retry, doubled each time, and their bound; a server's Retry-After is within it.
    longest_time : float
        Seconds after which no further try begins and no answer is waited for any longer.
    """

    retries: int = 6
    first_wait: float = 0.5
    longest_wait: float = 60.0
    longest_time: float = 600.0

    def wait(self, attempt: int, pause: float = 0.0) -> float:
        """Seconds before a retry (1, 2, ...)."""
        doubled = self.first_wait * 2.0 ** (attempt - 1)
        return min(max(doubled, pause if pause == pause else 0.0), self.longest_wait)


class Retrying:
    """Calls that are tried again; others wait as well while a server requests a pause.

    Parameters
    ----------
    patience : Patience
    sleep : callable
        Replaces ``time.sleep`` in tests.
    """

    def __init__(self, patience: Patience, sleep: Callable[[float], None] = time.sleep):
        self.patience, self.sleep = patience, sleep
        self._pause_until = 0.0
        self._lock = threading.Lock()

    def run(self, call: Callable[[float], Found]) -> Found:
        """Result of ``call(deadline)``, tried again after each `PassingError`.

        Parameters
        ----------
        call : callable
            Is given the moment of ``time.monotonic`` at which it has to end.

        Raises
        ------
        FetchError
            With the last failure, after the last try or the longest time.
        """
        begun = time.monotonic()
        deadline = begun + self.patience.longest_time
        for attempt in range(1, self.patience.retries + 2):
            self._respect_pause(deadline)
            try:
                return call(deadline)
            except PassingError as error:
                detail, wait = str(error), self.patience.wait(attempt, error.pause)
                self._pause(error.pause)
            if attempt > self.patience.retries:
                raise FetchError(f"{detail} after {attempt} tries; try again later.")
            if time.monotonic() + wait > deadline:
                break
            self.sleep(wait)
        raise FetchError(
            f"{detail}; given up after {attempt} tries, because {self.patience.longest_time:g} seconds are the "
            "longest time for one file. Try again later."
        )

    def _pause(self, seconds: float) -> None:
        """Pause all calls for the time the server requests."""
        with self._lock:
            until = time.monotonic() + min(seconds, self.patience.longest_wait)
            self._pause_until = max(self._pause_until, until)

    def _respect_pause(self, deadline: float) -> None:
        with self._lock:
            rest = min(self._pause_until, deadline) - time.monotonic()
        if rest > 0.0:
            self.sleep(rest)
