"""The table of the leaderboard's page, from its rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gearing.storage.atomic import write_text
from gearing.storage.text import read_text
from gearing.studies.leaderboard.rows import read_row, read_rows, write_row
from gearing.studies.leaderboard.tasks import Task, check_row_tasks

PAGE = Path("docs/leaderboard.md")
ROWS = "rows"  # folder of the rows, within that of the tasks
_BLOCK = re.compile(r"(<!-- leaderboard -->\n).*?(<!-- end -->)", re.DOTALL)


def add_rows(paths: Iterable[Path], folder: Path, tasks: Sequence[Task], page: Path) -> list[Path]:
    """Take rows into the leaderboard, each in place of an earlier one of its name, and write the page anew.

    Raises
    ------
    ValueError
        Before anything is written: for a file that is no row, was changed, or is of other tasks than these.
    """
    given = [(path, read_row(path)) for path in paths]
    for path, row in given:
        check_row_tasks(row["tasks"], list(tasks), str(path))
    if not page.is_file():
        raise ValueError(f"there is no page {page}; give the page that holds the leaderboard: --page FILE.")
    (folder / ROWS).mkdir(parents=True, exist_ok=True)
    written = [write_row(row, folder / ROWS / f"{row['name']}.json") for _, row in given]
    write_text(page, filled(read_text(page), read_rows(folder / ROWS), tasks))
    return written


def filled(page: str, rows: Sequence[Mapping[str, Any]], tasks: Sequence[Task]) -> str:
    """A page with its table made anew."""
    if not _BLOCK.search(page):
        raise ValueError(
            "the page holds no <!-- leaderboard --> and <!-- end -->, between which its table stands."
        )
    table = markdown(rows, tasks)
    return _BLOCK.sub(lambda block: f"{block[1]}{table}\n{block[2]}", page)


def markdown(rows: Sequence[Mapping[str, Any]], tasks: Sequence[Task]) -> str:
    """Entries by the tasks' scores, those with the best rank over the tasks first."""
    names = [task.name for task in tasks]
    ordered = sorted(rows, key=lambda row: (_mean_rank(row, rows, names), row["name"]))
    header = ["entry", *names]
    lines = [f"| {' | '.join(header)} |", f"|---|{'---:|' * len(names)}"]
    for row in ordered:
        cells = [_cell(row["tasks"].get(name)) for name in names]
        lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def score_text(score: Mapping[str, Any]) -> str:
    """A score with its interval, and the number of seeds where there are several."""
    value = score["score"]
    if not isinstance(value, int | float):
        return "no score" if value is None else str(value)
    text = f"{value:+.3f}"
    if score.get("low") is not None and score.get("high") is not None:
        text += f" [{score['low']:+.3f}, {score['high']:+.3f}]"
    return text if score["seeds"] == 1 else f"{text}, {score['seeds']} seeds"


def _cell(score: Mapping[str, Any] | None) -> str:
    return "" if score is None else score_text(score)


def _mean_rank(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> float:
    """Mean share of the other entries of a task that are better, over the tasks that it played."""
    shares = []
    for name in names:
        if name in row["tasks"]:
            values = [_number(one["tasks"][name]) for one in rows if name in one["tasks"]]
            shares.append(sum(value > _number(row["tasks"][name]) for value in values) / len(values))
    return sum(shares) / len(shares) if shares else 1.0


def _number(score: Mapping[str, Any]) -> float:
    value = score["score"]
    return float(value) if isinstance(value, int | float) else -float("inf")  # a ruined account is the last
