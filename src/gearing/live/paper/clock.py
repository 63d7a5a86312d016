"""Clocks of a paper run: the present, the present at another speed, or as fast as decisions can be made."""

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np


class Clock(Protocol):
    """Tells the moment, UTC, and waits."""

    def now(self) -> np.datetime64:
        """The moment [ms]."""

    def wait(self, moment: np.datetime64) -> None:
        """Return when the moment has come."""


class Unhurried:
    """Time goes on at once to whatever is waited for: recorded bars, as fast as possible."""

    def __init__(self) -> None:
        self._now: np.datetime64 = np.datetime64(0, "ms")

    def now(self) -> np.datetime64:
        """The last moment that was waited for."""
        return self._now

    def wait(self, moment: np.datetime64) -> None:
        """Go to the moment, unless it is past."""
        if moment > self._now:
            self._now = moment


class Running:
    """Time that runs by itself.

    Parameters
    ----------
    start : datetime64[ms], optional
        The moment at which it begins now; None is the present.
    speed : float
        Times as fast as real time.
    """

    def __init__(
        self,
        start: np.datetime64 | None = None,
        speed: float = 1.0,
        read: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self._begun, self._speed, self._read, self._sleep = read(), speed, read, sleep
        self._start = np.datetime64(round(self._begun * 1000), "ms") if start is None else start

    def now(self) -> np.datetime64:
        """The moment."""
        passed = (self._read() - self._begun) * self._speed * 1000.0
        return self._start + np.timedelta64(round(passed), "ms")

    def wait(self, moment: np.datetime64) -> None:
        """Sleep, at most a minute at a time: clocks are set, and machines sleep."""
        while (left := float((moment - self.now()).astype(np.int64)) / 1000.0 / self._speed) > 0.0:
            self._sleep(min(left, 60.0))
