"""The page on the architecture names modules and functions that exist, and none twice on one way."""

import re
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "architecture.md").read_text()
STEP = re.compile(r"^(\d+)\. `([\w/]+)\.py` `([\w.]+)`: ", flags=re.M)
WAYS = {
    section.splitlines()[0]: STEP.findall(section) for section in PAGE.split("\n## ") if STEP.search(section)
}
PACKAGES = {
    path.name.removesuffix(".py") for path in (Path(__file__).parents[1] / "src" / "gearing").iterdir()
}


def test_there_are_three_ways():
    assert len(WAYS) == 3


@pytest.mark.parametrize("way", WAYS)
def test_a_way_has_ten_lines_and_passes_no_module_twice(way):
    assert [int(number) for number, _, _ in WAYS[way]] == list(range(1, 11))
    assert len({module for _, module, _ in WAYS[way]}) == 10


@pytest.mark.parametrize("way", WAYS)
def test_the_functions_of_a_way_exist(way):
    for _, module, name in WAYS[way]:
        assert attrgetter(name)(import_module("gearing." + module.replace("/", ".")))


def test_every_package_is_described():
    described = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.+?`) \|", PAGE, flags=re.M)))
    assert set(described) == PACKAGES - {"__init__", "__main__", "__pycache__", "py.typed"}
