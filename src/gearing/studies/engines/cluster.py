"""A Ray cluster: the one at an address, else one of this machine that ends with the study.

The shared function lies in Ray's object store, which sends it once to each machine, where all processes map it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from concurrent.futures import Future
from functools import partial
from importlib.util import find_spec
from typing import Any

from gearing.studies.engines.address import check_address, no_cluster
from gearing.studies.engines.engine import Shared, Vanished
from gearing.studies.engines.folders import temporary_folder
from gearing.studies.engines.packing import Packed, pack, unpack

_STORE = 200_000_000  # bytes of the object store of this machine's own cluster, for what is small
_AUTHENTICATION = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_read: dict[str, Any] = {}  # the shared function that this process read last, by its name


def check_ray(address: str | None) -> None:
    """Refuse to begin where Ray is not installed, or no cluster is at the address.

    Raises
    ------
    ValueError
        Saying how to install or start it.
    """
    if find_spec("ray") is None:
        raise ValueError(
            'engine is ray, and Ray is not installed. Install it with: pip install "gearing[cluster]", or write '
            "engine=local."
        )
    if address is not None:
        check_address(address)


class RayEngine:
    """Runs jobs as tasks of a Ray cluster.

    Parameters
    ----------
    jobs : int
        Tasks at once; each takes one processor.
    address : str, optional
        Of the cluster, as in "auto" or "10.0.0.1:6379". Without one, a cluster is started on this machine, without a
        dashboard, in a private folder for temporary files.
    """

    def __init__(self, jobs: int, address: str | None):
        check_ray(address)
        self.slots = jobs
        self._home: str | None = None
        self._ray = _imported(is_local=address is None)
        self._own = not self._ray.is_initialized()
        if self._own and address is None:
            self._start()
        elif self._own and address is not None:
            self._connect(address)
        self._task = self._ray.remote(max_retries=0, num_cpus=1)(_call)
        self._place = (os.getcwd(), tuple(sys.path))

    def share(self, function: Shared) -> Any:
        """Put the function and its data into the object store."""
        import numpy as np

        data, arrays = pack(function)
        packed = Packed(data, [np.frombuffer(array, dtype=np.uint8) for array in arrays])
        return self._ray.put(tuple(packed)), secrets.token_hex(8)

    def submit(self, shared: Any, job: Any) -> Future[Any]:
        """Begin a task."""
        stored, name = shared
        ended: Future[Any] = Future()
        found = self._task.remote(stored, name, self._place, job).future()
        found.add_done_callback(partial(self._end, ended))
        return ended

    def free(self, shared: Any) -> None:
        """Nothing to do: Ray frees what nobody refers to."""

    def close(self) -> None:
        """Leave the cluster; Ray ends the study's tasks, and a cluster of this machine with its processes."""
        if self._own:
            self._ray.shutdown()
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)

    def _start(self) -> None:
        """Start a cluster on this machine."""
        self._home = str(temporary_folder())
        try:
            self._ray.init(
                "local", num_cpus=self.slots, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
                _temp_dir=self._home, _node_ip_address="127.0.0.1", object_store_memory=_store_size(),
            )  # fmt: skip
        except (OSError, ValueError, RuntimeError) as error:
            shutil.rmtree(self._home, ignore_errors=True)
            raise ValueError(
                f"Ray cannot be started on this machine ({_reason(error)}). Use engine=local, or the "
                "address of a cluster."
            ) from None

    def _connect(self, address: str) -> None:
        try:
            self._ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (OSError, ValueError, RuntimeError) as error:
            raise no_cluster(address, _reason(error)) from None

    def _end(self, ended: Future[Any], found: Future[Any]) -> None:
        """Pass on the end of a task."""
        error, known = found.exception(), self._ray.exceptions
        if error is None:
            ended.set_result(found.result())
        elif isinstance(error, known.RayTaskError):  # jobs return their errors; this one could not even begin
            reason = " ".join(str(error.cause).split())
            ended.set_exception(
                ValueError(
                    f"a machine of the Ray cluster cannot run trials ({reason}). Install the same gearing and "
                    "libraries on all machines."
                )
            )
        else:
            ended.set_exception(Vanished(str(error)) if isinstance(error, known.RayError) else error)


def _imported(is_local: bool) -> Any:
    """Ray; it reads its settings when it is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if is_local and not {"ray", *_AUTHENTICATION} & {*sys.modules, *os.environ}:
        # Only this process and its own may use the cluster; by default Ray would write a token into the home folder.
        os.environ |= dict(zip(_AUTHENTICATION, ("token", secrets.token_hex(32)), strict=False))
    import ray
    import ray.exceptions

    return ray


def _reason(error: Exception) -> str:
    """The first sentence of an error."""
    return " ".join(str(error).split()).partition(". ")[0]


def _store_size() -> int:
    """A third of the free memory, so that a large market fits; Ray takes pages when they are written."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # not on this system
        return _STORE
    return max(_STORE, free // 3)


def _call(stored: tuple[bytes, list[Any]], name: str, place: tuple[str, tuple[str, ...]], job: Any) -> Any:
    """Run a job in a process of the cluster: in the folder of the study's process, with its modules."""
    folder, modules = place
    if os.path.isdir(folder):
        os.chdir(folder)
    sys.path.extend(path for path in modules if path not in sys.path)
    if name not in _read:
        _read.clear()
        _read[name] = unpack(Packed(*stored))
    return _read[name](job)
