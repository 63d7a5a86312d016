"""A database laid out once and copied: MLflow takes seconds to make one."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

CACHE = Path(__file__).resolve().parents[2] / ".cache"
LAY_OUT = "import sys, mlflow; mlflow.MlflowClient(sys.argv[1]).search_experiments()"


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    pytest.importorskip("mlflow", reason="tracking needs the extra 'track'")
    kept = CACHE / f"mlflow-{version('mlflow')}-empty.db"
    if not kept.exists():
        draft = tmp_path_factory.mktemp("database") / "empty.db"
        subprocess.run([sys.executable, "-c", LAY_OUT, f"sqlite:///{draft}"], check=True, capture_output=True)
        CACHE.mkdir(exist_ok=True)
        shutil.copy(draft, kept.with_suffix(f".{os.getpid()}"))
        os.replace(kept.with_suffix(f".{os.getpid()}"), kept)
    return kept


@pytest.fixture
def uri(tmp_path, empty_database):
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"
