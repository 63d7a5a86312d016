"""Tables of a comparison with a known optimum."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.statistics.scores import aggregate
from gearing.studies.regret.config import RegretConfig
from gearing.studies.trials import Result

GROWTH = "growth.npz"
_NORMAL = 1.96  # standard errors of a 95 % interval
REACHED = 0.9  # of the oracle on validation: when an agent counts as having learned
PRINTED = [  # columns of the agents' table that are printed; its file has all
    "seeds", "growth", "score", "score_low", "score_high", "worst_seed", "regret", "inside", "leverage", "decisions",
    "trained_decisions", "untrained",
]  # fmt: skip
MEASURED = ("inside", "outside_by", "leverage")


def growth_of(result: Result) -> np.ndarray:
    """Log growth of each part of the test paths (n_parts,)."""
    return np.load(result.folder / GROWTH)["growth"]


def reference_table(config: RegretConfig, known: Sequence[Result]) -> pd.DataFrame:
    """Policies that need no training; "by its formula" are paths of the formula itself, outside the simulator."""
    *played, formula = known
    best = growth_of(played[0]).sum() / config.test_years
    by_formula = {"oracle": float(np.mean(growth_of(formula)))}
    if config.filtered:
        by_formula["Bayes filter"] = float(np.mean(formula.summary["filtered"]))
    rows: dict[str, dict[str, float]] = {
        f"{name} by its formula": {"growth": growth, "score": growth / best}
        for name, growth in by_formula.items()
    }
    for result in played:
        rows[result.trial.policy.replace("_", " ")] = _row(config, result, played[0])
    table = pd.DataFrame(list(rows.values()), index=pd.Index(list(rows), name="policy"))
    return table.drop(columns=["inside", "outside_by"])


def rule_table(config: RegretConfig, played: Sequence[Result], oracle: Result) -> pd.DataFrame:
    """One row per rule: growth a year, its share of the oracle's with the interval over the test paths, and the regret.

    The interval is the delta method's for a ratio of sums over parts of the paths; parts are paired with the oracle's
    where both decide on the same bars.
    """
    best, years = growth_of(oracle), config.test_years
    most, rows = float(best.sum() / years), []
    for result in played:
        growth = growth_of(result)
        mine = float(growth.sum() / years)
        score, reach = mine / most, _NORMAL * _ratio_error(growth, best, mine / most)
        rows.append(
            {
                "growth": mine, "error": _error(growth, years),
                "score": score, "score_low": score - reach, "score_high": score + reach,
                "regret": most - mine, "leverage": float(np.mean(result.summary["leverage"])),
            }
        )  # fmt: skip
    return pd.DataFrame(rows, index=pd.Index([one.trial.policy for one in played], name="policy"))


def _ratio_error(growth: np.ndarray, best: np.ndarray, ratio: float) -> float:
    """Standard error of sum(growth) / sum(best)."""
    if growth.shape == best.shape:
        spread = (growth - ratio * best).std(ddof=1) * np.sqrt(growth.size)
    else:
        spread = np.hypot(*(x.std(ddof=1) * np.sqrt(x.size) for x in (growth, ratio * best)))
    return float(spread / abs(best.sum()))


def _error(parts: np.ndarray, years: float) -> float:
    """Standard error of the growth a year."""
    # Parts are years apart from each other, and their states forget each other in months.
    return float(parts.std(ddof=1) * np.sqrt(parts.size) / years)


def rules_line(config: RegretConfig, rules: pd.DataFrame) -> str:
    """Scores of rules with their intervals."""
    scores = [
        f"{name} {row['score']:.3f} [{row['score_low']:.3f}, {row['score_high']:.3f}]"
        for name, row in rules.iterrows()
    ]
    return f"{config.name}: share of the oracle's growth over {config.test_years:,.0f} years: {', '.join(scores)}"


def seed_table(config: RegretConfig, trained: Sequence[Result], oracle: Result) -> pd.DataFrame:
    """One row per agent and seed."""
    rows = [_row(config, result, oracle) | _learned(result.summary) for result in trained]
    keys = [(result.trial.policy, result.trial.seed) for result in trained]
    return pd.DataFrame(rows, index=pd.MultiIndex.from_tuples(keys, names=["agent", "seed"]))


def _row(config: RegretConfig, result: Result, oracle: Result) -> dict[str, float]:
    """Growth a year and its standard error, the same of the regret, and means over the test paths."""
    measured = {name: float(np.mean(result.summary[name])) for name in MEASURED}
    return {**scores(config, growth_of(result), growth_of(oracle)), **measured}


def scores(config: RegretConfig, growth: np.ndarray, best: np.ndarray) -> dict[str, float]:
    """Growth a year, its share of the oracle's (score) and its difference (regret), with standard errors.

    ``growth`` and ``best``, the oracle's, are log growth of each part of the test paths (n_parts,).
    """
    years = config.test_years
    mine, most = float(growth.sum() / years), float(best.sum() / years)
    return {
        "growth": mine,
        "error": _error(growth, years),
        "score": mine / most,
        "regret": most - mine,
        "regret_error": _error(best - growth, years),
    }


def agent_table(seeds: pd.DataFrame) -> pd.DataFrame:
    """One row per agent: means over seeds, with the bootstrap interval of the score.

    ``trained_decisions`` were trained on until the weights that validation chose; ``untrained`` is the share of seeds
    whose chosen weights are those before any training.
    """
    rows = {}
    for name, group in seeds.groupby(level="agent", sort=False):
        scores = group["score"].to_numpy()
        interval = aggregate(scores[:, None], seed=0, statistic=np.mean)
        rows[name] = {
            "seeds": len(group),
            "growth": group["growth"].mean(),
            "score": interval.estimate,
            "score_low": interval.low if len(group) > 1 else np.nan,  # over seeds
            "score_high": interval.high if len(group) > 1 else np.nan,
            "worst_seed": scores.min(),
            **{column: group[column].mean() for column in ("regret", *MEASURED)},
            "reached": int(group["decisions_to_reach"].notna().sum()),
            **{column: group[column].median() for column in ("decisions_to_reach", "seconds_to_reach")},
            **{
                column: group[column].mean()
                for column in ("decisions", "seconds", "trained_decisions", "untrained")
            },
        }
    return pd.DataFrame(list(rows.values()), index=pd.Index(list(rows), name="agent"))


def _learned(summary: dict[str, Any]) -> dict[str, float]:
    """What training took: all of it, until 0.9 of the oracle on validation (NaN if never), until the chosen weights."""
    bar, history = REACHED * summary["oracle_on_validation"], summary["history"]
    first: dict[str, float] = next((row for row in history if row["score"] >= bar), {})
    spent = ("decisions", "seconds")
    reached = {f"{name}_to_reach": first.get(name, np.nan) for name in spent}
    chosen = float(summary["best_decisions"])
    return {
        **reached, **{name: history[-1][name] for name in spent},
        "trained_decisions": chosen, "untrained": float(chosen == 0.0),
    }  # fmt: skip


def agents_line(config: RegretConfig, agents: pd.DataFrame) -> str:
    """Scores with their intervals, and how many seeds chose weights before any training."""
    scores = [
        f"{name} {row['score']:.3f}{_interval_text(row)} ({_seeds_text(row)})"
        for name, row in agents.iterrows()
    ]
    return f"{config.name}: share of the oracle's growth over {config.test_years:,.0f} years: {', '.join(scores)}"


def _interval_text(row: pd.Series) -> str:
    """The interval of a score; nothing for one seed, which has none."""
    return "" if row["seeds"] < 2 else f" [{row['score_low']:.3f}, {row['score_high']:.3f}]"


def _seeds_text(row: pd.Series) -> str:
    """How many seeds, and how many of them chose weights before any training."""
    count = int(row["seeds"])
    untrained = round(float(row["untrained"]) * count)
    word = "" if not untrained else ", untrained" if untrained == count else f", {untrained} untrained"
    return f"{count} seed{'s' if count > 1 else ''}{word}"
