"""What an engine does, and the loop that keeps it busy.

An engine runs calls of one function side by side. The function is shared with its data: it is sent once to each
machine. What differs between calls, a trial, is sent with each.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

Shared = Callable[[Any], Any]  # of a job


class Vanished(Exception):  # noqa: N818  a state, not a mistake
    """The process that ran a job ended without a result: it was killed, or its machine is gone."""


class Engine(Protocol):
    """Runs jobs in other processes."""

    slots: int  # jobs that run at once

    def share(self, function: Shared) -> Any:
        """Place a function and its data where all processes read it; returns what `submit` names it by."""

    def submit(self, shared: Any, job: Any) -> Future[Any]:
        """Begin ``function(job)``; the future raises `Vanished` where the process ends without a result."""

    def free(self, shared: Any) -> None:
        """Give up the place of a function."""

    def close(self) -> None:
        """End all processes, those at work too."""


OpenEngine = AbstractContextManager[Engine]


@dataclass(frozen=True)
class Ended:
    """A job that has ended: its number, what the function returned, and how often its process vanished before."""

    number: int
    returned: Any  # None if the process vanished too often
    vanished: int


def run_jobs(
    engine: Engine, function: Shared, jobs: Sequence[Any], most_vanished: int, begun: Callable[[int], None]
) -> Iterator[Ended]:
    """Run jobs as slots become free; yields each when it ends.

    Parameters
    ----------
    function : callable
        Takes a job and raises nothing.
    most_vanished : int
        How often the process of one job may vanish before the job is given up.
    begun : callable
        Is called with the number of each job that begins.
    """
    shared = engine.share(function)
    waiting, running, vanished = deque(range(len(jobs))), dict[Future[Any], int](), Counter[int]()
    try:
        while waiting or running:
            while waiting and len(running) < engine.slots:
                number = waiting.popleft()
                begun(number)
                running[engine.submit(shared, jobs[number])] = number
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                number = running.pop(future)
                try:
                    yield Ended(number, future.result(), vanished[number])
                except Vanished:
                    vanished[number] += 1
                    if vanished[number] < most_vanished:
                        waiting.append(number)
                    else:
                        yield Ended(number, None, vanished[number])
    finally:
        engine.free(shared)
