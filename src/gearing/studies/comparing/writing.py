"""The files of a comparison: scores to read again, a CSV for each table, a PNG for each figure."""

from functools import partial
from pathlib import Path

from gearing.drawing import png
from gearing.evaluation.comparisons.comparison import Comparison
from gearing.storage.atomic import write_atomically


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Write all files; the scores come last, so that a folder with them is whole."""
    for name, table in comparison.tables.items():
        write_atomically(folder / f"{name}.csv", table.to_csv)
    for name, figure in comparison.figures.items():
        write_atomically(folder / f"{name}.png", partial(Path.write_bytes, data=png(figure)))
    comparison.save(folder)
