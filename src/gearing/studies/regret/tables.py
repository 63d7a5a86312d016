"""Tables of a comparison with a known optimum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.statistics.scores import aggregate
from gearing.studies.regret.config import RegretConfig
from gearing.studies.trials import Result

if TYPE_CHECKING:
    import pandas as pd

GROWTH = "growth.npz"
REACHED = 0.9  # of the oracle on validation: when an agent counts as having learned
_MEASURED = ("inside", "outside_by", "leverage")


def growth_of(result: Result) -> np.ndarray:
    """Log growth of each part of the test paths (n_parts,)."""
    return np.load(result.folder / GROWTH)["growth"]


def reference_table(config: RegretConfig, known: Sequence[Result]) -> pd.DataFrame:
    """Policies that need no training; "by its formula" are paths of the formula itself, outside the simulator."""
    import pandas as pd

    *played, formula = known
    best = growth_of(played[0]).sum() / config.test_years
    by_formula = {"oracle": float(np.mean(growth_of(formula)))}
    if config.filtered:
        by_formula["Bayes filter"] = float(np.mean(formula.summary["filtered"]))
    rows: list[dict[str, Any]] = [
        {"policy": f"{name} by its formula", "growth": growth, "score": growth / best}
        for name, growth in by_formula.items()
    ]
    for result in played:
        row = {"policy": result.trial.policy.replace("_", " "), **_row(config, result, played[0])}
        rows.append({name: value for name, value in row.items() if name not in ("inside", "outside_by")})
    return pd.DataFrame(rows).set_index("policy")


def seed_table(config: RegretConfig, trained: Sequence[Result], oracle: Result) -> pd.DataFrame:
    """One row per agent and seed."""
    import pandas as pd

    rows = [
        {
            "agent": result.trial.policy,
            "seed": result.trial.seed,
            **_row(config, result, oracle),
            **_learned(result.summary),
        }
        for result in trained
    ]
    return pd.DataFrame(rows).set_index(["agent", "seed"])


def _row(config: RegretConfig, result: Result, oracle: Result) -> dict[str, float]:
    """Growth a year and its standard error, the same of the regret, and means over the test paths."""
    growth, best, years = growth_of(result), growth_of(oracle), config.test_years

    def error(parts: np.ndarray) -> float:
        # Parts are years apart from each other, and their states forget each other in months.
        return float(parts.std(ddof=1) * np.sqrt(parts.size) / years)

    mine, most = float(growth.sum() / years), float(best.sum() / years)
    return {
        "growth": mine,
        "error": error(growth),
        "score": mine / most,
        "regret": most - mine,
        "regret_error": error(best - growth),
        **{name: float(np.mean(result.summary[name])) for name in _MEASURED},
    }


def agent_table(seeds: pd.DataFrame) -> pd.DataFrame:
    """One row per agent: means over seeds, with the bootstrap interval of the score."""
    import pandas as pd

    rows = []
    for name, group in seeds.groupby(level="agent", sort=False):
        scores = group["score"].to_numpy()
        interval = aggregate(scores[:, None], seed=0, statistic=np.mean)
        rows.append(
            {
                "agent": name,
                "seeds": len(group),
                "growth": group["growth"].mean(),
                "score": interval.estimate,
                "score_low": interval.low,
                "score_high": interval.high,
                "worst_seed": scores.min(),
                **{column: group[column].mean() for column in ("regret", *_MEASURED)},
                "reached": int(group["decisions_to_reach"].notna().sum()),
                "decisions_to_reach": group["decisions_to_reach"].median(),
                "seconds_to_reach": group["seconds_to_reach"].median(),
                **{column: group[column].mean() for column in ("decisions", "seconds")},
            }
        )
    return pd.DataFrame(rows).set_index("agent")


def _learned(summary: dict[str, Any]) -> dict[str, float]:
    """What training took: all of it, and until 0.9 of the oracle on validation (NaN if never)."""
    bar = REACHED * summary["oracle_on_validation"]
    first = next((row for row in summary["history"] if row["score"] >= bar), None)
    last = summary["history"][-1]
    return {
        "decisions_to_reach": first["decisions"] if first else np.nan,
        "seconds_to_reach": first["seconds"] if first else np.nan,
        "decisions": last["decisions"],
        "seconds": last["seconds"],
    }
