"""The numbers of docs/sizing.md are what its code prints."""

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "sizing.md"


def test_the_page_on_sizing_prints_what_it_says():
    found = doctest.testfile(str(PAGE), module_relative=False)
    assert found.attempted > 10
    assert found.failed == 0
