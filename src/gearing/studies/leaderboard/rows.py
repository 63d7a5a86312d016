"""Rows of the leaderboard: one JSON file a policy, whose digest finds a damaged or edited one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gearing.names import check_file_name
from gearing.storage.atomic import write_text
from gearing.storage.digest import code_digest, digest, package_version
from gearing.storage.text import read_json

FORMAT = 1
_FIELDS = {
    "format": int, "name": str, "policy": dict, "content": str, "gearing": str, "code": str, "tasks": dict,
    "skipped": dict, "digest": str,
}  # fmt: skip
_SCORE = {"measure": str, "seeds": int, "task": str, "data": dict}


def made_row(
    name: str,
    policy: Mapping[str, Any],
    content: str,
    tasks: Mapping[str, Any],
    skipped: Mapping[str, str],
) -> dict[str, Any]:
    """A row.

    Parameters
    ----------
    name : str
        Of the entry.
    policy : mapping
        As an experiment file names it.
    content : str
        Digest of the submission: of its settings and files.
    tasks : mapping of task to score
    skipped : mapping of task to the reason
    """
    row = {
        "format": FORMAT, "name": check_file_name(name, "the name of the entry"), "policy": dict(policy),
        "content": content, "gearing": package_version(), "code": code_digest(), "tasks": dict(tasks),
        "skipped": dict(skipped),
    }  # fmt: skip
    row = json.loads(json.dumps(row, allow_nan=False))
    return row | {"digest": digest(row)}


def write_row(row: Mapping[str, Any], path: Path) -> Path:
    """Write a row as JSON."""
    write_text(path, json.dumps(row, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def read_row(path: Path) -> dict[str, Any]:
    """A row that `write_row` wrote.

    Raises
    ------
    ValueError
        Naming the file, for one that is no row, or was changed after it was written.
    """
    row = read_json(path, dict)
    for name, kind in _FIELDS.items():
        if not isinstance(row.get(name), kind):
            raise ValueError(f"{path} is no row of the leaderboard: {name!r} is missing, or of another type.")
    if row["format"] != FORMAT:
        raise ValueError(f"{path} has format {row['format']}; this version of gearing reads {FORMAT}.")
    if digest({key: value for key, value in row.items() if key != "digest"}) != row["digest"]:
        raise ValueError(f"{path} was changed after `gearing submit` wrote it; play the submission again.")
    check_file_name(row["name"], f"{path}: the name of the entry")
    for task, score in row["tasks"].items():
        if not isinstance(score, dict) or any(not isinstance(score.get(k), v) for k, v in _SCORE.items()):
            raise ValueError(f"{path}: the score of {task} is incomplete; play the submission again.")
    return row


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """All rows of a folder, by name."""
    return [read_row(path) for path in sorted(folder.glob("*.json"))]
