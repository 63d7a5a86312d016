"""Growth of policies day by day, compared on the same days: with a baseline, with fixed leverage, with a placebo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.comparisons.scores import POLICY, RUIN, SEED, TASK, TRAINING
from gearing.evaluation.metrics import RUINED
from gearing.evaluation.statistics.inference import Difference, pooled_growth_difference

CELL, DAY = "account", "day"
POWER = 2.8  # standard errors: a true difference that a test at 5 % finds in 80 % of samples
_DIFFERENCE = ("", "_low", "_high")
Floats = np.ndarray


def growth_table(
    scores: pd.DataFrame,
    days: pd.DataFrame,
    tasks: Sequence[str],
    baseline: str,
    bootstrap: Mapping[str, Any],
) -> pd.DataFrame:
    """Log growth a year of every policy, and how it differs from three references on the same days.

    ``versus`` is growth less the baseline's, ``versus_fixed`` less that of fixed leverage with the same mean effective
    leverage in each task; both with intervals that resample blocks of days common to all accounts, and trainings.
    ``detectable`` is the true difference to the baseline that a sample like this one finds in four of five cases.
    ``placebo`` is growth less that of the same leverages, circularly shifted in time; ``placebo_p`` is the share of
    shifts that earned as much.
    """
    scores, days = (rows[rows[TASK].isin(tasks)] for rows in (scores, days))
    reference = _cube(days[days[POLICY] == baseline], "growth")
    rows = {}
    for name, own in days.groupby(POLICY, sort=False):
        ruined = bool(scores.loc[scores[POLICY] == name, RUIN].any())
        lost = ruined or bool(scores.loc[scores[POLICY] == baseline, RUIN].any())
        growth, matched = _cube(own, "growth"), _cube(own, "matched")
        row = {"days": len(growth[0]), **_columns("growth", _against(growth, None, bootstrap), ruined)}
        if name != baseline:
            found = _against(growth, reference, bootstrap)
            row |= _columns("versus", found, lost) | {"detectable": POWER * found.standard_error}
        if np.isfinite(matched[1]).all():
            fixed = (growth[0], growth[1] - matched[1])
            row |= _columns("versus_fixed", _against(fixed, None, bootstrap), ruined)
        rows[name] = row | _placebo(scores[scores[POLICY] == name], ruined)
    return pd.DataFrame(list(rows.values()), index=pd.Index(list(rows), name=POLICY))


def _cube(days: pd.DataFrame, column: str) -> tuple[Floats, Floats]:
    """Days, and daily values (n_days, n_accounts, n_seeds) of the days that all accounts have.

    Seeds are counted within each training, so that trainings of different folds join to one series; where trainings
    have different numbers of seeds, the first ones count.
    """
    days = days.assign(**{SEED: days[SEED].astype(float).fillna(-1.0)})
    number = days.groupby(TRAINING)[SEED].rank("dense").astype(int) - 1
    fewest = int(number.groupby(days[TRAINING]).max().min()) + 1
    wide = days.assign(number=number)[number < fewest].pivot_table(
        index=DAY, columns=[CELL, "number"], values=column, dropna=False
    )
    if wide.isna().all(axis=None):
        return wide.index.to_numpy(), np.full((len(wide), 1, 1), np.nan)
    wide = wide.dropna()
    return wide.index.to_numpy(), wide.to_numpy().reshape(len(wide), -1, fewest)


def _against(
    growth: tuple[Floats, Floats], reference: tuple[Floats, Floats] | None, bootstrap: Mapping[str, Any]
) -> Difference:
    """Growth a year less that of a reference on the days that both have; its seeds count as their mean."""
    when, values = growth
    if reference is None:
        return pooled_growth_difference(values, np.zeros(values.shape[:2]), **bootstrap)
    common, mine, theirs = np.intersect1d(when, reference[0], return_indices=True)
    if not common.size:
        raise ValueError(
            "a policy and the baseline have no day in common; compare studies of the same folds."
        )
    return pooled_growth_difference(values[mine], reference[1][theirs].mean(axis=2), **bootstrap)


def _columns(name: str, found: Difference, ruined: bool) -> dict[str, Any]:
    values: Sequence[Any] = (found.estimate, found.low, found.high)
    return dict(zip((f"{name}{end}" for end in _DIFFERENCE), [RUINED] * 3 if ruined else values, strict=True))


def _placebo(own: pd.DataFrame, ruined: bool) -> dict[str, Any]:
    """What the timing of the leverages earned a year, and its p-value; nothing where it was not played."""
    if "shifted" not in own or own["shifted"].isna().any():
        return {}
    traded, shifted = float(own["replayed"].mean()), np.mean(np.stack(list(own["shifted"])), axis=0)
    chance = float((1 + np.sum(shifted >= traded)) / (1 + shifted.size))
    values: Sequence[Any] = (traded - float(shifted.mean()), chance)
    return dict(zip(("placebo", "placebo_p"), [RUINED] * 2 if ruined else values, strict=True))


def regret_table(scores: pd.DataFrame, tasks: Sequence[str], table: pd.DataFrame) -> pd.DataFrame:
    """Growth a year that every policy lacks of the known optimum on the same paths: mean, best and worst seed."""
    own = scores[scores[TASK].isin(tasks) & scores["optimum"].notna()]
    lost = (own["optimum"] - own["growth"]).groupby(own[POLICY], sort=False)
    parts = {"regret": lost.mean(), "best_seed": lost.min(), "worst_seed": lost.max()}
    found = pd.DataFrame(parts).assign(optimum=own["optimum"].mean())
    return found.join(
        table[["seeds", "mean", "mean_low", "mean_high"]].rename(columns=lambda n: n.replace("mean", "score"))
    )
