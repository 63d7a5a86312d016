"""Policies compared over tasks and training seeds: every table and figure of a comparison, from the same scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd

from gearing.evaluation.comparisons import comparison_figures, scores as scoring
from gearing.evaluation.comparisons.growth import growth_table, regret_table
from gearing.evaluation.statistics.stratified import Runs
from gearing.storage.atomic import write_atomically, write_json
from gearing.storage.text import read_json

FOLDER = "comparison"  # in a study's folder
ABOUT = "about.json"
_TABLES = ("scores", "curves", "days")
GROWTH, SHARE = "log growth a year", "share of the optimum's growth"  # what a score is


@dataclass(frozen=True)
class StudyFacts:
    """What a study played, to decide whether its scores compare with another's.

    Attributes
    ----------
    name : str
        Of the study in tables.
    kind, question : str
    unit : str
        What a score is.
    task : dict
        Settings of the tasks: equal ones make equal tasks.
    account : dict
        Settings of the account, which belong to the policy: sizes, intervals, margins.
    data : dict
        Fingerprints of the markets by name.
    code : str
        Digest of the code that made the scores; several, where results were reused.
    baseline : str
    """

    name: str
    kind: str
    unit: str
    task: dict[str, Any]
    account: dict[str, Any]
    data: dict[str, str]
    code: str
    baseline: str
    question: str = ""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores of several policies on the same tasks.

    Attributes
    ----------
    scores : DataFrame
        One row per run: ``policy``, ``kind`` ("rule", "fixed", "agent", "overlay" or "reference"), ``task`` (what was
        played: contract, direction, test span), ``training`` (tasks with the same one were played by the same weights),
        ``seed`` (missing for a rule), ``score``, ``growth`` a year, ``ruined``, ``study``; where known ``leverage``,
        ``chosen_at`` (decisions trained on until the chosen weights), ``optimum`` (its growth), ``replayed`` and
        ``shifted`` (growth of the traded leverages, and of the same ones shifted in time).
    curves : DataFrame
        One row per validation of a training: ``policy``, ``training``, ``seed``, ``decisions``, ``cpu_seconds``,
        ``score`` on validation.
    days : DataFrame
        One row per policy, account, seed and day: ``growth`` and that of the ``matched`` fixed leverage, in logs.
    studies : tuple of StudyFacts
    baseline : str
        The policy that the others are compared with.
    notes : tuple of str
        What a reader must know: what was left out, what differs.
    level : float
        Of all intervals.
    replications : int
        Of the bootstrap.
    seed : int
        Of the bootstrap.
    mean_block : float
        Mean block of days [days].
    """

    scores: pd.DataFrame
    curves: pd.DataFrame
    days: pd.DataFrame
    studies: tuple[StudyFacts, ...]
    baseline: str
    notes: tuple[str, ...] = ()
    level: float = 0.95
    replications: int = 2000
    seed: int = 0
    mean_block: float = 20.0
    _common: tuple[list[str], list[str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        known = list(dict.fromkeys(self.scores[scoring.POLICY]))
        if self.baseline not in known:
            raise ValueError(f"baseline {self.baseline!r} is none of the policies {', '.join(known)}.")
        object.__setattr__(self, "_common", scoring.common_tasks(self.scores, self.baseline))

    @property
    def tasks(self) -> list[str]:
        """Tasks that all compared policies have."""
        return self._common[0]

    @property
    def policies(self) -> list[str]:
        """Names of the compared policies."""
        return list(self.runs)

    @property
    def unit(self) -> str:
        """What a score is."""
        return self.studies[0].unit

    @property
    def optimum(self) -> float | None:
        """The best possible score, where it is known."""
        return 1.0 if self.unit == SHARE else None

    @property
    def learned(self) -> dict[str, bool]:
        """Whether each policy was trained."""
        kinds = self.scores.groupby(scoring.POLICY, sort=False)[scoring.SEED].count()
        return {str(name): bool(count) for name, count in kinds.items()}

    @cached_property
    def runs(self) -> dict[str, Runs]:
        """Runs of every policy on the common tasks."""
        found = scoring.runs_by_policy(self.scores, self.tasks)
        return {name: runs for name, runs in found.items() if name not in self._common[1]}

    @cached_property
    def remarks(self) -> list[str]:
        """The notes, and what this comparison leaves out or counts differently."""
        whole = list(dict.fromkeys(self.scores[scoring.TASK]))
        found = [*self.notes]
        if self._common[1]:
            found.append(f"Left out, since they share no task with the others: {', '.join(self._common[1])}.")
        if len(self.tasks) < len(whole):
            gone = [task for task in whole if task not in set(self.tasks)]
            found.append(
                f"Only the {len(self.tasks)} tasks that all policies have are compared; left out: {'; '.join(gone)}."
            )
        counts = {
            name: sorted({*map(int, one.counts)}) for name, one in self.runs.items() if self.learned[name]
        }
        if len({number for own in counts.values() for number in own}) > 1:
            said = ", ".join(
                f"{name} {' to '.join(map(str, (own[0], own[-1])[: len(own)]))}"
                for name, own in counts.items()
            )
            found.append(f"The numbers of seeds differ: {said}. Missing seeds are left out, not filled.")
        return found

    @cached_property
    def aggregates(self) -> pd.DataFrame:
        """Interquartile mean, mean, median, and the optimality gap where an optimum is known, with intervals.

        Intervals resample trainings within each task and describe how much training varies; a rule, and an agent of one
        seed, have none. ``seeds`` and ``most_seeds`` are the fewest and the most of any task. Where accounts were
        ruined, means are the word "ruined"; the interquartile mean is where more than a quarter were.
        """
        return self.aggregated()

    def aggregated(self, optimum: float | None = None) -> pd.DataFrame:
        """`aggregates` with the optimality gap to a given score."""
        own = self.scores[self.scores[scoring.POLICY].isin(self.policies)]
        wanted = self.optimum if optimum is None else optimum
        return scoring.aggregate_table(own, self.tasks, wanted, self._bootstrap)

    @cached_property
    def improvement(self) -> pd.DataFrame:
        """Probability that a random run of a policy beats one of another on the same task; indexed by both."""
        return scoring.improvement_table(self.runs, self._bootstrap)

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """Mean rank of each policy with its interval, and the probability of each rank."""
        return scoring.rank_table(self.runs, self._bootstrap)

    @cached_property
    def profiles(self) -> pd.DataFrame:
        """Share of runs above each score, with pointwise intervals."""
        return self.profiled()

    def profiled(self, thresholds: Sequence[float] | None = None) -> pd.DataFrame:
        """`profiles` at given scores."""
        return scoring.profile_table(self.runs, thresholds, self._bootstrap)

    def learning(self, by: str = "decisions") -> pd.DataFrame:
        """Score on validation along the training, with intervals over seeds; empty without agents.

        Parameters
        ----------
        by : {"decisions", "cpu_seconds"}
            CPU seconds are those of learning, without validation.
        """
        if by not in scoring.AXES:
            raise ValueError(f"by is {by!r}; it is one of {', '.join(scoring.AXES)}.")
        return self._learning[by]

    @cached_property
    def _learning(self) -> dict[str, pd.DataFrame]:
        """`learning` by each axis; tables and figures share it, since its intervals take seconds."""
        return {by: scoring.curve_table(self.curves, by, self._bootstrap) for by in scoring.AXES}

    @cached_property
    def growth(self) -> pd.DataFrame:
        """Growth a year against the baseline, against fixed leverage with the same mean, and against a placebo.

        Empty where no daily growth is known, as of synthetic markets with a known optimum. See `growth_table`.
        """
        if self.days.empty:
            return pd.DataFrame(index=pd.Index([], name=scoring.POLICY))
        own = self.days[self.days[scoring.POLICY].isin(self.policies)]
        return growth_table(
            self.scores, own, self.tasks, self.baseline, {**self._bootstrap, "mean_block": self.mean_block}
        )

    @cached_property
    def regret(self) -> pd.DataFrame:
        """Growth a year that every policy lacks of the known optimum; empty where none is known."""
        if self.optimum is None:
            return pd.DataFrame(index=pd.Index([], name=scoring.POLICY))
        return regret_table(self.scores, self.tasks, self.aggregates)

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Every table that is not empty, by name."""
        curves = {} if self.curves.empty else {
            "learning": self.learning(), "learning_cpu_seconds": self.learning("cpu_seconds")
        }  # fmt: skip
        found = {
            "aggregates": self.aggregates, "growth": self.growth, "regret": self.regret,
            "improvement": self.improvement, "ranks": self.ranks, "profiles": self.profiles, **curves,
            "scores": self.scores.drop(columns=["shifted", "replayed"], errors="ignore").set_index(scoring.POLICY),
        }  # fmt: skip
        return {name: table for name, table in found.items() if not table.empty}

    def figure(self, name: str) -> Any:
        """A figure by name: one of `figure_names` (matplotlib figure)."""
        if name not in self.figure_names:
            raise ValueError(f"no figure {name!r}; there are {', '.join(self.figure_names)}.")
        return comparison_figures.FIGURES[name](self)

    @property
    def figure_names(self) -> list[str]:
        """Figures that the scores allow."""
        missing = {
            "growth": self.days.empty, "regret": self.optimum is None, "learning": self.curves.empty,
            "improvement": len(self.runs) < 2, "ranks": len(self.runs) < 2,
        }  # fmt: skip
        return [name for name in comparison_figures.FIGURES if not missing.get(name, False)]

    @property
    def figures(self) -> dict[str, Any]:
        """All figures by name."""
        return {name: self.figure(name) for name in self.figure_names}

    @property
    def _bootstrap(self) -> dict[str, Any]:
        return {"seed": self.seed, "replications": self.replications, "level": self.level}

    def save(self, folder: Path) -> list[Path]:
        """Write the scores to a folder; returns the files."""
        for name in _TABLES:
            table = getattr(self, name)
            write_atomically(folder / f"{name}.parquet", partial(table.to_parquet, index=False))
        about = {
            name: getattr(self, name)
            for name in ("baseline", "notes", "level", "replications", "seed", "mean_block")
        }
        write_json(folder / ABOUT, {**about, "studies": [asdict(one) for one in self.studies]})
        return [folder / ABOUT, *(folder / f"{name}.parquet" for name in _TABLES)]

    @classmethod
    def load(cls, folder: Path) -> Comparison:
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            If a file is missing or damaged.
        """
        about = read_json(folder / ABOUT, dict)
        try:
            read = {name: pd.read_parquet(folder / f"{name}.parquet") for name in _TABLES}
            studies = tuple(StudyFacts(**one) for one in about.pop("studies"))
            return cls(**read, studies=studies, **{**about, "notes": tuple(about["notes"])})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{folder} is damaged ({type(error).__name__}: {error}). Run the study again: finished trials stay."
            ) from None

    def with_(self, **changes: Any) -> Comparison:
        """The same scores with another baseline, level, seed or number of replications."""
        return replace(self, **changes)

    def __repr__(self) -> str:
        return (
            f"Comparison({len(self.runs)} policies on {len(self.tasks)} tasks, {len(self.scores)} runs of "
            f"{', '.join(one.name for one in self.studies)}; score: {self.unit}; baseline {self.baseline})"
        )

    def _repr_html_(self) -> str:
        from html import escape

        return f"<p>{escape(repr(self))}</p>{self.aggregates.to_html(float_format=lambda x: f'{x:.3f}')}"
