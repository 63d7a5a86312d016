"""Scores of policies by task and seed, as tables with stratified bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.metrics import RUINED
from gearing.evaluation.statistics.stratified import (
    Runs,
    Statistic,
    interquartile_means,
    interval_of,
    means,
    medians,
    optimality_gaps,
    rank_shares,
    shares_above,
    win_shares,
)

POLICY, TASK, TRAINING, SEED, SCORE, RUIN = "policy", "task", "training", "seed", "score", "ruined"
KEYS = ["policy", "task", "training", "seed"]
AXES = {"decisions": "decisions", "cpu_seconds": "CPU seconds"}  # of learning curves
_POINTS = 30  # of a learning curve
_THRESHOLDS = 101  # of a profile
Bootstrap = Mapping[str, Any]  # seed, replications, level


def common_tasks(scores: pd.DataFrame, baseline: str) -> tuple[list[str], list[str]]:
    """Tasks that all policies have, and the policies that share none with the baseline and the others.

    A policy is left out where keeping it would leave no task at all; the baseline and policies of many tasks come
    first.
    """
    tasks = {name: list(dict.fromkeys(rows[TASK])) for name, rows in scores.groupby(POLICY, sort=False)}
    order = sorted(tasks, key=lambda name: (name != baseline, -len(tasks[name])))
    common, left_out = tasks[order[0]], list[str]()
    for name in order[1:]:
        shared = [task for task in common if task in set(tasks[name])]
        common, left_out = (shared, left_out) if shared else (common, [*left_out, name])
    return common, left_out


def runs_by_policy(scores: pd.DataFrame, tasks: Sequence[str], column: str = SCORE) -> dict[str, Runs]:
    """Runs of each policy on the same tasks in the same order; a training that lacks one of its tasks is left out."""
    found = {}
    for name, rows in scores[scores[TASK].isin(tasks)].groupby(POLICY, sort=False):
        rows = _whole_trainings(rows)
        table = rows.pivot_table(index=SEED, columns=TASK, values=column, sort=False, dropna=False)
        training = rows.drop_duplicates(TASK).set_index(TASK)[TRAINING]
        kept = [task for task in tasks if task in table]
        if len(kept) == len(tasks):
            found[str(name)] = Runs.of(table[kept].to_numpy(float), list(training[kept]), str(name))
    return found


def _whole_trainings(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of trainings that have all tasks which any seed of theirs has."""
    rows = rows.assign(**{SEED: rows[SEED].astype(float).fillna(-1.0)})  # of a rule, which is not trained
    wanted = rows.groupby(TRAINING)[TASK].transform("nunique")
    has = rows.groupby([TRAINING, SEED])[TASK].transform("nunique")
    return rows[has == wanted]


def aggregate_table(
    scores: pd.DataFrame, tasks: Sequence[str], optimum: float | None, bootstrap: Bootstrap
) -> pd.DataFrame:
    """Interquartile mean, mean, median and optimality gap of every policy."""
    statistics: dict[str, Statistic] = {"iqm": interquartile_means, "mean": means, "median": medians}
    if optimum is not None:
        statistics["optimality_gap"] = partial(optimality_gaps, optimum=optimum)
    rows = {}
    for name, runs in runs_by_policy(scores, tasks).items():
        own = scores[(scores[POLICY] == name) & scores[TASK].isin(tasks)]
        row = _counts(runs, own)
        for label, statistic in statistics.items():
            estimate, low, high = interval_of(statistic, runs, **bootstrap)
            row |= {label: float(estimate), f"{label}_low": float(low), f"{label}_high": float(high)}
        rows[name] = row | _words(row, list(statistics))
    return _by_policy(rows)


def _counts(runs: Runs, own: pd.DataFrame) -> dict[str, Any]:
    """How many runs there are: seeds (the fewest of any training), tasks, runs in all, and those that were ruined."""
    return {
        "kind": own["kind"].iloc[0],
        "seeds": int(runs.counts.min()) if own[SEED].notna().any() else 0,
        "most_seeds": int(runs.counts.max()) if own[SEED].notna().any() else 0,
        "tasks": int(runs.scores.shape[1]),
        "runs": int(runs.known.sum()),
        "ruined": int(own[RUIN].sum()),
    }


def _words(row: Mapping[str, Any], statistics: Sequence[str]) -> dict[str, Any]:
    """The word "ruined" for what has no value where accounts were ruined; the IQM bears a quarter of them."""
    gone = [name for name in statistics if row["ruined"] > (row["runs"] // 4 if name == "iqm" else 0)]
    return {f"{name}{end}": RUINED for name in gone for end in ("", "_low", "_high")}


def _by_policy(rows: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows.values()), index=pd.Index(list(rows), name=POLICY))


def improvement_table(runs: Mapping[str, Runs], bootstrap: Bootstrap) -> pd.DataFrame:
    """Probability that a random run of a policy beats one of another on the same task, for every ordered pair."""
    estimate, low, high, _ = _wins(runs, bootstrap)
    names, rows = list(runs), []
    for i, one in enumerate(names):
        for j, other in enumerate(names):
            if i != j:
                known = runs[one].varies or runs[other].varies
                bounds = (low[i, j], high[i, j]) if known else (np.nan, np.nan)
                rows.append((one, other, estimate[i, j], *bounds))
    columns = [POLICY, "over", "probability", "low", "high"]
    return pd.DataFrame(rows, columns=columns).set_index([POLICY, "over"])


def _wins(runs: Mapping[str, Runs], bootstrap: Bootstrap) -> tuple[Any, Any, Any, Any]:
    level = bootstrap["level"]
    estimate, draws = win_shares(
        list(runs.values()), seed=bootstrap["seed"], replications=bootstrap["replications"]
    )
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return estimate, low, high, draws


def rank_table(runs: Mapping[str, Runs], bootstrap: Bootstrap) -> pd.DataFrame:
    """Mean rank of every policy, 1 the best, with its interval, and the probability of each rank."""
    level = bootstrap["level"]
    estimate, _, _, draws = _wins(runs, bootstrap)
    # A policy's rank is 1 and one more for each that beats it; a tie counts half.
    mean, drawn = 1.0 + estimate.sum(axis=0) - 0.5, 1.0 + draws.sum(axis=1) - 0.5
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    varies = any(one.varies for one in runs.values())
    bounds = (low, high) if varies else (low * np.nan, high * np.nan)
    shares = rank_shares(list(runs.values()), seed=bootstrap["seed"])
    table = {"mean_rank": mean, "low": bounds[0], "high": bounds[1]}
    table |= {f"rank_{k + 1}": shares[:, k] for k in range(len(runs))}
    return pd.DataFrame(table, index=pd.Index(list(runs), name=POLICY))


def profile_table(
    runs: Mapping[str, Runs], thresholds: Sequence[float] | None, bootstrap: Bootstrap
) -> pd.DataFrame:
    """Share of runs above each threshold, with pointwise intervals."""
    if thresholds is None:
        known = np.concatenate([one.scores[one.known] for one in runs.values()])
        edge = 0.02 * max(np.ptp(known), 1e-9)
        levels = np.linspace(known.min() - edge, known.max() + edge, _THRESHOLDS)
    else:
        levels = np.asarray(thresholds, dtype=float)
    parts = []
    for name, one in runs.items():
        share, low, high = interval_of(partial(shares_above, thresholds=levels), one, **bootstrap)
        columns = {POLICY: name, "threshold": levels, "share": share, "low": low, "high": high}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True).set_index([POLICY, "threshold"])


def curve_table(curves: pd.DataFrame, by: str, bootstrap: Bootstrap) -> pd.DataFrame:
    """Interquartile mean of the score on validation along the training, with intervals over seeds.

    A training that has ended keeps its last score; before its first validation it has none, so a curve begins where all
    trainings have one. ``ended`` is the share of trainings that have ended.

    Parameters
    ----------
    by : {"decisions", "cpu_seconds"}
    """
    parts = []
    for name, rows in curves.groupby(POLICY, sort=False):
        trainings = [
            group.sort_values("decisions") for _, group in rows.groupby([TRAINING, SEED], sort=False)
        ]
        starts, ends = ([group[by].iloc[k] for group in trainings] for k in (0, -1))
        grid = np.unique(np.linspace(max(starts), max(ends), _POINTS))
        for x in grid:
            at = [{**_key(g), SCORE: _last(g, by, x)} for g in trainings]
            (runs,) = runs_by_policy(
                pd.DataFrame(at).assign(policy=name), list(dict.fromkeys(rows[TRAINING]))
            ).values()
            found = interval_of(interquartile_means, runs, **bootstrap)
            ended = float(np.mean(np.asarray(ends) < x))
            parts.append((str(name), float(x), *map(float, found), len(trainings), ended))
    columns = [POLICY, by, "score", "low", "high", "trainings", "ended"]
    return pd.DataFrame(parts, columns=columns).set_index([POLICY, by])


def _key(group: pd.DataFrame) -> dict[str, Any]:
    first = group.iloc[0]
    return {TASK: first[TRAINING], TRAINING: first[TRAINING], SEED: first[SEED]}


def _last(group: pd.DataFrame, by: str, x: float) -> float:
    """Score of the newest validation up to a point."""
    return float(group[SCORE].to_numpy()[max(np.searchsorted(group[by].to_numpy(), x, side="right") - 1, 0)])
