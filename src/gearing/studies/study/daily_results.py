"""What policies of a study on real history did, from the days that their trials left on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.metrics import DAYS_PER_YEAR

if TYPE_CHECKING:
    from gearing.evaluation.comparisons.matched_fixed import FixedGrid
    from gearing.studies.study.history import Bench, Trial

WINDOW = 30  # days within which a liquidation is counted once
Floats = np.ndarray


@dataclass(frozen=True, eq=False)
class Days:
    """What one policy did on one contract, fold after fold, seed beside seed.

    Attributes
    ----------
    growth, twin, level : (n_days, n_seeds)
        Daily log growth; that of the fixed leverage with the same mean effective leverage in each fold; and that of
        one fixed leverage for all folds, with the mean of all of them.
    fold_growth, fold_twin : (n_seeds, n_folds)
        Log growth a year of each fold.
    leverage, fees, twin_fees, funding, liquidations : (n_seeds,)
        Mean effective leverage; parts of equity a year (payments negative); liquidations a year.
    windows : (n_windows, n_seeds)
        Whether a liquidation happened in the 30 days from each day on.
    drawdown : (n_seeds,)
        Largest drawdown of the chained folds.
    ruined : (n_seeds,)
        Folds in which the account was ruined.
    replayed : (n_seeds, n_folds)
        Growth a year of the leverages that were traded, played as they are; NaN where no placebo was played.
    shifted : (n_seeds, n_folds, n_shifts)
        The same, at other moments.
    validation, chosen_at : (n_seeds, n_folds)
        Growth a year of the chosen weights on validation, and after how many decisions they were reached; NaN of rules.
    """

    growth: Floats
    twin: Floats
    level: Floats
    fold_growth: Floats
    fold_twin: Floats
    leverage: Floats
    fees: Floats
    twin_fees: Floats
    funding: Floats
    liquidations: Floats
    windows: Floats
    drawdown: Floats
    ruined: Floats
    replayed: Floats
    shifted: Floats
    validation: Floats
    chosen_at: Floats


@dataclass(frozen=True, eq=False)
class Played:
    """One policy of a group and direction that is complete over all folds.

    Attributes
    ----------
    trial : Trial
        One of its trials, which stands for all its folds and seeds.
    contracts : list of Days
    """

    group: str
    direction: str
    trial: Trial
    contracts: list[Days]

    @property
    def key(self) -> dict[str, str]:
        """What its row is called."""
        return {"group": self.group, "direction": self.direction, "policy": self.trial.label}

    def stacked(self, name: str) -> Floats:
        """A field of all contracts, along a new second axis."""
        return np.stack([getattr(days, name) for days in self.contracts], axis=1)

    def mean(self, name: str) -> float:
        """Mean of a field over contracts, seeds and whatever else."""
        return float(np.mean([np.mean(getattr(days, name)) for days in self.contracts]))


def everything_played(bench: Bench) -> Iterator[Played]:
    """All policies that are complete over all folds, group by group."""
    for group, symbols in bench.config.groups.items():
        for direction in bench.config.directions:
            for example in _policies(bench, group, direction):
                seeds = _complete_seeds(bench, example, symbols)
                if seeds:
                    contracts = [_days(bench, example, symbol, seeds) for symbol in symbols]
                    yield Played(group, direction, example, contracts)


def _policies(bench: Bench, group: str, direction: str) -> Iterator[Trial]:
    from gearing.studies.study.history import Trial

    for controlled in (False, True) if bench.config.controls else (False,):
        for rule in bench.config.rules:
            yield Trial(rule, direction, group, 0, None, controlled)
        for agent in bench.config.agents:
            yield Trial(agent, direction, group, 0, 0, controlled)


def _of(example: Trial, symbol: str, fold: int, seed: int | None) -> Trial:
    """A trial of the same policy; rules are played per contract, so their group is the contract."""
    return replace(example, group=symbol if seed is None else example.group, fold=fold, seed=seed)


def _complete_seeds(bench: Bench, example: Trial, symbols: list[str]) -> list[int | None]:
    most = 1 if example.seed is None else 1000
    found: list[int | None] = []
    for number in range(most):
        seed = None if example.seed is None else number
        files = [_of(example, s, f.number, seed).file(bench, s) for s in symbols for f in bench.folds]
        if not all(file.exists() for file in files):
            break
        found.append(seed)
    return found


def _days(bench: Bench, example: Trial, symbol: str, seeds: list[int | None]) -> Days:
    each = [_seed(bench, example, symbol, seed) for seed in seeds]
    arrays = {name: np.array([one[name] for one in each]) for name in Days.__dataclass_fields__}
    by_day = ("growth", "twin", "level", "windows")
    return Days(**{name: array.T if name in by_day else array for name, array in arrays.items()})


def _seed(bench: Bench, example: Trial, symbol: str, seed: int | None) -> dict[str, Any]:
    """The fields of `Days` of one seed."""
    kept = [
        dict(np.load(_of(example, symbol, fold.number, seed).file(bench, symbol))) for fold in bench.folds
    ]
    grids = [bench.fixed(symbol, example.direction, fold.number) for fold in bench.folds]
    means = [float(fold["leverage"].mean()) for fold in kept]
    place = [days_of(fold, bench.folds[k].test) for k, fold in enumerate(kept)]
    growth = [on_days(fold["growth"], *where) for fold, where in zip(kept, place, strict=True)]
    twin, level = (
        [
            on_days(days[first:last], first, last, count)
            for days, (first, last, count) in zip(played, place, strict=True)
        ]
        for played in (_matched(grids, means), _matched(grids, [float(np.mean(means))] * len(means)))
    )
    years = sum(one.size for one in growth) / DAYS_PER_YEAR
    totals = {
        name: sum(fold[name].sum() for fold in kept) / years for name in ("fees", "funding", "liquidations")
    }
    paid = sum(g.at_leverage(mean, g.accounts.fees) for g, mean in zip(grids, means, strict=True))
    return {
        "growth": np.concatenate(growth), "twin": np.concatenate(twin),
        "level": np.concatenate(level),
        "fold_growth": [one.mean() * DAYS_PER_YEAR for one in growth],
        "fold_twin": [one.mean() * DAYS_PER_YEAR for one in twin],
        "leverage": np.mean(means), **totals, "twin_fees": -paid / years,
        "windows": np.concatenate([windows_with_liquidation(fold) for fold in kept]),
        "drawdown": largest_drawdown(np.concatenate(growth)),
        "ruined": sum(bool(fold["ruined"]) for fold in kept),
        **{name: _told(kept, name) for name in ("replayed", "shifted", "validation", "chosen_at")},
    }  # fmt: skip


def days_of(fold: dict[str, Floats], span: tuple[np.datetime64, np.datetime64]) -> tuple[int, int, int]:
    """First day of a trial in its test span, the day after its last, and how many days the span has.

    Decisions of several days begin on a Monday and end after whole intervals.
    """
    day = np.timedelta64(1, "D")
    first = int((fold["time"][0] - span[0]) // day)
    return first, first + fold["growth"].size, int((span[1] - span[0]) // day)


def on_days(growth: Floats, first: int, last: int, count: int) -> Floats:
    """Daily growth on all days of a span (count,): before its first decision and after its last an account is flat."""
    whole = np.zeros(count)
    whole[first:last] = growth
    return whole


def _told(kept: list[dict[str, Floats]], name: str) -> list[Floats]:
    """A field of all folds; NaN where a trial had nothing to tell."""
    known = [fold[name] for fold in kept if name in fold]
    return (
        known
        if len(known) == len(kept)
        else [np.array([np.nan] if name == "shifted" else np.nan)] * len(kept)
    )


def _matched(grids: list[FixedGrid], leverages: list[float]) -> list[Floats]:
    """Daily growth of the fixed leverage with each mean."""
    return [grid.at_leverage(wanted, grid.growth) for grid, wanted in zip(grids, leverages, strict=True)]


def windows_with_liquidation(fold: dict[str, Floats]) -> Floats:
    """Of the windows of 30 days, one from every day: 1 where a liquidation happened, else 0."""
    day = fold["time"].astype("datetime64[D]")
    hit = np.zeros(int((day[-1] - day[0]).astype(int)) + 1)
    np.add.at(hit, (day - day[0]).astype(int), fold["liquidations"])
    window = min(WINDOW, hit.size)
    return (np.convolve(hit, np.ones(window), mode="valid") > 0.0).astype(float)


def largest_drawdown(growth: Floats) -> float:
    """Largest loss from a peak of a path of daily log growth."""
    path = np.concatenate([[0.0], np.cumsum(growth)])
    return float(1.0 - np.exp((path - np.maximum.accumulate(path)).min()))
