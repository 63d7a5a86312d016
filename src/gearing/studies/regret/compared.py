"""Scores of agents and references on a market with a known optimum, as a `Comparison`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.comparisons.comparison import SHARE, Comparison, StudyFacts
from gearing.studies.regret.config import REFERENCES, RegretConfig
from gearing.studies.regret.tables import growth_of
from gearing.studies.trials import Result

BEST_FIXED = "best fixed"
_DAYS = ("policy", "study", "task", "training", "account", "seed", "day", "growth", "matched")
_CURVES = ("policy", "study", "training", "seed", "decisions", "cpu_seconds", "score")


def compared(config: RegretConfig, trained: Sequence[Result], known: Sequence[Result]) -> Comparison:
    """Every agent and seed, and the references, by their share of the oracle's growth on the same test paths.

    Parameters
    ----------
    trained : sequence of Result
        Of the agents.
    known : sequence of Result
        Of the oracle, the other references, rules, and what is computed by formula.
    """
    oracle, *references, formula = known
    optimum = float(growth_of(oracle).sum() / config.test_years)
    rows = [_row(config, result, optimum) for result in (*references, *trained)]
    if config.filtered:
        filtered = float(np.mean(formula.summary["filtered"]))
        rows.insert(0, _scored(config, "Bayes filter", "reference", None, filtered, optimum))
    table = pd.DataFrame(rows)
    table["seed"] = pd.array(
        [pd.NA if seed is None else seed for seed in (row["seed"] for row in rows)], dtype="Int64"
    )
    facts = _facts(config, [*known, *trained])
    return Comparison(
        table, _curves(config, trained), pd.DataFrame(columns=list(_DAYS)), (facts,), BEST_FIXED
    )


def _row(config: RegretConfig, result: Result, optimum: float) -> dict[str, Any]:
    name, seed = result.trial.policy, result.trial.seed
    growth = float(growth_of(result).sum() / config.test_years)
    kind, shown = "agent" if seed is not None else "rule", name
    if seed is None and name in REFERENCES:
        kind, shown = "fixed" if name == "best_fixed" else "reference", name.replace("_", " ")
    row = _scored(config, shown, kind, seed, growth, optimum)
    chosen = float(result.summary["best_decisions"]) if seed is not None else np.nan
    return row | {"leverage": float(np.mean(result.summary["leverage"])), "chosen_at": chosen}


def _scored(
    config: RegretConfig, policy: str, kind: str, seed: int | None, growth: float, optimum: float
) -> dict[str, Any]:
    return {
        "policy": policy, "study": config.name, "kind": kind, "task": _task(config), "training": _task(config),
        "seed": seed, "score": growth / optimum, "growth": growth, "optimum": optimum, "ruined": False,
        "leverage": np.nan, "chosen_at": np.nan,
    }  # fmt: skip


def _task(config: RegretConfig) -> str:
    test = config.test
    paths = f"{test.count} path{'s' if test.count > 1 else ''} of {test.years:g} years from seed {test.seed}"
    return f"{config.market.generator}, {config.shown} shown, {paths}"


def _curves(config: RegretConfig, trained: Sequence[Result]) -> pd.DataFrame:
    """Every validation, as a share of the oracle's growth on the validation paths."""
    rows = [
        (result.trial.policy, config.name, _task(config), result.trial.seed, one["decisions"], one["seconds"],
         one["score"] / result.summary["oracle_on_validation"])
        for result in trained
        for one in result.summary["history"]
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(_CURVES))


def _facts(config: RegretConfig, results: Sequence[Result]) -> StudyFacts:
    task = config.model_dump(mode="json", include={"market", "shown", "account", "test"})
    return StudyFacts(
        name=config.name, kind=config.kind, unit=SHARE, task=task, account={}, data={},
        code=", ".join(sorted({result.code for result in results})), baseline=BEST_FIXED, question=config.question,
    )  # fmt: skip
