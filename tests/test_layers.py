"""The layer rules hold, and the light runtime stays light."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RUNTIME = "gearing.export.runtime"
# An order is sized, and an account observed, by the simulator's own records; so the runtime stands on it as well.
PACKAGES = {
    "lazy",
    "names",
    "storage",
    "contracts",
    "market",
    "features",
    "exchange",
    "simulation",
    "policies",
    "export",
}
TRAINING = {
    "torch",
    "stable_baselines3",
    "sb3_contrib",
    "sklearn",
    "lightgbm",
    "arch",
    "mlflow",
    "onnx",
    "gymnasium",
}


def test_packages_import_downwards_only():
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    answer = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout


def test_the_exported_runtime_stands_on_nothing_of_the_training_stack():
    grimp = pytest.importorskip("grimp")
    graph = grimp.build_graph("gearing", cache_dir=None, include_external_packages=True)
    reached = graph.find_upstream_modules(RUNTIME)  # whatever it imports, at once or late
    assert {name.split(".")[1] for name in reached if name.startswith("gearing.")} <= PACKAGES
    assert not reached & TRAINING
