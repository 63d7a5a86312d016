"""The project's own files agree with each other."""

import itertools
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


def test_the_extra_all_names_every_other_extra_but_those_of_development():
    inside = re.fullmatch(r"gearing\[(.+)\]", EXTRAS["all"][0]).group(1).split(",")
    assert set(inside) == set(EXTRAS) - {"all", "dev", "docs"}


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


def test_the_version_is_the_same_in_all_files_that_state_it():
    version = PROJECT["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    newest = re.search(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version


def test_the_source_distribution_has_everything_that_is_tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository, such as an unpacked source distribution")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
        "sdist"
    ]
    taken = tuple(name.lstrip("/") for name in settings["include"])
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    left = [
        name for name in listed.stdout.splitlines()
        if not any(name == one or name.startswith(f"{one}/") for one in taken) and name != ".gitignore"
    ]  # fmt: skip
    assert set(left) <= {"pyproject.toml"}  # hatch always adds it


def test_lowest_versions_close_the_holes_that_are_known():
    lowest = {
        "torch": (2, 10),
        "mlflow": (3, 12),
        "onnx": (1, 21),
        "jinja2": (3, 1, 6),
        "pyarrow": (23, 0, 1),
    }
    found = {}
    for requirement in itertools.chain(PROJECT["dependencies"], *EXTRAS.values()):
        name, _, version = requirement.partition(">=")
        found[name] = tuple(int(part) for part in version.split(",")[0].split(".") if part)
    assert {name for name, least in lowest.items() if found[name] < least} == set()
