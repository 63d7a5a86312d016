"""Execute notebooks, each alone in an empty folder, and store what they print and draw.

    python notebooks/execute.py          # all
    python notebooks/execute.py 00 03    # some, by their numbers

What a first run says of compiling is left out. `make notebooks` only checks that they run.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent


def main(numbers: Sequence[str]) -> None:
    """Execute the notebooks with these numbers; all where none are given."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not numbers or path.stem[:2] in numbers:
            executed(path)
            sys.stdout.write(f"{path.name}\n")


def executed(path: Path) -> None:
    """Execute one, and write it back."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=1800, record_timing=False)
        client.execute(cwd=folder)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, path)


if __name__ == "__main__":
    main(sys.argv[1:])
