"""Atomic writes: a file is either complete or absent, also if the process is killed."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a draft in the same folder, made if missing, and rename it once it is complete and on disk.

    Parameters
    ----------
    path : Path
    write : callable
        Is given the draft's path, which ends in ".part".
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(draft)
        with draft.open("rb+") as handle:
            os.fsync(handle.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def draft_folder(final: Path) -> Iterator[Path]:
    """A draft next to ``final`` that replaces it once the block has filled it; a killed draft goes with the next."""
    draft = final.with_name(f".{final.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        shutil.rmtree(final, ignore_errors=True)
        draft.rename(final)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8, atomically."""
    write_atomically(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def write_json(path: Path, values: Any, indent: int | None = 1) -> None:
    """Write plain values as JSON, atomically; NumPy numbers are allowed."""
    write_text(path, json.dumps(values, indent=indent, default=float))


def write_arrays(path: Path, arrays: Mapping[str, Any], compressed: bool = False) -> None:
    """Write named arrays as ``.npz``, atomically."""
    import numpy as np

    save = np.savez_compressed if compressed else np.savez

    def write(draft: Path) -> None:
        with draft.open("wb") as handle:  # given a path, NumPy would add a suffix to it
            save(handle, **arrays)

    write_atomically(path, write)
