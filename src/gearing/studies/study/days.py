"""What policies did day by day, contract by contract, next to fixed leverage with the same mean."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from gearing.evaluation.comparisons.matched_fixed import GRID_SIZE, FixedGrid
from gearing.evaluation.metrics import DAYS_PER_YEAR
from gearing.simulation.simulator import Simulator
from gearing.studies.folds import Span
from gearing.studies.study.config import StudyConfig
from gearing.studies.study.prepare import Prepared
from gearing.studies.study.trials import CHOSEN_AT, OVERLAY, VALIDATION, load_result, result_file
from gearing.studies.trials import Result, other_code

WINDOW = 30  # days within which a liquidation is counted once
Floats = np.ndarray
Fixed = Callable[[str, str | None, int], FixedGrid]  # by contract, direction and fold


@dataclass(frozen=True, eq=False)
class Days:
    """What one policy did on one contract, fold after fold, a column for each seed.

    Growth is daily, in logs; fees and funding are shares of equity a year, payments negative.
    """

    growth: Floats  # (n_days, n_seeds)
    matched: Floats  # the same of the fixed leverage with the same mean effective leverage in each fold
    constant: Floats  # the same of one fixed leverage for all folds, with the mean of all of them
    fold_growth: Floats  # (n_seeds, n_folds), a year
    leverage: Floats  # (n_seeds,), mean effective leverage
    fees: Floats  # (n_seeds,)
    matched_fees: Floats  # (n_seeds,), of the fixed leverages of each fold
    funding: Floats  # (n_seeds,)
    liquidations: Floats  # (n_seeds,), a year
    windows: Floats  # (n_windows, n_seeds), whether a liquidation happened in the 30 days from each day on
    drawdown: Floats  # (n_seeds,), the largest one of the chained folds
    ruined: Floats  # (n_seeds,), folds in which the account was ruined
    replayed: Floats  # (n_seeds, n_folds), growth a year of the traded leverages; NaN without a placebo test
    shifted: Floats  # (n_seeds, n_folds, n_shifts), the same, circularly shifted in time
    validation: Floats  # (n_seeds, n_folds), growth a year of the chosen weights on validation; NaN of rules
    chosen_at: Floats  # (n_seeds, n_folds), decisions after which those weights were reached; NaN of rules


_BY_DAY = ("growth", "matched", "constant", "windows")


@dataclass(frozen=True, eq=False)
class Played:
    """What one policy did in a group and direction, over all folds and seeds."""

    group: str
    direction: str
    label: str  # the policy's name in tables
    kind: str  # "rule", "fixed" (a rule of fixed leverage), "agent", or "overlay": anything with its controls
    seeds: tuple[int, ...]  # of an agent; none for a rule
    contracts: list[Days]
    code: str = ""  # digests of other code than today's that made some of it

    @property
    def key(self) -> dict[str, str]:
        """What its row is called."""
        return {"group": self.group, "direction": self.direction, "policy": self.label}

    def stacked(self, name: str) -> Floats:
        """A field of all contracts, along a new second axis."""
        return np.stack([getattr(days, name) for days in self.contracts], axis=1)

    def mean(self, name: str) -> float:
        """Mean of a field over contracts, seeds and whatever else."""
        return float(np.mean([np.mean(getattr(days, name)) for days in self.contracts]))


def everything_played(prepared: Prepared, results: Sequence[Result], fixed: Fixed) -> Iterator[Played]:
    """All policies, group by group; those without a result of every contract and fold are left out."""
    config = prepared.config
    found = {
        (r.trial.policy, r.trial.direction, r.trial.group, r.trial.fold, r.trial.seed): r for r in results
    }
    for group in config.groups or {}:
        for direction in config.direction_names:
            for overlay in config.overlays:
                for policy in (*config.rules, *_agents(config, group, direction)):
                    played = _played(prepared, found, fixed, group, direction, overlay, policy)
                    if played is not None:
                        yield played


def fixed_leverages(prepared: Prepared) -> Fixed:
    """Plays fixed leverages over a test fold, each fold of an account once."""
    return cache(partial(_fixed_leverages, prepared))


def _fixed_leverages(prepared: Prepared, account: str, direction: str | None, fold: int) -> FixedGrid:
    settings = prepared.config.simulation(direction=direction).with_(start="first")
    simulator = Simulator(*prepared.cut(account, prepared.folds[fold].test), settings, GRID_SIZE)
    simulator.reset(seed=0)
    return FixedGrid.play(simulator, flat=True)


def _agents(config: StudyConfig, group: str, direction: str | None) -> Iterator[str]:
    for name, agent in config.agents.items():
        in_group = agent.groups is None or group in agent.groups
        if in_group and (agent.directions is None or direction in agent.directions):
            yield name


def _played(
    prepared: Prepared, found: Mapping[Any, Result], fixed: Fixed, group: str, direction: str | None,
    overlay: bool, policy: str,
) -> Played | None:  # fmt: skip
    """What a policy did on the contracts of a group; a rule's own group is the contract. None without results."""
    config = prepared.config
    is_agent = policy in config.agents
    symbols = (config.groups or {})[group]
    places = {symbol: (policy, direction, group if is_agent else symbol) for symbol in symbols}
    wanted: list[Any] = [*config.seeds_of(policy)] if is_agent else [None]
    seeds = [seed for seed in wanted if all((*place, 0, seed) in found for place in places.values())]
    if not seeds:
        return None
    used: list[Result] = []
    contracts = []
    for symbol, place in places.items():
        rows = [[found[(*place, f.number, seed)] for f in prepared.folds] for seed in seeds]
        contracts.append(_stacked([_of_seed(prepared, symbol, row, overlay, fixed) for row in rows]))
        used += [result for row in rows for result in row]
    return Played(
        group, direction or config.decision.direction, policy + OVERLAY * overlay, kind_of(config, policy, overlay),
        tuple(seeds) if is_agent else (), contracts, other_code(used),
    )  # fmt: skip


def kind_of(config: StudyConfig, policy: str, overlay: bool) -> str:
    """What a policy is, see `Played`."""
    if policy in config.rules and config.rules[policy].rule.startswith("fixed"):
        return "fixed"
    if overlay:
        return "overlay"
    return "agent" if policy in config.agents else "rule"


def _stacked(seeds: list[dict[str, Any]]) -> Days:
    arrays = {name: np.array([one[name] for one in seeds]) for name in Days.__dataclass_fields__}
    return Days(**{name: array.T if name in _BY_DAY else array for name, array in arrays.items()})


def _of_seed(
    prepared: Prepared, symbol: str, results: Sequence[Result], overlay: bool, fixed: Fixed
) -> dict[str, Any]:
    """The fields of `Days` of one seed."""
    folds = [fold_days(prepared.config, result, symbol, overlay) for result in results]
    grids = [fixed(symbol, result.trial.direction, result.trial.fold) for result in results]
    means = [float(fold["leverage"].mean()) for fold in folds]
    place = [days_of(fold, prepared.folds[k].test) for k, fold in enumerate(folds)]
    growth = [on_days(fold["growth"], *where) for fold, where in zip(folds, place, strict=True)]
    years = sum(one.size for one in growth) / DAYS_PER_YEAR
    paid = sum(grid.at_leverage(mean, grid.accounts.fees) for grid, mean in zip(grids, means, strict=True))
    return {
        "growth": np.concatenate(growth), "matched": _matched_days(grids, means, place),
        "constant": _matched_days(grids, [float(np.mean(means))] * len(means), place),
        "fold_growth": [one.mean() * DAYS_PER_YEAR for one in growth],
        "leverage": np.mean(means), "matched_fees": -paid / years,
        **{name: sum(fold[name].sum() for fold in folds) / years for name in ("fees", "funding", "liquidations")},
        "windows": np.concatenate([windows_with_liquidation(fold) for fold in folds]),
        "drawdown": largest_drawdown(np.concatenate(growth)),
        "ruined": sum(bool(fold["ruined"]) for fold in folds),
        **{name: _known(folds, name) for name in ("replayed", "shifted", VALIDATION, CHOSEN_AT)},
    }  # fmt: skip


def fold_days(config: StudyConfig, result: Result, symbol: str | None, overlay: bool) -> dict[str, Any]:
    """What a trial did on an account, by decision; of its fold, what is known of placebo and validation."""
    settings = config.simulation(result.trial.policy, result.trial.direction, overlay)
    did, more = load_result(result.trial.label, result.folder / result_file(symbol, overlay), settings)
    equity = np.maximum(did.steps.equity_before, 1e-9)
    known = {name: result.summary[name] for name in (VALIDATION, CHOSEN_AT) if name in result.summary}
    known = {name: np.nan if value is None else value for name, value in known.items()}
    return {
        "time": did.time[:-1], "growth": did.daily_log_growth,
        "leverage": did.gross_leverage, "liquidations": did.steps.liquidations,
        "fees": (did.steps.fees / equity)[: did.end], "funding": (did.steps.funding / equity)[: did.end],
        "ruined": did.ruined, **more, **known,
    }  # fmt: skip


def days_of(fold: Mapping[str, Any], span: Span) -> tuple[int, int, int]:
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


def _matched_days(
    grids: Sequence[FixedGrid], leverages: list[float], place: list[tuple[int, int, int]]
) -> Floats:
    """Daily growth of the fixed leverages with given means, on the days that the policy traded."""
    parts = []
    for grid, wanted, (first, last, count) in zip(grids, leverages, place, strict=True):
        parts.append(on_days(grid.at_leverage(wanted, grid.growth)[first:last], first, last, count))
    return np.concatenate(parts)


def _known(folds: list[dict[str, Any]], name: str) -> list[Any]:
    """A field of all folds; NaN unless every trial has it."""
    known = [fold[name] for fold in folds if name in fold]
    if len(known) == len(folds):
        return known
    return [np.array([np.nan] if name == "shifted" else np.nan)] * len(folds)


def windows_with_liquidation(fold: Mapping[str, Any]) -> Floats:
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
