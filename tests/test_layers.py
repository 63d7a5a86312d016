"""The layer rules hold, and the light runtime stays light."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RUNTIME = "gearing.export.runtime"
# An order is sized, and an account observed, by the simulator's own records; so the runtime stands on it as well.
PACKAGES = {
    "drawing",
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


def test_modules_import_each_other_in_no_circle():
    grimp = pytest.importorskip("grimp")
    graph = grimp.build_graph("gearing", cache_dir=None)  # late imports and those for type checkers as well
    graph.remove_import(
        importer="gearing.market.data", imported="gearing.market.history.frames"
    )  # from_frames
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    while without := {module for module, known in imports.items() if not known & imports.keys()}:
        imports = {module: known for module, known in imports.items() if module not in without}
    assert not imports, f"these modules are in a circle, or import one that is: {sorted(imports)}"
