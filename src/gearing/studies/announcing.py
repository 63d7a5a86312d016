"""What a running experiment prints: each step, and at least every minute that it is still at it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

QUIET = 60.0  # seconds after which the current step is named again


class Announcer:
    """Prints lines; the latest one again, with the time it has taken, whenever nothing was printed for a while."""

    def __init__(self, show: Callable[[str], Any], quiet: float = QUIET):
        self._show, self._quiet = show, quiet
        self._latest, self._begun = "", time.monotonic()
        self._spoken, self._over = threading.Event(), False

    def __call__(self, text: str) -> None:
        """Print a line about the step that begins."""
        self._latest, self._begun = text, time.monotonic()
        self._show(text)
        self._spoken.set()

    def watch(self) -> None:
        """Print in silence until `stop`; runs in a thread of its own."""
        while not self._over:
            if not self._spoken.wait(self._quiet) and not self._over:
                self._show(f"  still at: {self._latest} ({time.monotonic() - self._begun:,.0f} s)")
            self._spoken.clear()

    def stop(self) -> None:
        """End `watch`."""
        self._over = True
        self._spoken.set()


@contextmanager
def announcer(show: Callable[[str], Any], quiet: float = QUIET) -> Iterator[Announcer]:
    """An `Announcer` that watches over the body of the ``with`` statement."""
    made = Announcer(show, quiet)
    thread = threading.Thread(target=made.watch, daemon=True, name="gearing-announcer")
    thread.start()
    try:
        yield made
    finally:
        made.stop()
        thread.join()
