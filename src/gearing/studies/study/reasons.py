"""Why agents win or lose: how much leverage, how much in which fold, and when within it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.metrics import DAYS_PER_YEAR
from gearing.studies.study.days import Played
from gearing.studies.study.policies import KEYS, placebo


def reasons_table(played: Sequence[Played]) -> pd.DataFrame:
    """Log growth a year of each agent in parts, and what validation knew; one row per group, direction and agent.

    ``growth`` = ``one_level`` + ``between_folds`` + ``within_folds``: what one fixed leverage with the agent's mean
    over all folds earned; what another mean in each fold added; what moving within the folds added. ``more_fees`` is
    the part of the latter that went into fees, ``timing`` what the leverages earned beyond circularly shifted ones,
    with ``timing_p``. ``promised`` is the growth on validation of the weights that were chosen there, ``untrained`` the
    share of trainings whose choice was the weights before any training, and ``correlation`` that of validation with the
    test, over folds and seeds.
    """
    rows = [{**one.key, **_reasons(one)} for one in _agents(played)]
    return pd.DataFrame(rows).set_index(KEYS)


def seeds_table(played: Sequence[Played]) -> pd.DataFrame:
    """Growth a year of every seed of every agent, mean over contracts and folds, and less that of fixed leverage."""
    rows = []
    for one in _agents(played):
        growth, fixed = (
            one.stacked(name).mean(axis=(0, 1)) * DAYS_PER_YEAR for name in ("growth", "matched")
        )
        rows += [
            {**one.key, "seed": k, "growth": float(g), "versus_fixed": float(g - f)}
            for k, (g, f) in enumerate(zip(growth, fixed, strict=True))
        ]
    return pd.DataFrame(rows).set_index([*KEYS, "seed"])


def _agents(played: Sequence[Played]) -> list[Played]:
    """What agents did without the overlay."""
    return [one for one in played if one.kind == "agent"]


def _reasons(one: Played) -> dict[str, Any]:
    names = ("growth", "matched", "constant")
    growth, fixed, constant = (one.mean(name) * DAYS_PER_YEAR for name in names)
    gained, chance = placebo(one)
    test = one.stacked("fold_growth").mean(axis=1)
    validation, chosen = (one.contracts[0].validation, one.contracts[0].chosen_at)
    return {
        "leverage": one.mean("leverage"), "growth": growth,
        "one_level": constant, "between_folds": fixed - constant, "within_folds": growth - fixed,
        "more_fees": one.mean("fees") - one.mean("matched_fees"), "timing": gained, "timing_p": chance,
        "promised": float(validation.mean()), "untrained": float((chosen == 0).mean()),
        "correlation": _correlation(validation, test),
    }  # fmt: skip


def _correlation(validation: np.ndarray, test: np.ndarray) -> float:
    if not np.isfinite(validation).all() or validation.std() == 0.0 or test.std() == 0.0:
        return np.nan
    return float(np.corrcoef(validation.ravel(), test.ravel())[0, 1])
