"""Trials that failed: a file with the traceback of each in the study's folder, and one table of all.

The file of a trial is removed when the trial succeeds, so those that are there are of trials without a result.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from gearing.evaluation.conformance import PolicyError
from gearing.plugins import described, frames, users_frames
from gearing.storage.atomic import write_atomically, write_text

FOLDER, TABLE = "failed", "failed.csv"
COLUMNS = ["trial", "attempts", "error", "traceback"]
_LONGEST = 300  # characters of an error in the table


@dataclass(frozen=True)
class Failure:
    """A trial that failed as often as it may.

    Attributes
    ----------
    trial : str
        Its name.
    attempts : int
        How often it was begun.
    error : exception
        That of the last attempt.
    file : Path
        Holds the traceback.
    """

    trial: str
    attempts: int
    error: BaseException
    file: Path

    @property
    def text(self) -> str:
        """The error in one line."""
        return error_text(self.error)


def error_text(error: BaseException) -> str:
    """An error in one line, its place in a user's own code first."""
    text = described(error)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


def comes_again(error: BaseException) -> bool:
    """Whether another attempt is in vain: an error of a user's own policy, which is a function of its observation.

    What the system does (a file that is away, no memory) may be otherwise next time.
    """
    if isinstance(error, PolicyError):
        return True
    of_a_policy = any(frame.function == "predict" for frame in users_frames(error))
    return of_a_policy and not isinstance(error, OSError | MemoryError)


def failure_file(folder: Path, place: str) -> Path:
    """The file of the traceback of a trial, by the name of the trial's folder."""
    return folder / FOLDER / f"{place}.txt"


def write_failure(file: Path, trial: str, attempts: int, error: BaseException) -> None:
    """Write what happened to a trial: its name, how often it was begun, and the traceback of the last attempt."""
    facts = f"trial: {trial}\nattempts: {attempts}\nerror: {error_text(error)}\n\n"
    write_text(file, facts + "".join(_traceback(error)))


def read_failure(file: Path) -> tuple[int, str] | None:
    """Attempts and error of a trial that another process found to fail; None where there is no such file."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        facts = dict(line.split(": ", 1) for line in lines[:3])
        return int(facts["attempts"]), facts["error"]
    except (OSError, ValueError, KeyError):
        return None


def failed_table(failures: Iterable[Failure]) -> pd.DataFrame:
    """One row per failed trial."""
    rows = [
        (one.trial, one.attempts, one.text, f"{FOLDER}/{one.file.name}")
        for one in sorted(failures, key=lambda one: one.trial)
    ]
    return pd.DataFrame(rows, columns=COLUMNS).set_index("trial")


def write_failed_table(folder: Path, failures: Mapping[str, Failure]) -> None:
    """Write the table of failed trials; without any, remove the table of an earlier run."""
    if failures:
        table = failed_table(failures.values())
        write_atomically(folder / TABLE, partial(table.to_csv))
    else:
        (folder / TABLE).unlink(missing_ok=True)


def _traceback(error: Any) -> list[str]:
    """Lines of a traceback; of an error of a worker process, as that process printed them."""
    if type(error.__cause__).__name__ in ("_RemoteTraceback", "RemoteTraceback"):
        return [str(error.__cause__)]
    return traceback.format_exception(error) if frames(error) else [f"{error}\n"]
