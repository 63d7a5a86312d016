"""What every test relies on: one thread per library, no telemetry, no stale compiled code."""

import os
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "2")  # the parallel kernel has a test of its own
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MPLBACKEND", "Agg")


# gearing chooses a folder in it by the compiled sources; workers of pytest-xdist come through here too.
os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / ".cache" / "numba"))


# Time on a shared machine says nothing about the code; speed is measured by `make bench`.
hypothesis.settings.register_profile("gearing", deadline=None)
hypothesis.settings.load_profile("gearing")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument and place: a packed file holds the time of packing, and workers that collect
    at different seconds must find the same names."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def real_history() -> Path:
    """Folder of real market history; tests that need it are skipped where GEARING_DATA names none."""
    folder = os.environ.get("GEARING_DATA")
    if not folder:
        pytest.skip("needs real market history: set GEARING_DATA to a folder in the layout of data/README.md")
    return Path(folder)
