"""A network of a bundle: an ONNX graph, opened from verified bytes; its answers are checked."""

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from gearing.export.bundle.files import BundleError
from gearing.export.bundle.graph_file import check_graph

_DTYPES = {"tensor(float)": np.float32, "tensor(bool)": np.bool_, "tensor(double)": np.float64}
_WIDEST = 1 << 22  # numbers of an input
_NUMBERS = "iuf"  # kinds of dtypes: integers and real numbers
LONGEST = 5.0  # seconds of the first run
MOST_MEMORY = 1 << 30  # bytes that a run may take


class Network:
    """A network that runs in one thread.

    Parameters
    ----------
    content : bytes
        The ONNX file.
    where : str
        Its path, for messages.

    Raises
    ------
    BundleError
        If it is no ONNX graph, reads other files, holds loops or branches, or takes longer than `LONGEST` or more than
        `MOST_MEMORY` for one run.
    """

    def __init__(self, content: bytes, where: str):
        import onnxruntime

        self.where = where
        check_graph(content, where)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what it reports is in the exception as well
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )  # without a second try, which it prints
        except Exception as error:
            raise BundleError(
                f"{where} cannot be opened ({_first_line(error)}); export the bundle again."
            ) from error
        self._try()

    def run(self, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Outputs of the graph, in order.

        Raises
        ------
        BundleError
            If the graph does not take these inputs.
        """
        try:
            outputs = self._session.run(None, dict(inputs))
        except Exception as error:
            raise BundleError(
                f"{self.where} does not run on this bundle's observation ({_first_line(error)}); export the "
                "bundle again."
            ) from error
        return [np.asarray(output) for output in outputs]

    def _try(self) -> None:
        """Run once on zeros: a graph that takes too long or too much memory is refused before it decides anything."""
        import onnxruntime

        given: dict[str, np.ndarray] = {}
        for one in self._session.get_inputs():
            shape = [size if isinstance(size, int) and size > 0 else 1 for size in one.shape]
            if one.type not in _DTYPES or math.prod(shape) > _WIDEST:
                raise BundleError(
                    f"{self.where} takes an input of {one.type} {shape}; export the bundle again."
                )
            given[one.name] = np.zeros(shape, _DTYPES[one.type])
        options = onnxruntime.RunOptions()
        options.log_severity_level = 4
        timer = threading.Timer(LONGEST, setattr, (options, "terminate", True))
        timer.daemon = True
        timer.start()
        try:
            with bounded_memory(MOST_MEMORY):
                self._session.run(None, given, options)
        except Exception as error:
            raise BundleError(
                f"{self.where} does not run within {LONGEST:g} s and {MOST_MEMORY >> 20} MiB "
                f"({_first_line(error)}); export the bundle again."
            ) from error
        finally:
            timer.cancel()


@contextmanager
def bounded_memory(most: int) -> Iterator[None]:
    """Limit what the process takes inside, where the system can: an allocation beyond it fails."""
    try:
        import resource

        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        before = resource.getrlimit(resource.RLIMIT_AS)
    except (ImportError, OSError, ValueError):  # not Linux
        yield
        return
    top = now + most if before[1] == resource.RLIM_INFINITY else min(now + most, before[1])
    resource.setrlimit(resource.RLIMIT_AS, (top, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def shaped_numbers(values: np.ndarray, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Values as float64 if they are real numbers and have the shape; NaN and infinity pass.

    Raises
    ------
    BundleError
        Otherwise; it begins with ``what``.
    """
    if np.asarray(values).dtype.kind not in _NUMBERS:
        raise BundleError(f"{what} is no table of numbers; export the bundle again.")
    numbers = np.asarray(values, np.float64)
    if numbers.shape != shape:
        raise BundleError(f"{what} has shape {numbers.shape}, not {shape}; export the bundle again.")
    return numbers


def checked_numbers(values: np.ndarray, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Values as float64 if they are real numbers, have the shape and are finite.

    Raises
    ------
    BundleError
        Otherwise; it begins with ``what``.
    """
    numbers = shaped_numbers(values, shape, what)
    if not np.isfinite(numbers).all():
        bad = numbers[~np.isfinite(numbers)].ravel()[0]
        raise BundleError(
            f"{what} is {bad:g}, which is no number to trade on. Nothing was decided; check the bars given, and if "
            "they are right, do not use this bundle.",
            "answer",
        )
    return numbers


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
