"""Trials and their results on disk: a trial is the call of a pure function, named by the hash of what it depends on.

A result lies in ``FOLDER/trials/NAME-CALL-CODE``: a readable name, a hash of the experiment's settings, the data and
the seed, and one of the code. Its summary is written last, so a result is whole or absent. The summary says which
trial it belongs to and holds the digest of every file, so that a damaged file, or one of another trial, is no result.
"""

import json
import logging
import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from glob import escape
from pathlib import Path
from typing import Any, ClassVar

from gearing.storage.atomic import draft_folder, set_aside, write_json
from gearing.storage.digest import digest, file_digest
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.recording.metrics import numbers_of

SUMMARY = "summary.json"
CHECKPOINT = "checkpoint"  # folder of a training that is under way; no part of the result
_SHORT = 8  # digits of a hash in a folder's name
_LONGEST = 120  # bytes of the readable part of a folder's name
_ASIDE = re.compile(r"\.damaged-\d+$")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """What is computed once; a subclass has the fields that tell trials apart.

    Fields are numbers, text or None; they are the parameters of the trial's tracked run.
    """

    tracked: ClassVar[bool] = True  # whether it has a run of its own
    context: ClassVar[str] = "study"  # what its data are for, in its tracked run

    @property
    def name(self) -> str:
        """Name of the trial among those of its experiment, for people and folders."""
        return "-".join(str(value) for value in asdict(self).values() if value is not None)

    @property
    def label(self) -> str:
        """Name of its result in figures."""
        return self.name

    @property
    def run_name(self) -> str:
        """Name of its tracked run."""
        return self.label

    @property
    def about(self) -> str:
        """What it is, as the begin of a sentence that describes its tracked run."""
        return self.run_name

    def tags(self, config: Any) -> Mapping[str, Any]:
        """Tags of its tracked run: what tells the trial apart."""
        return asdict(self)

    def parameters(self, config: Any) -> Mapping[str, Any]:
        """Settings of its policy, defaults included: parameters of its tracked run."""
        return {}

    def metrics(self, summary: Mapping[str, Any]) -> Mapping[str, float]:
        """What its tracked run shows of the summary: every number."""
        return numbers_of(summary)

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
        """The result of a trial, if the experiment has it and it is what was written."""
        for place in [self.place(trial), *(self._by_other_code(trial) if self.config.reuse else ())]:
            with suppress(Damaged):
                stored = _stored(place)
                if stored is not None:
                    current = stored["code"] == self.config.code
                    return Result(trial, place, stored["summary"], stored["code"], current)
        return None

    def save(self, trial: Trial, summary: Mapping[str, Any] | None) -> None:
        """Mark a trial as done."""
        place = self.place(trial)
        facts = {
            "trial": trial.name, **asdict(trial), "place": place.name, "code": self.config.code,
            "data": dict(trial.data(self.config, self.fingerprints)),
            "files": {name: file_digest(place / name) for name in _files(place)},
            "summary": dict(summary or {}),
        }  # fmt: skip
        facts = json.loads(json.dumps(facts, default=float))  # as they will be read, for the digest
        write_json(place / SUMMARY, facts | {"digest": digest(facts)})

    def copy(self, trial: Trial) -> dict[str, Any] | None:
        """Take the files of a trial from another experiment of this name; returns its summary, if one has it."""
        own = self.place(trial)
        for folder in self._relatives:
            with suppress(Damaged, FileNotFoundError):
                stored = _stored(folder / own.name)
                if stored is None:
                    continue
                with draft_folder(own) as draft:
                    for name in stored["files"]:
                        (draft / name).parent.mkdir(parents=True, exist_ok=True)
                        shutil.copy2(folder / own.name / name, draft / name)
                    _check_files(draft, stored["files"])
                return dict(stored["summary"])
        return None

    def packed(self, trial: Trial) -> dict[str, bytes]:
        """The files of a result by name, the summary included."""
        place = self.place(trial)
        return {name: (place / name).read_bytes() for name in (*_files(place), SUMMARY)}

    def unpack(self, trial: Trial, files: Mapping[str, bytes]) -> None:
        """Write the files of a result that another machine made."""
        with draft_folder(self.place(trial)) as draft:
            for name, content in files.items():
                (draft / name).parent.mkdir(parents=True, exist_ok=True)
                (draft / name).write_bytes(content)

    def set_damage_aside(self, trial: Trial) -> None:
        """Rename what is damaged in a trial's folder, so that it is made again; the training's checkpoint stays."""
        place = self.place(trial)
        try:
            _stored(place)
        except Damaged as damage:
            moved = [set_aside(path).name for path in {damage.path: 0, place / SUMMARY: 0} if path.exists()]
            where = f"It is now {moved[0]}" if moved else "It is missing"
            _logger.warning("%s %s. %s, and the trial is run again.", damage.path, damage.reason, where)

    @cached_property
    def _relatives(self) -> list[Path]:
        found = self.folder.parent.glob(f"{escape(self.config.name)}-*/trials")
        return [path for path in sorted(found) if path.parent != self.folder]

    def _call(self, trial: Trial) -> str:
        call = {
            "kind": self.config.kind, "settings": trial.settings(self.config), "trial": asdict(trial),
            "data": dict(trial.data(self.config, self.fingerprints)),
        }  # fmt: skip
        readable = re.sub(r"[^\w.+=-]+", "_", trial.name).encode()[:_LONGEST].decode(errors="ignore")
        return f"{readable}-{digest(call, length=_SHORT)}"

    def _by_other_code(self, trial: Trial) -> list[Path]:
        found = (self.folder / "trials").glob(f"{escape(self._call(trial))}-*/{SUMMARY}")
        return [path.parent for path in sorted(found, key=lambda path: -path.stat().st_mtime)]


class Damaged(Exception):  # noqa: N818  a state, not a mistake
    """A file of a result is not what was written."""

    def __init__(self, path: Path, reason: str):
        super().__init__(f"{path} {reason}")
        self.path, self.reason = path, reason


def _stored(place: Path) -> dict[str, Any] | None:
    """What the summary in a trial's folder says; None where there is none.

    Raises
    ------
    Damaged
        If the summary or a file is not what was written, or belongs to another trial.
    """
    path = place / SUMMARY
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise Damaged(path, f"cannot be read ({type(error).__name__})") from None
    if not isinstance(stored, dict) or not {"summary", "code", "place", "files", "digest"} <= stored.keys():
        raise Damaged(path, "is no summary of a trial")
    if stored.pop("digest") != digest(stored):
        raise Damaged(path, "was changed after it was written")
    if stored["place"] != place.name:
        raise Damaged(path, f"belongs to the trial {stored['place']}")
    _check_files(place, stored["files"])
    return stored


def _check_files(place: Path, files: Mapping[str, str]) -> None:
    for name, written in files.items():
        path = place / name
        try:
            same = file_digest(path) == written
        except OSError:
            raise Damaged(path, "is missing") from None
        if not same:
            raise Damaged(path, "was changed after it was written, or belongs to another trial")


def _files(place: Path) -> list[str]:
    """Names of a result's files, within its folder."""
    found = (path.relative_to(place) for path in place.rglob("*") if path.is_file())
    own = (path for path in found if path.parts[0] not in (SUMMARY, CHECKPOINT) and path.name[0] != ".")
    return sorted(path.as_posix() for path in own if not any(_ASIDE.search(part) for part in path.parts))
