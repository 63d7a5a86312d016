"""Drawing settings with Optuna, and ending trials early.

What is drawn is a function of the search and of the scores of earlier batches, of nothing else: a search that is
killed, or run by other workers, draws the same.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

from gearing.storage.atomic import write_atomically
from gearing.storage.digest import digest
from gearing.studies.search.config import Range, Search, as_text

COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"
_RANDOM = 10  # trials that are drawn at random, before the sampler looks at scores
_BEFORE_PRUNING = 5  # trials that must have ended before one is pruned
_REDRAWN = 20  # draws of the sampler until it has to find settings that it did not draw before
_WARMUP = 20  # percent of a training's budget in which no trial is pruned


@dataclass(frozen=True)
class Tried:
    """What is known of a trial that has ended.

    Attributes
    ----------
    number : int
        0 is the agent as the experiment has it, which is not drawn.
    drawn : mapping
        Settings by dotted name.
    state : {"complete", "pruned", "failed"}
    score : float or None
        Log growth a year on validation.
    steps : mapping of int to float
        Score at each validation, see `Watched`.
    sharpe : float or None
    """

    number: int
    drawn: Mapping[str, Any]
    state: str
    score: float | None = None
    steps: Mapping[int, float] = field(default_factory=dict)
    sharpe: float | None = None


def check_optuna() -> None:
    """Refuse to begin where Optuna is not installed.

    Raises
    ------
    ValueError
        Saying how to install it.
    """
    if find_spec("optuna") is None:
        raise ValueError('search needs Optuna. Install it with: pip install "gearing[search]"')


def drawn(search: Search, batch: int, count: int, tried: Sequence[Tried]) -> list[dict[str, Any]]:
    """Settings of the trials of a batch, none of them tried before; fewer than ``count`` where no others are left.

    Parameters
    ----------
    batch, count : int
        Number of the batch, and of its trials.
    tried : sequence of Tried
        Those of earlier batches.
    """
    optuna = _optuna()
    seed = int(digest(search.seed, batch, length=8), 16)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_RANDOM, constant_liar=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials(_frozen(search, tried))
    distributions, known = _distributions(search), {as_text(one.drawn) for one in tried}
    found: list[dict[str, Any]] = []
    while len(found) < count:
        proposed = (_as_written(search, study.ask(distributions).params) for _ in range(_REDRAWN))
        left = (one for one in proposed if as_text(one) not in known)
        one = next(left, None) or _untried(search, known, Random(f"{seed} {len(found)}"))
        if one is None:
            break
        found.append(one)
        known.add(as_text(one))
    return found


def _untried(search: Search, known: Container[str], random: Random) -> dict[str, Any] | None:
    """Settings that are not among the known ones (texts), any of them; None where no others are left."""
    values = search.values
    if values is None:
        return None
    every = (dict(zip(search.space, one, strict=True)) for one in product(*values))
    left = [one for one in every if as_text(one) not in known]
    return random.choice(left) if left else None


def write_journal(path: Path, name: str, search: Search, tried: Sequence[Tried]) -> None:
    """Write the trials as a journal file of Optuna, which its dashboard reads."""
    optuna = _optuna()

    def write(draft: Path) -> None:
        draft.touch()
        backend = optuna.storages.journal.JournalFileBackend(str(draft))
        storage = optuna.storages.JournalStorage(backend)
        study = optuna.create_study(direction="maximize", storage=storage, study_name=name)
        study.add_trials(_frozen(search, tried))

    write_atomically(path, write)


@dataclass(frozen=True)
class Pruning:
    """When trials end early: where their score is below the median of earlier ones at the same step.

    Attributes
    ----------
    earlier : list of dict
        Scores by step of the trials of earlier batches that ran to their end.
    """

    earlier: list[dict[int, float]]

    def begin(self) -> Callable[[int, float], bool]:
        """Begin a trial: a function that is called with its score at each step, and says whether it is to end."""
        optuna = _optuna()
        pruner = optuna.pruners.MedianPruner(n_startup_trials=_BEFORE_PRUNING, n_warmup_steps=_WARMUP)
        study = optuna.create_study(direction="maximize", pruner=pruner)
        for steps in self.earlier:
            study.add_trial(
                optuna.trial.create_trial(value=list(steps.values())[-1], intermediate_values=steps)
            )
        trial = study.ask()

        def ends(step: int, score: float) -> bool:
            trial.report(score, step)
            return bool(trial.should_prune())

        return ends


def _optuna() -> Any:
    check_optuna()
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def _distributions(search: Search) -> dict[str, Any]:
    return {key: _distribution(given) for key, given in search.space.items()}


def _distribution(given: Range | list[Any]) -> Any:
    made = _optuna().distributions
    if isinstance(given, list):
        return made.CategoricalDistribution([as_text(choice) for choice in given])
    if given.is_whole:
        return made.IntDistribution(given.low, given.high, given.log, int(given.step or 1))
    return made.FloatDistribution(float(given.low), float(given.high), given.log, given.step)


def _as_written(search: Search, params: Mapping[str, Any]) -> dict[str, Any]:
    """What was drawn as settings of an agent."""
    found: dict[str, Any] = {}
    for key, given in search.space.items():
        value = params[key]
        found[key] = json.loads(value) if isinstance(given, list) else given.written(value)
    return found


def _frozen(search: Search, tried: Sequence[Tried]) -> list[Any]:
    """Trials as Optuna knows them; the agent's own settings may lie outside the space and are left out."""
    optuna = _optuna()
    states = {
        COMPLETE: optuna.trial.TrialState.COMPLETE, PRUNED: optuna.trial.TrialState.PRUNED,
        FAILED: optuna.trial.TrialState.FAIL,
    }  # fmt: skip
    distributions = _distributions(search)
    return [
        optuna.trial.create_trial(
            state=states[one.state],
            value=one.score,
            params={
                key: as_text(value) if isinstance(search.space[key], list) else value
                for key, value in one.drawn.items()
            },
            distributions=distributions,
            intermediate_values=dict(one.steps),
        )
        for one in tried
        if one.number > 0
    ]
