"""Every notebook runs from top to bottom, alone, and shows no place of the machine that ran it."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipynb"))
QUICK = {"01_volatility.ipynb"}


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=() if path.name in QUICK else pytest.mark.slow, id=path.stem)
        for path in PATHS
    ],
)
def test_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_lesson_says_what_is_learned_how_long_it_takes_and_what_comes_next(path):
    first = nbformat.read(path, as_version=4).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith(f"# {int(path.stem[:2])} · ")
    for heading in ("**You learn**", "**It takes**", "**Next**"):
        assert heading in first.source


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_outputs_show_no_place_of_a_machine_no_warning_and_no_error(path):
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", ()):
            assert output.output_type != "error"
            assert output.get("name") != "stderr"
            texts = [output.get("text", ""), *(t for kind, t in output.get("data", {}).items() if "image" not in kind)]
            assert not re.search(r"/(tmp|home|root|work|Users)/", "".join(map(str, texts))), cell.source


def test_the_lessons_are_a_path_whose_links_exist():
    assert [int(path.stem[:2]) for path in PATHS] == list(range(len(PATHS)))
    for path in PATHS:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                for target in re.findall(r"\]\(([^)#:]+)\)", cell.source):
                    assert (FOLDER / target).exists(), (path.name, target)
