"""What a running experiment uses: its trials are run where they are missing, in processes, each a tracked run."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from gearing.market import MarketData
from gearing.plugins import load_plugins
from gearing.storage.atomic import set_aside
from gearing.studies.claims import Claims
from gearing.studies.engines.attempts import Attempts, Play, Runner
from gearing.studies.engines.choosing import Engines
from gearing.studies.engines.engine import run_jobs
from gearing.studies.engines.failures import Failure, failure_file, read_failure, write_failure
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.trials import Place, Result, Store, Trial
from gearing.tracking import Tracker

Read = TypeVar("Read")
VANISHED = (
    2  # times that the process of a trial may be killed, besides its retries, before it counts as failed
)
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
    failures : dict
        Trials that failed, by the names of their folders.
    engines : Engines, optional
        Where trials run side by side; without, they run in this process.
    began : float
        When the experiment began, by the clock of the folder's disk.
    """

    config: ExperimentConfig
    folder: Path
    tell: Callable[[str], None] = lambda text: None
    tracker: Tracker | None = None
    progress: bool = False
    fingerprints: dict[str, str] = field(default_factory=dict)
    other_code: set[str] = field(default_factory=set)
    failures: dict[str, Failure] = field(default_factory=dict)
    engines: Engines | None = None
    began: float = field(default_factory=time.time)

    def act(self, config: ExperimentConfig) -> Work:
        """The same for an act of the experiment: its lines begin with its name, and its data are its own."""
        return replace(
            self,
            config=config,
            tell=lambda text: self.tell(f"{config.act}: {text.lstrip()}"),
            fingerprints={},
        )

    def on(self, markets: Mapping[str, MarketData]) -> None:
        """Say what data results are made of: results that were made of other values do not count as done."""
        self.fingerprints.update({name: market.fingerprint for name, market in markets.items()})

    def run(self, trials: Sequence[Trial], play: Play, *, needed: bool = True) -> list[Result]:
        """Run the trials whose results are missing; all results, in the order of the trials.

        A trial that raises is run again, as often as the experiment's ``retries`` say, and one whose process is killed
        is begun again. The others finish in any case.

        Parameters
        ----------
        trials : sequence of Trial
        play : callable
            ``play(trial, place)`` computes one, writes files into ``place.folder`` and returns a summary that JSON
            knows. A function of a module, or a ``functools.partial`` of one, so that it runs in other processes.
        needed : bool
            Whether every result is needed: then the error of the first trial that failed is raised at the end.
            Otherwise the results of those that failed are missing; the experiment ends with them in its table
            ``failed``.
        """
        store = Store(self.config, self.folder, dict(self.fingerprints))
        missing = [trial for trial in trials if store.load(trial) is None]
        if len(trials) > 1:
            self.tell(f"{len(trials) - len(missing)} of {len(trials)} trials are done, {len(missing)} to run")
        self._run_missing(missing, store, play)
        if needed:
            self.raise_failure(trials)
        return self.results(trials)

    def raise_failure(self, trials: Sequence[Trial] | None = None) -> None:
        """Raise the error of the first of these trials that failed, by default of all; nothing if none did."""
        if trials is None:
            names = list(self.failures)
        else:
            store = Store(self.config, self.folder, dict(self.fingerprints))
            names = [store.place(trial).name for trial in trials] if self.failures else []
        for name in names:
            if name in self.failures:
                raise self.failures[name].error

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
        """Run trials, and wait for those that other processes run; those that fail are in `failures`."""
        claims, announced = Claims(store.folder / "trials"), False
        while missing:
            self._run_free(missing, store, play)
            missing = self._still_missing(missing, store)
            claimed = [trial for trial in missing if not claims.is_free(store.place(trial).name)]
            if claimed and not announced:
                trials = "1 trial" if len(claimed) == 1 else f"{len(claimed)} trials"
                self.tell(f"waiting for {trials} that another process runs in {self.folder}")
                announced = True
            missing = _waited(missing, store, claims)
            missing = self._still_missing(missing, store)

    def _still_missing(self, trials: Sequence[Trial], store: Store) -> list[Trial]:
        """Trials that have neither a result nor failed, here or just now in another process."""
        missing = []
        for trial in trials:
            if store.load(trial) is not None:
                self.failures.pop(store.place(trial).name, None)
            elif store.place(trial).name not in self.failures and not self._failed_elsewhere(trial, store):
                missing.append(trial)
        return missing

    def _failed_elsewhere(self, trial: Trial, store: Store) -> bool:
        """Whether another process found a trial to fail since this one began."""
        file = failure_file(self.folder, store.place(trial).name)
        found = read_failure(file) if file.exists() and file.stat().st_mtime >= self.began else None
        if found is None:
            return False
        attempts, text = found
        error = RuntimeError(f"{trial.name} failed in another process: {text}; see {file}.")
        self.failures[store.place(trial).name] = Failure(trial.name, attempts, error, file)
        return True

    def _run_free(self, missing: Sequence[Trial], store: Store, play: Play) -> None:
        """Run those trials that no other process has claimed."""
        runner = Runner(store, play, self.progress)
        if self.engines is None or self._is_small(missing):
            claims = Claims(store.folder / "trials")
            for number, trial in enumerate(missing, start=1):
                if len(missing) > 1:
                    self.tell(f"  {number} of {len(missing)}: {trial.run_name}")
                load_plugins(self.config.plugins)
                self._note(trial, store, runner.run(trial, self.tracker, claims), "")
            return
        with self._marker() as marker:
            self._run_side_by_side(missing, store, replace(runner, progress=False, marker=marker))

    @contextmanager
    def _marker(self) -> Iterator[Path | None]:
        """A file by which machines of a cluster find out whether they see the folder; local processes do."""
        if self.config.engine == "local":
            yield None
            return
        marker = self.folder.absolute() / f".seen-{secrets.token_hex(8)}"
        marker.touch()
        try:
            yield marker
        finally:
            marker.unlink(missing_ok=True)

    def _is_small(self, missing: Sequence[Trial]) -> bool:
        """Whether trials are run in this process: tables that an experiment makes once, and what gains nothing."""
        if isinstance(missing[0], Part):
            return True
        return self.config.engine == "local" and (self.config.jobs == 1 or len(missing) < 2)

    def _run_side_by_side(self, missing: Sequence[Trial], store: Store, runner: Runner) -> None:
        """Run trials in other processes; those whose process is killed are begun again."""
        assert self.engines is not None
        if self.tracker is not None:
            self.tracker.flush(timeout=30.0)  # so that trials in other processes find their parent
        most = VANISHED + self.config.retries

        def begun(number: int) -> None:
            self.tell(f"  runs: {missing[number].run_name}")

        tracker = self.tracker
        if tracker is not None and self.config.engine == "local":
            tracker = tracker.for_worker()
        jobs = [(trial, tracker) for trial in missing]
        ended = run_jobs(self.engines.open(), runner, jobs, most, begun)
        for count, one in enumerate(ended, start=1):
            trial, attempts = missing[one.number], one.returned
            if attempts is None:
                attempts = Attempts(one.vanished, vanished_error(trial, one.vanished))
            self._note(trial, store, attempts, f"  {count} of {len(missing)} ")

    def _note(self, trial: Trial, store: Store, ended: Attempts, before: str) -> None:
        """Print how a trial ended, and remember a failure."""
        if ended.files is not None:
            store.unpack(trial, ended.files)
        if ended.error is None:
            if before:
                self.tell(f"{before}done: {trial.run_name}")
            return
        file = failure_file(self.folder, store.place(trial).name)
        if (
            not file.exists() or file.stat().st_mtime < self.began
        ):  # of a machine that does not see this folder
            write_failure(file, trial.name, ended.count, ended.error)
        failure = Failure(trial.name, ended.count, ended.error, file)
        self.failures[store.place(trial).name] = failure
        self.tell(f"{before or '  '}failed: {trial.run_name} ({failure.text})")


def vanished_error(trial: Trial, count: int) -> ChildProcessError:
    """What is said of a trial whose processes were killed."""
    return ChildProcessError(
        f"a worker process was killed {count} times in the trial {trial.name}, perhaps for lack of memory. Use fewer "
        "jobs, as in jobs=1."
    )


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
