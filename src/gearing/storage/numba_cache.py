"""Where numba keeps compiled code when neither the package's folder nor the user's cache folder can be written.

Numba then refuses to compile at all ("cannot cache function"). A private folder for temporary files takes their place.
``NUMBA_CACHE_DIR`` names another folder, which outlives restarts of the machine. Standard library only, and run
by `import gearing`, before anything is compiled.
"""

import os
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path


def ensure_numba_cache(package: Path) -> None:
    """Name a folder for compiled code in ``NUMBA_CACHE_DIR``, if numba would find none."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    usual = [
        *([Path(given)] if given else []),
        package / "exchange" / "engine" / "__pycache__",
        _users_folder(),
    ]
    if any(map(is_writable, usual)):
        return
    import tempfile

    folder = private_folder(tempfile.gettempdir())
    os.environ["NUMBA_CACHE_DIR"] = str(folder)  # worker processes inherit it
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    warnings.warn(f"compiled code is cached in {folder}, because {_cannot(usual)}. "
                  "Name another folder in the environment variable NUMBA_CACHE_DIR.", stacklevel=3)  # fmt: skip


def private_folder(parent: str) -> Path:
    """A folder below ``parent`` that only this user can write; a new one if the usual one is somebody else's."""
    import tempfile

    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(parent) / f"gearing-numba-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        # Compiled code is run: a folder that others may write, or a link, is not used.
        if not folder.is_symlink() and found.st_uid == user and not found.st_mode & 0o022:
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="gearing-numba-", dir=parent))


def _users_folder() -> Path:
    """Where numba keeps compiled code of packages that cannot be written."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "numba"


def is_writable(folder: Path) -> bool:
    """Whether a folder can be written, or made."""
    existing = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), None)
    return existing is not None and os.path.isdir(existing) and os.access(existing, os.W_OK | os.X_OK)


def _cannot(folders: Iterable[Path]) -> str:
    return f"{' and '.join(map(str, folders))} cannot be written"
