"""What an ONNX file holds, read before it is opened: weights in other files, loops and branches are refused.

Without loops and branches the time and the memory of a run do not depend on what it is given, so that trying it once
shows them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

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
_OPERATOR = 4  # field of a node
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # fields of a tensor
_DEEPEST = 32  # graphs inside graphs
_REFUSED = (b"Loop", b"Scan", b"If", b"SequenceMap")


def check_graph(content: bytes, where: str) -> None:
    """Check the bytes of an ONNX file; ``where`` begins messages.

    Raises
    ------
    BundleError
        If they are no graph, or hold what is refused.
    """
    try:
        found = next(_refused(memoryview(content), "model", 0), None)
    except (IndexError, ValueError) as error:
        raise BundleError(f"{where} is no ONNX graph; export the bundle again.") from error
    if found == "weights":
        raise BundleError(
            f"{where} keeps weights in other files, which are not verified; a bundle's networks hold their weights. "
            "Export the bundle again."
        )
    if found is not None:
        raise BundleError(
            f"{where} holds the operator {found}, which may never end; export the bundle again."
        )


def _refused(message: memoryview, kind: str, depth: int) -> Iterator[str]:
    """What is refused in a message (of an ONNX file): "weights" in another file, or the name of an operator."""
    if depth > 4 * _DEEPEST:
        raise ValueError("graphs are nested too deeply")
    for number, value in _fields(message):
        if kind == "tensor":
            if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value == 1):
                yield "weights"
            continue
        if (
            kind == "node"
            and number == _OPERATOR
            and isinstance(value, memoryview)
            and bytes(value) in _REFUSED
        ):
            yield bytes(value).decode()
        inside = _MESSAGES[kind].get(number) if isinstance(value, memoryview) else None
        if inside is not None:
            yield from _refused(value, inside, depth + 1)


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
