"""A network of a bundle: an ONNX graph, opened from verified bytes; its answers are checked."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gearing.export.bundle.files import BundleError

# Where a graph holds tensors: message -> field number -> message (onnx.proto).
_MESSAGES: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # fields of a tensor
_NUMBERS = "iuf"  # kinds of dtypes: integers and real numbers
_DEEPEST = 32  # graphs inside graphs


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
        If it is no ONNX graph, or reads other files.
    """

    def __init__(self, content: bytes, where: str):
        import onnxruntime

        self.where = where
        self._refuse_external_data(content)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what it reports is in the exception as well
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise BundleError(
                f"{where} cannot be opened ({_first_line(error)}); export the bundle again."
            ) from error

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

    def _refuse_external_data(self, content: bytes) -> None:
        try:
            external = _has_external_data(memoryview(content), "model", 0)
        except (IndexError, ValueError) as error:
            raise BundleError(f"{self.where} is no ONNX graph; export the bundle again.") from error
        if external:
            raise BundleError(
                f"{self.where} keeps weights in other files, which are not verified; a bundle's networks hold their "
                "weights. Export the bundle again."
            )


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


def _has_external_data(message: memoryview, kind: str, depth: int) -> bool:
    """Whether a tensor in a message (of an ONNX file) is stored in another file."""
    if depth > 4 * _DEEPEST:
        raise ValueError("graphs are nested too deeply")
    for number, value in _fields(message):
        if kind == "tensor":
            if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value == 1):
                return True
            continue
        inside = _MESSAGES[kind].get(number) if isinstance(value, memoryview) else None
        if inside is not None and _has_external_data(value, inside, depth + 1):
            return True
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Fields of a protocol-buffers message: number, and an integer or the bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        length, at = _varint(message, at) if kind == 2 else ({1: 8, 5: 4}.get(kind, -1), at)
        if length < 0 or at + length > len(message):
            raise ValueError("a field ends beyond its message")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for k in range(10):
        byte = message[at + k]
        value |= (byte & 0x7F) << (7 * k)
        if byte < 0x80:
            return value, at + k + 1
    raise ValueError("a number has more than ten bytes")


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
