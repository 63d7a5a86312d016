"""The project's own files agree with each other."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HEAVY = (
    "pandas numba pyarrow scipy sklearn lightgbm arch torch stable_baselines3 mlflow onnx matplotlib pydantic"
)
ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def _names(requirements):
    return {re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0].lower() for requirement in requirements}


def _pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return _names(line for line in lines if line and not line.startswith("#"))


def test_every_dependency_is_pinned_in_the_constraints():
    asked = _names(PROJECT["dependencies"]) | set().union(*map(_names, EXTRAS.values()))
    assert asked - _pins() - {"gearing"} == set()


def test_the_extra_all_names_every_other_extra_but_dev():
    inside = re.fullmatch(r"gearing\[(.+)\]", EXTRAS["all"][0]).group(1).split(",")
    assert set(inside) == set(EXTRAS) - {"all", "dev"}


def test_the_core_carries_no_heavy_library():
    heavy = {
        "torch",
        "stable-baselines3",
        "sb3-contrib",
        "mlflow",
        "lightgbm",
        "scikit-learn",
        "arch",
        "onnx",
        "ray",
    }
    assert _names(PROJECT["dependencies"]) & heavy == set()


def test_ci_runs_every_check_and_last_the_tests_as_the_readme_does():
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == "make check"
    checks = (ROOT / "Makefile").read_text().split("\ncheck:")[1].split("\n\n")[0]
    assert checks.splitlines()[-1] == "\t$(MAKE) test"
    assert "    make test " in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("statement", ["import gearing"])
def test_importing_gearing_loads_nothing_heavy(statement):
    pytest.importorskip("gearing")
    code = f"{statement}; import sys; print(sorted(set({HEAVY.split()}) & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
