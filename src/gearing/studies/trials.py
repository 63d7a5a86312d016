"""Trials and their results on disk: a trial is the call of a pure function, named by the hash of what it depends on.

A result lies in ``FOLDER/trials/NAME-CALL-CODE``: a readable name, a hash of the experiment's settings, the data and
the seed, and one of the code. Its summary is written last, so a result is whole or absent.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from glob import escape
from pathlib import Path
from typing import Any, ClassVar

from gearing.storage.atomic import draft_folder, write_json
from gearing.storage.digest import digest
from gearing.studies.experiment import ExperimentConfig

SUMMARY = "summary.json"
_SHORT = 8  # digits of a hash in a folder's name


@dataclass(frozen=True)
class Trial:
    """What is computed once; a subclass has the fields that tell trials apart.

    Fields are numbers, text or None; they are the parameters of the trial's tracked run.
    """

    tracked: ClassVar[bool] = True  # whether it has a run of its own

    @property
    def name(self) -> str:
        """Name of the trial among those of its experiment, for people and folders."""
        return "-".join(str(value) for value in asdict(self).values() if value is not None)

    @property
    def label(self) -> str:
        """Name of its tracked run."""
        return self.name

    def settings(self, config: ExperimentConfig) -> Any:
        """What of the experiment the result depends on: all of it, unless a subclass knows better."""
        return config.settings

    def data(self, config: ExperimentConfig, fingerprints: Mapping[str, str]) -> Mapping[str, str]:
        """Fingerprints of the markets that the trial reads: all, unless a subclass knows better."""
        return fingerprints


@dataclass(frozen=True)
class Place:
    """Where a trial is run."""

    folder: Path  # of its files: weights, checkpoints, arrays
    run: Any = None  # its tracked run, a gearing.tracking.Run
    progress: bool = False  # whether a person looks on


@dataclass(frozen=True)
class Result:
    """What a trial left on disk."""

    trial: Any
    folder: Path
    summary: dict[str, Any]  # what its function returned
    code: str  # digest of the code that made it
    is_current: bool  # whether today's code made it


def other_code(results: Iterable[Result]) -> str:
    """Digests of the code, other than today's, that made some of the results; empty where there is none."""
    return ", ".join(sorted({result.code for result in results if not result.is_current}))


class Store:
    """Results in an experiment's folder, and those of experiments of the same name that computed the same."""

    def __init__(self, config: ExperimentConfig, folder: Path, fingerprints: Mapping[str, str]):
        self.config, self.folder, self.fingerprints = config, folder, fingerprints

    def place(self, trial: Trial) -> Path:
        """Folder of a trial under today's code."""
        return self.folder / "trials" / f"{self._call(trial)}-{self.config.code[:_SHORT]}"

    def load(self, trial: Trial) -> Result | None:
        """The result of a trial, if the experiment has it."""
        for place in [self.place(trial), *(self._by_other_code(trial) if self.config.reuse else ())]:
            stored = _stored(place)
            if stored is not None:
                current = stored["code"] == self.config.code
                return Result(trial, place, stored["summary"], stored["code"], current)
        return None

    def save(self, trial: Trial, summary: Mapping[str, Any] | None) -> None:
        """Mark a trial as done."""
        facts = {
            "trial": trial.name, **asdict(trial), "code": self.config.code,
            "data": dict(trial.data(self.config, self.fingerprints)), "summary": dict(summary or {}),
        }  # fmt: skip
        write_json(self.place(trial) / SUMMARY, facts)

    def copy(self, trial: Trial) -> bool:
        """Take a result from another experiment of this name; returns whether one has it."""
        own = self.place(trial)
        for folder in self._relatives:
            if _stored(folder / own.name) is not None:
                with draft_folder(own) as draft:
                    shutil.copytree(folder / own.name, draft, dirs_exist_ok=True)
                return True
        return False

    @cached_property
    def _relatives(self) -> list[Path]:
        found = self.folder.parent.glob(f"{escape(self.config.name)}-*/trials")
        return [path for path in sorted(found) if path.parent != self.folder]

    def _call(self, trial: Trial) -> str:
        call = {
            "kind": self.config.kind, "settings": trial.settings(self.config), "trial": asdict(trial),
            "data": dict(trial.data(self.config, self.fingerprints)),
        }  # fmt: skip
        readable = re.sub(r"[^\w.+=-]+", "_", trial.name)
        return f"{readable}-{digest(call, length=_SHORT)}"

    def _by_other_code(self, trial: Trial) -> list[Path]:
        found = (self.folder / "trials").glob(f"{escape(self._call(trial))}-*/{SUMMARY}")
        return [path.parent for path in sorted(found, key=lambda path: -path.stat().st_mtime)]


def _stored(place: Path) -> dict[str, Any] | None:
    """What the summary in a trial's folder says; None where there is none, or a damaged one."""
    try:
        stored = json.loads((place / SUMMARY).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return stored if isinstance(stored, dict) and {"summary", "code"} <= stored.keys() else None
