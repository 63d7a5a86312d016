"""The layer rules hold, and the light runtime stays light."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RUNTIME = "gearing.export.runtime"
MAY_IMPORT = ("gearing.contracts", "gearing.features", "gearing.exchange", "gearing.policies", RUNTIME)


def test_rooms_import_downwards_only():
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    answer = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout


def test_the_exported_runtime_imports_contracts_features_exchange_and_policies_only():
    grimp = pytest.importorskip("grimp")
    graph = grimp.build_graph("gearing", cache_dir=None)
    if RUNTIME not in graph.modules:
        pytest.skip(f"{RUNTIME} does not exist yet")
    modules = {RUNTIME, *graph.find_descendants(RUNTIME)}
    imported = {name for module in modules for name in graph.find_modules_directly_imported_by(module)}
    assert [name for name in sorted(imported) if not name.startswith(MAY_IMPORT)] == []
