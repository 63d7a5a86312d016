"""What every test relies on: one thread per library, no telemetry, no stale compiled code."""

import hashlib
import os
import shutil
import time
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]
DAY = 86_400.0

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "2")  # the parallel kernel has a test of its own
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MPLBACKEND", "Agg")


def _numba_cache_folder(root: Path) -> Path:
    """A folder named by all compiled sources: numba's cache does not notice an edit in a callee of another file."""
    digest = hashlib.sha256()
    for path in sorted((root / "src" / "gearing").rglob("*.py")):
        content = path.read_bytes()
        if b"numba" in content or b"gearing.exchange.marking" in content:
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(content)
    return root / ".cache" / "numba" / digest.hexdigest()[:16]


def _forget_old_caches(parent: Path, keep: Path) -> None:
    for folder in parent.glob("*"):
        if folder != keep and folder.stat().st_mtime < time.time() - DAY:
            shutil.rmtree(folder, ignore_errors=True)


# Before anything imports numba; workers of pytest-xdist come through here too.
if "NUMBA_CACHE_DIR" not in os.environ:
    _folder = _numba_cache_folder(ROOT)
    _folder.mkdir(parents=True, exist_ok=True)
    _forget_old_caches(_folder.parent, keep=_folder)
    os.environ["NUMBA_CACHE_DIR"] = str(_folder)


# Time on a shared machine says nothing about the code; speed is measured by `make bench`.
hypothesis.settings.register_profile("gearing", deadline=None)
hypothesis.settings.load_profile("gearing")


@pytest.fixture(scope="session")
def real_history() -> Path:
    """Folder of real market history; tests that need it are skipped where GEARING_DATA names none."""
    folder = os.environ.get("GEARING_DATA")
    if not folder:
        pytest.skip("needs real market history: set GEARING_DATA to a folder in the layout of data/README.md")
    return Path(folder)
