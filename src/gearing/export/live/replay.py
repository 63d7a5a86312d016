"""Compute the decisions of a log again and compare them bit by bit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gearing.export.deciding.memory import read_memory
from gearing.export.deciding.perception import Perception
from gearing.export.deciding.settings import Settings
from gearing.export.live.journal import FIRST, JournalError, read_journal
from gearing.export.live.session import LOG


@dataclass(frozen=True)
class Replay:
    """What a replay found.

    Attributes
    ----------
    decisions, refused : int
        In the log, and of them those that were refused.
    differences : tuple of str
        Decisions that came out in another way, and where; empty where every bit is the same.
    head : str
        Hash of the last line.
    """

    decisions: int
    refused: int
    differences: tuple[str, ...]
    head: str

    def __str__(self) -> str:
        counts = f"{self.decisions} decisions ({self.refused} refused), {len(self.differences)} differ"
        found = f"{counts}; last hash {self.head}"
        return "\n".join([found, *(f"  {one}" for one in self.differences)])


def replay(log: str | Path, bundle: Any, head: str | None = None) -> Replay:
    """Decide again on everything that a log holds.

    Parameters
    ----------
    log : path
        A session's folder, or its log.
    bundle : Bundle
        The one that decided.
    head : str, optional
        Hash of a line that must be in the log, noted before.

    Raises
    ------
    JournalError
        If a line is torn or was changed, or the log is another bundle's.
    """
    path = Path(log) / LOG if Path(log).is_dir() else Path(log)
    records = read_journal(path, head)
    if not records or records[0].get("kind") != "begin":
        raise JournalError(f"{path} is no log of a session: its first line does not begin one.")
    if records[0]["digest"] != bundle.digest:
        raise JournalError(f"{path} is the log of the bundle {records[0]['digest']}, not of {bundle.digest}.")
    decided = [record for record in records if record["kind"] == "decision"]
    differences = [words for record in decided for words in _differences(record, bundle)]
    refused = sum(bool(record["decision"]["refusals"]) for record in decided)
    return Replay(len(decided), refused, tuple(differences), records[-1]["sha256"] if records else FIRST)


def _differences(record: dict[str, Any], bundle: Any) -> list[str]:
    memory = None if record["memory"] is None else read_memory(record["memory"])
    seen, settings = Perception.from_dict(record["seen"]), Settings.from_dict(record["settings"])
    made = bundle.decider.decide(seen, record["account"], memory, settings)
    again, logged = json.loads(made.to_json()), record["decision"]
    changed = [name for name in logged if again.get(name) != logged[name]]
    where = f"line {record['n'] + 1}, decided at {logged['time']}"
    return [
        f"{where}: {name} is {str(again.get(name))[:80]}, logged {str(logged[name])[:80]}" for name in changed
    ]
