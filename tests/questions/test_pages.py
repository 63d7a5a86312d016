"""The tables of the documentation's pages are those of the shipped CSV files."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("fill_tables", DOCS / "fill_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["answers", "crash-replays", "market-a"])
def test_a_page_holds_what_the_shipped_tables_say(script, name):
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert script.BLOCK.search(page)
    assert script.filled(page) == page


def test_a_block_is_replaced_and_the_prose_around_it_stays(script):
    page = "before\n<!-- table: case_study_claim -->\nold\n<!-- end -->\nafter\n"
    filled = script.filled(page)
    assert filled.startswith("before\n<!-- table: case_study_claim -->\n| contract, side, rebalancing |")
    assert filled.endswith("|\n<!-- end -->\nafter\n")
    assert "old" not in filled


def test_every_figure_of_the_pages_has_an_experiment_that_draws_it(script):
    images = {path.stem for path in (DOCS / "images").glob("*.png")}
    shipped = {name for name in images if not name.startswith("demo")}  # of `make demo`
    assert {name for figures in script.FIGURES.values() for name in figures.values()} == shipped
