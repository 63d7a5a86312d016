"""Cached folders of memory-mapped ``.npy`` arrays.

A folder is named by a key of everything its content depends on. One process writes it while others wait; a killed
process leaves a draft, which the next one removes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from gearing.storage.atomic import draft_folder, write_json
from gearing.storage.text import read_json

META = "whole.json"  # written last


class ArrayFile:
    """A ``.npy`` file written along its first axis, whose length is not known beforehand.

    The header says "no rows" until the file is closed without an error, so an incomplete file never reads as complete.

    Parameters
    ----------
    path : path
    dtype : dtype
    tail : tuple of int
        Shape of one row.
    """

    def __init__(self, path: Path, dtype: Any, tail: tuple[int, ...] = ()):
        self.dtype, self.tail, self.rows = np.dtype(dtype), tail, 0
        self._file = path.open("wb")
        self._header()
        self._file.flush()
        self._first = self._file.tell()

    def append(self, block: np.ndarray) -> None:
        """Add rows; their shape and type must be the file's."""
        if block.shape[1:] != self.tail:
            raise ValueError(
                f"rows of shape {block.shape[1:]} do not fit a file of rows of shape {self.tail}."
            )
        self._file.write(np.ascontiguousarray(block, self.dtype).view(np.uint8).data)
        self.rows += len(block)

    def _header(self) -> None:
        described = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(self._file, {**described, "shape": (self.rows, *self.tail)})

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                self._file.seek(0)
                self._header()  # numpy leaves room for the first axis to grow
                if self._file.tell() != self._first:
                    raise RuntimeError("the header of the array file grew over its first row.")
                self._file.flush()
                os.fsync(self._file.fileno())


def mapped(path: Path, dtype: Any = None) -> np.ndarray:
    """Read-only memory-mapped array of a file; ``dtype`` sets its record type.

    Raises
    ------
    ValueError
        Naming the file, where it is missing, damaged or of another type.
    """
    try:
        array = np.asarray(np.load(path, mmap_mode="r"))
        return array if dtype is None else array.view(dtype)
    except (OSError, ValueError, TypeError, EOFError):
        raise ValueError(f"{path} is missing or damaged; remove its folder, and it is made again.") from None


def cached_folder(
    cache: Path, key: str, make: Callable[[Path], dict[str, Any]]
) -> tuple[Path, dict[str, Any]]:
    """Folder of that key, and the JSON values ``make(draft)`` returned; ``make`` is called if the folder is missing.

    Parameters
    ----------
    cache : path
        Created if missing.
    key : str
        Must change with anything the content depends on.
    make : callable
        Writes files into the folder it is given.
    """
    final = cache / key
    if not (final / META).is_file():
        from filelock import FileLock  # late: an exported policy caches nothing and needs no filelock

        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f".{key}.lock"):
            if not (final / META).is_file():
                write_folder(final, make)
    return final, read_json(final / META, dict, allow_nan=True)


def write_folder(final: Path, make: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Fill a folder by ``make``, whose values are stored with it; an older folder is replaced in one step."""
    with draft_folder(final) as draft:
        metadata = make(draft)
        write_json(draft / META, metadata, indent=None)
    return metadata
