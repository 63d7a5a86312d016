"""Processes of this machine, each of which runs one job at a time.

Every process is an executor of its own, so that one which is killed takes no other with it.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import Future
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from joblib.externals.loky.process_executor import BrokenProcessPool, ProcessPoolExecutor

from gearing.studies.engines.engine import Shared, Vanished
from gearing.studies.engines.folders import temporary_folder
from gearing.studies.engines.packing import read_packed, write_packed

# Threads of numerical libraries: as many as there are processors for each process.
_THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)  # fmt: skip
_read: dict[str, Any] = {}  # the shared function that this process read last, by its file


class LocalEngine:
    """Runs jobs in processes of this machine.

    Parameters
    ----------
    jobs : int
        Number of processes; each is started when it is first needed.
    """

    def __init__(self, jobs: int):
        self.slots = jobs
        self._folder = temporary_folder()
        self._numbers = count()
        self._idle: list[ProcessPoolExecutor] = []
        self._busy: set[ProcessPoolExecutor] = set()

    def share(self, function: Shared) -> Path:
        """Write the function and its data to a file, which the processes map."""
        path = self._folder / f"{next(self._numbers)}.packed"
        write_packed(path, function)
        return path

    def submit(self, shared: Path, job: Any) -> Future[Any]:
        """Begin a job in a free process."""
        executor = self._idle.pop() if self._idle else self._started()
        self._busy.add(executor)
        ended: Future[Any] = Future()
        executor.submit(_call, str(shared), job).add_done_callback(partial(self._end, executor, ended))
        return ended

    def free(self, shared: Path) -> None:
        """Remove the file; processes that still map it are not disturbed."""
        shared.unlink(missing_ok=True)

    def close(self) -> None:
        """End all processes and remove the files."""
        for executor in (*self._idle, *self._busy):
            executor.shutdown(wait=False, kill_workers=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _started(self) -> ProcessPoolExecutor:
        threads = str(max(1, (os.cpu_count() or 1) // self.slots))
        return ProcessPoolExecutor(1, env={name: os.environ.get(name, threads) for name in _THREADS})

    def _end(self, executor: ProcessPoolExecutor, ended: Future[Any], found: Future[Any]) -> None:
        """Pass on the end of a job; before, its process becomes free, or is forgotten if it is gone."""
        self._busy.discard(executor)
        error = found.exception()
        if isinstance(error, BrokenProcessPool):
            executor.shutdown(wait=False)
            ended.set_exception(Vanished())
            return
        self._idle.append(executor)
        if error is not None:
            ended.set_exception(error)
        else:
            ended.set_result(found.result())


def _call(path: str, job: Any) -> Any:
    if path not in _read:
        _read.clear()
        _read[path] = read_packed(Path(path))
    return _read[path](job)
