"""What a running experiment uses: its trials are run where they are missing, in processes, each a tracked run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from joblib import Parallel, delayed

from gearing.market import MarketData
from gearing.plugins import load_plugins, portable
from gearing.storage.atomic import set_aside
from gearing.studies.claims import Claims
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.trials import Place, Result, Store, Trial
from gearing.tracking import Tracker

Read = TypeVar("Read")
Play = Callable[[Any, Place], Mapping[str, Any] | None]
_TABLE = "table.parquet"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0  # seconds between two looks at the trials of other processes


@dataclass(frozen=True)
class Part(Trial):
    """A table that is made once."""

    part: str
    tracked = False


@dataclass(frozen=True)
class Work:
    """What a running experiment may use.

    Attributes
    ----------
    config : ExperimentConfig
    folder : Path
        Of the results.
    tell : callable
        Prints a line about what is going on.
    tracker : Tracker, optional
    progress : bool
        Whether a person looks on.
    fingerprints : dict
        Of the markets so far, see `on`.
    other_code : set of str
        Digests of the code that made results which are reused.
    """

    config: ExperimentConfig
    folder: Path
    tell: Callable[[str], None] = lambda text: None
    tracker: Tracker | None = None
    progress: bool = False
    fingerprints: dict[str, str] = field(default_factory=dict)
    other_code: set[str] = field(default_factory=set)

    def on(self, markets: Mapping[str, MarketData]) -> None:
        """Say what data results are made of: results that were made of other values do not count as done."""
        self.fingerprints.update({name: market.fingerprint for name, market in markets.items()})

    def run(self, trials: Sequence[Trial], play: Play) -> list[Result]:
        """Run the trials whose results are missing; all results, in the order of the trials.

        Parameters
        ----------
        trials : sequence of Trial
        play : callable
            ``play(trial, place)`` computes one, writes files into ``place.folder`` and returns a summary that JSON
            knows. A function of a module, or a ``functools.partial`` of one, so that it runs in other processes.
        """
        store = Store(self.config, self.folder, dict(self.fingerprints))
        missing = [trial for trial in trials if store.load(trial) is None]
        if len(trials) > 1:
            self.tell(f"{len(trials) - len(missing)} of {len(trials)} trials are done, {len(missing)} to run")
        self._run_missing(missing, store, play)
        return self.results(trials)

    def stored(
        self, trials: Sequence[Trial], play: Play, read: Callable[[Path], Read]
    ) -> list[tuple[Any, Read]]:
        """Trials with what ``read(folder)`` finds in their folders; one that cannot be read is run again.

        Parameters
        ----------
        trials, play : as in `run`
        read : callable
            Raises a ValueError for a file that is missing or damaged.
        """
        found = []
        for result in self.run(trials, play):
            try:
                found.append((result.trial, read(result.folder)))
            except ValueError:
                aside = set_aside(result.folder)
                self.tell(
                    f"{result.folder}: a file cannot be read; it is now {aside.name}, and is made again"
                )
                (again,) = self.run([result.trial], play)
                found.append((again.trial, read(again.folder)))
        return found

    def results(self, trials: Sequence[Trial]) -> list[Result]:
        """Results of trials that are done, in the order of the trials."""
        store = Store(self.config, self.folder, dict(self.fingerprints))
        found = [result for result in map(store.load, trials) if result is not None]
        self.other_code.update(result.code for result in found if not result.is_current)
        return found

    def part(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """A table that is made once: an experiment started again reads it from disk."""

        def write(trial: Part, place: Place) -> None:
            self.tell(name)
            make().to_parquet(place.folder / _TABLE)

        (result,) = self.run([Part(name)], write)
        return pd.read_parquet(result.folder / _TABLE)

    def _run_missing(self, missing: Sequence[Trial], store: Store, play: Play) -> None:
        """Run trials, and wait for those that other processes run."""
        claims, announced = Claims(store.folder / "trials"), False
        while missing:
            self._run_free(missing, store, play)
            missing = [trial for trial in missing if store.load(trial) is None]
            if missing and not announced:
                self.tell(f"waiting for {len(missing)} trials that another process runs in {self.folder}")
                announced = True
            missing = _waited(missing, store, claims)

    def _run_free(self, missing: Sequence[Trial], store: Store, play: Play) -> None:
        """Run those trials that no other process has claimed."""
        if self.config.jobs == 1 or len(missing) < 2:
            claims = Claims(store.folder / "trials")
            for number, trial in enumerate(missing, start=1):
                if len(missing) > 1:
                    self.tell(f"  {number} of {len(missing)}: {trial.name}")
                _run(trial, store, play, self.tracker, self.progress, claims)
            return
        if self.tracker is not None:
            self.tracker.flush(timeout=30.0)  # so that trials in other processes find their parent
        ended = Parallel(n_jobs=self.config.jobs, backend="loky", return_as="generator_unordered")(
            delayed(_run_elsewhere)(trial, store, play, self.tracker, self.progress) for trial in missing
        )
        errors = []
        for number, (name, error) in enumerate(ended, start=1):
            how = "done" if error is None else f"ended in {type(error).__name__}"
            self.tell(f"  {number} of {len(missing)} {how}: {name}")
            errors += [error] if error is not None else []
        if errors:
            raise errors[0]  # after the others, which would lose their work


def _waited(trials: Sequence[Trial], store: Store, claims: Claims) -> list[Trial]:
    """Wait until a trial of another process is done or has been given up; those that are to be run."""
    pause = _FIRST_PAUSE
    while trials:
        time.sleep(pause)
        trials = [trial for trial in trials if store.load(trial) is None]
        if any(claims.is_free(store.place(trial).name) for trial in trials):
            break
        pause = min(2.0 * pause, _LONGEST_PAUSE)
    return list(trials)


def _run_elsewhere(
    trial: Trial, store: Store, play: Play, tracker: Tracker | None, progress: bool
) -> tuple[str, Any]:
    """Run one trial in a process of its own; what its tracker cannot send, it leaves to the experiment's.

    Returns its name and the error that it ended in, or None: an error that is raised here would end the others.
    """
    try:
        _run(trial, store, play, tracker, progress, Claims(store.folder / "trials"))
        return trial.name, None
    except (Exception, SystemExit) as error:
        return trial.name, portable(error)
    finally:
        if tracker is not None:
            tracker.close()


def _run(
    trial: Trial, store: Store, play: Play, tracker: Tracker | None, progress: bool, claims: Claims
) -> None:
    """Run one trial unless another process does, or copy it from an experiment that ran the same."""
    load_plugins(store.config.plugins)  # a worker process knows none yet
    with claims.take(store.place(trial).name) as taken:
        if not taken or store.load(trial) is not None:
            return
        store.set_damage_aside(trial)
        store.save(trial, _summary(trial, store, play, tracker, progress))  # the last: now the trial counts
        if store.load(trial) is None:
            raise OSError(f"{store.place(trial)}: the result is not what was written. Is the disk sound?")


def _summary(
    trial: Trial, store: Store, play: Play, tracker: Tracker | None, progress: bool
) -> Mapping[str, Any]:
    """Make the files of a trial; its tracked run, a child of the experiment's, has ended when this returns."""
    place = Place(store.place(trial), None, progress)
    if tracker is None or not trial.tracked:
        return _made(trial, store, play, place)
    parent = store.config.key
    with tracker.run(trial.label, key=f"{parent}-{place.folder.name}", parent=parent) as run:
        run.log_params({"experiment": store.config.name, **asdict(trial)})
        summary = _made(trial, store, play, replace(place, run=run))
        run.log_metrics({name: float(value) for name, value in summary.items() if is_number(value)})
        return summary


def _made(trial: Trial, store: Store, play: Play, place: Place) -> Mapping[str, Any]:
    copied = store.copy(trial)
    if copied is not None:
        return copied
    place.folder.mkdir(parents=True, exist_ok=True)
    return play(trial, place) or {}


def is_number(value: Any) -> bool:
    """Whether a value is a number that a tracked run can show; NaN is none."""
    return isinstance(value, (int, float)) and value == value
