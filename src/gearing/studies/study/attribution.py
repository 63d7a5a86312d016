"""Why agents win or lose on real history: how much leverage, how much in which fold, and when within it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.metrics import DAYS_PER_YEAR
from gearing.studies.study.daily_results import Played
from gearing.studies.study.history_tables import placebo

if TYPE_CHECKING:
    import pandas as pd


def reasons_table(played: Sequence[Played]) -> pd.DataFrame:
    """Log growth a year of each agent in parts, and what validation knew; one row per group, direction and agent.

    ``growth`` = ``one_level`` + ``between_folds`` + ``within_folds``: what one fixed leverage with the agent's mean
    over all folds earned; what holding another average in each fold added; what moving within the folds added.
    ``more_fees`` is the part of the latter that went into fees, ``moments`` what the leverages earned at their moments
    beyond shifted ones, with ``moments_p``. ``promised`` is the growth on validation of the weights that were chosen
    there, ``untrained`` the share of trainings whose choice was the weights before any training, and
    ``correlation`` that of validation with the test, over folds and seeds.
    """
    import pandas as pd

    rows = [{**one.key, **_reasons(one)} for one in _agents(played)]
    return pd.DataFrame(rows).set_index(["group", "direction", "policy"]) if rows else pd.DataFrame()


def seeds_table(played: Sequence[Played]) -> pd.DataFrame:
    """Growth a year of every seed of every agent, mean over contracts and folds, and that beside its twin."""
    import pandas as pd

    rows = []
    for one in _agents(played):
        growth, twin = (one.stacked(name).mean(axis=(0, 1)) * DAYS_PER_YEAR for name in ("growth", "twin"))
        rows += [
            {**one.key, "seed": k, "growth": float(g), "versus_twin": float(g - t)}
            for k, (g, t) in enumerate(zip(growth, twin, strict=True))
        ]
    return pd.DataFrame(rows).set_index(["group", "direction", "policy", "seed"]) if rows else pd.DataFrame()


def _agents(played: Sequence[Played]) -> list[Played]:
    """What agents did without controls."""
    return [one for one in played if one.trial.seed is not None and not one.trial.controlled]


def _reasons(one: Played) -> dict[str, Any]:
    growth, twin, level = (one.mean(name) * DAYS_PER_YEAR for name in ("growth", "twin", "level"))
    gained, chance = placebo(one)
    test = one.stacked("fold_growth").mean(axis=1)
    validation, chosen = (one.contracts[0].validation, one.contracts[0].chosen_at)
    return {
        "leverage": one.mean("leverage"),
        "growth": growth, "one_level": level, "between_folds": twin - level, "within_folds": growth - twin,
        "more_fees": one.mean("fees") - one.mean("twin_fees"), "moments": gained, "moments_p": chance,
        "promised": float(validation.mean()), "untrained": float((chosen == 0).mean()),
        "correlation": _correlation(validation, test),
    }  # fmt: skip


def _correlation(validation: np.ndarray, test: np.ndarray) -> float:
    if not np.isfinite(validation).all() or validation.std() == 0.0 or test.std() == 0.0:
        return np.nan
    return float(np.corrcoef(validation.ravel(), test.ravel())[0, 1])
