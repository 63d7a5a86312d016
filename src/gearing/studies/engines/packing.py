"""One object for many processes: pickled once, its large arrays as memory that the processes of a machine share."""

import mmap
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle

_LARGE = 1 << 20  # bytes from which an array is shared, and then read-only; smaller ones are copied
_ALIGNED = 64


class Packed(NamedTuple):
    """A pickled object.

    ``data`` is the pickle, ``arrays`` are the bytes of its large arrays in the order of the pickle.
    """

    data: bytes
    arrays: list[Any]


def pack(thing: Any) -> Packed:
    """Pickle an object, functions of a script or notebook included; its large arrays are not copied."""
    arrays: list[memoryview] = []

    def stays(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < _LARGE:
            return True
        arrays.append(raw)
        return False

    return Packed(cloudpickle.dumps(thing, protocol=5, buffer_callback=stays), arrays)


def unpack(packed: Packed) -> Any:
    """The object; its large arrays are those of ``packed``, not copies, and cannot be written where those cannot."""
    return pickle.loads(packed.data, buffers=packed.arrays)


def write_packed(path: Path, thing: Any) -> None:
    """Pack an object into a file."""
    data, arrays = pack(thing)
    parts = [memoryview(data), *(memoryview(array).cast("B") for array in arrays)]
    places, end = [], 0
    for part in parts:
        places.append((end, part.nbytes))
        end = _next_multiple(end + part.nbytes)
    header = pickle.dumps(places)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        first = _next_multiple(8 + len(header))
        for (place, _), part in zip(places, parts, strict=True):
            file.seek(first + place)
            file.write(part)


def read_packed(path: Path) -> Any:
    """The object in a file; its large arrays are mapped, so all processes that read them share the memory."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        places: Sequence[tuple[int, int]] = pickle.loads(file.read(size))
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    first = _next_multiple(8 + size)
    data, *arrays = (mapped[first + place : first + place + count] for place, count in places)
    return unpack(Packed(bytes(data), arrays))


def _next_multiple(offset: int) -> int:
    return -(-offset // _ALIGNED) * _ALIGNED
