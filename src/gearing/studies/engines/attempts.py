"""Running one trial: claimed first, again after an error, its tracked run ended before the result counts."""

from __future__ import annotations

import gc
import logging
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gearing.plugins import load_plugins, portable
from gearing.studies.claims import Claims
from gearing.studies.engines.failures import comes_again, error_text, failure_file, write_failure
from gearing.studies.recording.runs import record_result, trial_run
from gearing.studies.trials import Place, Store, Trial
from gearing.tracking import Tracker
from gearing.tracking.store import database

Play = Callable[[Any, Place], Mapping[str, Any] | None]
_LONG = 1.0  # seconds of a trial after which its memory is freed at once, which takes a tenth of a second
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempts:
    """How a trial ended.

    Attributes
    ----------
    count : int
        How often it was begun; 0 if its result was there, or another process runs it.
    error : exception, optional
        That of the last attempt, if the trial failed.
    files : mapping of name to bytes, optional
        Of the result, from a machine that does not see the study's folder.
    """

    count: int
    error: Any = None
    files: Mapping[str, bytes] | None = None


@dataclass(frozen=True)
class Runner:
    """Runs trials of one function in whatever process it is sent to.

    Attributes
    ----------
    store : Store
    play : callable
        ``play(trial, place)`` computes a trial.
    progress : bool
        Whether a person looks on.
    marker : Path, optional
        A file in the study's folder: a machine that does not see it returns the files of a result.
    """

    store: Store
    play: Play
    progress: bool = False
    marker: Path | None = None

    def __call__(self, job: tuple[Trial, Tracker | None]) -> Attempts:
        """Run a trial in a process of its own; what its tracker cannot send, it leaves to the experiment's.

        Errors are returned: one that is raised here would end the others.
        """
        trial, tracker = job
        if self.marker is not None and not self.marker.exists():
            return self._far_away(trial, tracker)
        load_plugins(self.store.config.plugins)  # a worker process knows none yet
        try:
            ended = self.run(trial, tracker, Claims(self.store.folder / "trials"))
            return ended if ended.error is None else replace(ended, error=portable(ended.error))
        except (Exception, SystemExit) as error:
            return Attempts(1, portable(error))
        finally:
            if tracker is not None:
                tracker.close()

    def run(self, trial: Trial, tracker: Tracker | None, claims: Claims) -> Attempts:
        """Run a trial unless another process does, again after each error as often as the experiment says."""
        store = self.store
        with claims.take(store.place(trial).name) as taken:
            if not taken or store.load(trial) is not None:
                return Attempts(0)
            began = time.monotonic()
            try:
                return self._attempts(trial, tracker)
            finally:
                if time.monotonic() - began > _LONG:
                    gc.collect()  # networks and environments refer to each other, and to the markets

    def _attempts(self, trial: Trial, tracker: Tracker | None) -> Attempts:
        store = self.store
        most = 1 + store.config.retries
        for count in range(1, most + 1):
            try:
                self._once(trial, tracker)
            except (Exception, SystemExit) as error:
                failed = error
            else:
                failure_file(store.folder, store.place(trial).name).unlink(missing_ok=True)
                return Attempts(count)
            if count == most or comes_again(failed):
                break
            _logger.warning("%s failed and is run again: %s", trial.name, error_text(failed))
        write_failure(failure_file(store.folder, store.place(trial).name), trial.name, count, failed)
        return Attempts(count, failed)

    def _far_away(self, trial: Trial, tracker: Tracker | None) -> Attempts:
        """Run a trial on a machine that does not see the study's folder: its files are returned."""
        with tempfile.TemporaryDirectory(prefix="gearing-") as home:
            store = Store(self.store.config, Path(home, "study"), self.store.fingerprints)
            if tracker is not None:
                if database(tracker.uri) is not None:
                    return Attempts(1, portable(_unseen(tracker.uri)))
                tracker = Tracker(tracker.uri, tracker.experiment, spool=Path(home, "spool"))
            ended = replace(self, store=store, marker=None)((trial, tracker))
            if ended.error is None and tracker is not None and tracker.undelivered is not None:
                return Attempts(ended.count, portable(ConnectionError(tracker.undelivered)))
            return ended if ended.error is not None else replace(ended, files=store.packed(trial))

    def _once(self, trial: Trial, tracker: Tracker | None) -> None:
        store = self.store
        store.set_damage_aside(trial)
        store.save(trial, self._summary(trial, tracker))  # the last: now the trial counts
        if store.load(trial) is None:
            raise OSError(f"{store.place(trial)}: the result is not what was written. Is the disk sound?")

    def _summary(self, trial: Trial, tracker: Tracker | None) -> Mapping[str, Any]:
        """Make the files of a trial; its tracked run, a child of the experiment's, has ended when this returns."""
        place = Place(self.store.place(trial), None, self.progress)
        if tracker is None or not trial.tracked:
            return self._made(trial, place)
        with trial_run(trial, self.store, tracker) as run:
            summary = self._made(trial, replace(place, run=run))
            record_result(run, trial, self.store.config, summary)
            return summary

    def _made(self, trial: Trial, place: Place) -> Mapping[str, Any]:
        copied = self.store.copy(trial)
        if copied is not None:
            return copied
        place.folder.mkdir(parents=True, exist_ok=True)
        return self.play(trial, place) or {}


def _unseen(uri: str) -> ValueError:
    return ValueError(
        f"the tracking database {uri} is a file that {socket.gethostname()} does not see. Use a folder that all "
        "machines share, a tracking server (tracking.uri=http://...), or tracking.enabled=false."
    )
