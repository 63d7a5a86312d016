"""Folders for temporary files of engines; those that killed processes left are removed by the next engine."""

import os
import re
import shutil
import tempfile
from pathlib import Path

_OWN = re.compile(r"gearing-run-(\d+)-\w+")


def temporary_folder() -> Path:
    """A new private folder, named by this process."""
    _remove_left()
    return Path(tempfile.mkdtemp(prefix=f"gearing-run-{os.getpid()}-"))


def _remove_left() -> None:
    for path in Path(tempfile.gettempdir()).glob("gearing-run-*"):
        found = _OWN.fullmatch(path.name)
        if found and not _is_alive(int(found[1])):
            shutil.rmtree(path, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True
