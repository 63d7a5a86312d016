"""Where numba caches compiled code: a private folder, named by the sources that are compiled.

Numba notices an edit in the file of a function, but not in the functions that it calls, and then runs what it compiled
before. So the folder's name has a digest of all compiled sources: ``~/.cache/gearing/numba-DIGEST``, or
``gearing-DIGEST`` in the folder that ``NUMBA_CACHE_DIR`` names. Where neither can be written, a private folder for
temporary files takes their place. Folders of other sources that were not used for a month are removed.

Standard library only, and run by `import gearing`, before anything is compiled.
"""

import hashlib
import os
import shutil
import sys
import time
import warnings
from pathlib import Path

_COMPILED = (
    b"numba",
    b"gearing.exchange",
    b"gearing.storage.compiling",
    b"gearing.storage.inner_functions",
)  # text of files with compiled functions
_UNUSED = 30 * 86_400.0  # seconds until a folder of other sources is removed


def ensure_numba_cache(package: Path) -> Path:
    """Set ``NUMBA_CACHE_DIR`` to the folder for a package's compiled code, and return it."""
    named, given = sources_digest(package), os.environ.get("NUMBA_CACHE_DIR")
    folder = _beside(Path(given), f"gearing-{named}") if given else _users_folder() / f"numba-{named}"
    if not (is_writable(folder) and _made(folder)):
        import tempfile

        refused, folder = folder, private_folder(tempfile.gettempdir()) / f"numba-{named}"
        _made(folder)
        warnings.warn(f"compiled code is cached in {folder}, because {refused} cannot be written. "
                      "Name another folder in the environment variable NUMBA_CACHE_DIR.", stacklevel=3)  # fmt: skip
    os.environ["NUMBA_CACHE_DIR"] = str(folder)  # worker processes inherit it
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    return folder


def sources_digest(package: Path) -> str:
    """Digest of the files of a package that hold compiled functions, or what these call."""
    found = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes()
        if any(text in content for text in _COMPILED) or "exchange" in path.relative_to(package).parts:
            found.update(path.relative_to(package).as_posix().encode() + b"\0")
            found.update(hashlib.sha256(content).digest())
    return found.hexdigest()[:16]


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


def is_writable(folder: Path) -> bool:
    """Whether a folder can be written, or made."""
    existing = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), None)
    return existing is not None and os.path.isdir(existing) and os.access(existing, os.W_OK | os.X_OK)


def _users_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "gearing"


def _beside(given: Path, name: str) -> Path:
    """A folder in the given one; a process whose parent has chosen already names that of the parent."""
    return (given.parent if given.name.startswith("gearing-") else given) / name


def _made(folder: Path) -> bool:
    """Make a folder that only this user can read, note its use, and remove those of old sources."""
    try:
        if not folder.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_unused(folder)
        os.utime(folder)
    except OSError:
        return False
    return True


def _remove_unused(kept: Path) -> None:
    prefix = kept.name.rpartition("-")[0]
    for folder in kept.parent.glob(f"{prefix}-" + "[0-9a-f]" * 16):
        if folder != kept and folder.stat().st_mtime < time.time() - _UNUSED:
            shutil.rmtree(folder, ignore_errors=True)
