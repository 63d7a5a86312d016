"""Tables of a regret study, read from what its trials left on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.statistics.scores import aggregate

if TYPE_CHECKING:
    import pandas as pd

    from gearing.studies.regret.run import RegretConfig

REFERENCES = ("oracle", "half_of_the_oracle", "best_fixed")
REACHED = 0.9  # of the oracle on validation: when an agent counts as having learned


def growth_of(config: RegretConfig, folder: Path, name: str) -> tuple[float, float, np.ndarray]:
    """Growth a year over all test paths, its standard error, and the growth of each part (n_parts,)."""
    played = [np.load(folder / "test" / str(k) / f"{name}.npz") for k in range(config.test.count)]
    growth = np.concatenate([one["growth"] for one in played])
    years = config.test.years * config.test.count
    # Parts are years apart from each other, and their states forget each other in months.
    error = growth.std(ddof=1) * np.sqrt(growth.size) / years
    return float(growth.sum() / years), float(error), growth


def mean_of(config: RegretConfig, folder: Path, name: str, number: str) -> float:
    """Mean over the test paths of a number that was told per path."""
    paths = range(config.test.count)
    return float(np.mean([float(np.load(folder / "test" / str(k) / f"{name}.npz")[number]) for k in paths]))


def reference_table(config: RegretConfig, folder: Path) -> pd.DataFrame:
    """Policies that need no training; "by its formula" are paths of the formula itself, outside the simulator."""
    import pandas as pd

    best, _, oracle = growth_of(config, folder, "oracle")
    formula = mean_of(config, folder, "formula", "growth")
    rows: list[dict[str, Any]] = [
        {"policy": "oracle by its formula", "growth": formula, "score": formula / best}
    ]
    if config.filtered:
        filtered = mean_of(config, folder, "formula", "filtered")
        rows.append({"policy": "Bayes filter by its formula", "growth": filtered, "score": filtered / best})
    for name in REFERENCES:
        growth, error, parts = growth_of(config, folder, name)
        rows.append(
            {
                "policy": name.replace("_", " "),
                "growth": growth,
                "error": error,
                "score": growth / best,
                "regret": best - growth,
                "regret_error": _paired_error(config, oracle - parts),
                "leverage": mean_of(config, folder, name, "leverage"),
            }
        )
    return pd.DataFrame(rows).set_index("policy")


def scored(config: RegretConfig, folder: Path) -> pd.DataFrame:
    """One row per agent and seed."""
    import pandas as pd

    best, _, oracle = growth_of(config, folder, "oracle")
    rows = []
    for name, seed in config.trials():
        told = json.loads((folder / "agents" / f"{name}-seed{seed}" / "training.json").read_text())
        growth, error, parts = growth_of(config, folder, f"{name}-seed{seed}")
        rows.append(
            {
                "agent": name,
                "seed": seed,
                "growth": growth,
                "error": error,
                "score": growth / best,
                "regret": best - growth,
                "regret_error": _paired_error(config, oracle - parts),
                "inside": mean_of(config, folder, f"{name}-seed{seed}", "inside"),
                "outside_by": mean_of(config, folder, f"{name}-seed{seed}", "outside_by"),
                "leverage": mean_of(config, folder, f"{name}-seed{seed}", "leverage"),
                **_learned(told),
            }
        )
    return pd.DataFrame(rows).set_index(["agent", "seed"])


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
                "regret": group["regret"].mean(),
                "inside": group["inside"].mean(),
                "outside_by": group["outside_by"].mean(),
                "leverage": group["leverage"].mean(),
                "reached": int(group["decisions_to_reach"].notna().sum()),
                "decisions_to_reach": group["decisions_to_reach"].median(),
                "seconds_to_reach": group["seconds_to_reach"].median(),
                "decisions": group["decisions"].mean(),
                "seconds": group["seconds"].mean(),
            }
        )
    return pd.DataFrame(rows).set_index("agent")


def _learned(told: dict[str, Any]) -> dict[str, float]:
    """What training took: all of it, and until 0.9 of the oracle on validation (NaN if never)."""
    bar = REACHED * told["oracle_on_validation"]
    first = next((row for row in told["history"] if row["score"] >= bar), None)
    last = told["history"][-1]
    return {
        "decisions_to_reach": first["decisions"] if first else np.nan,
        "seconds_to_reach": first["seconds"] if first else np.nan,
        "decisions": last["decisions"],
        "seconds": last["seconds"],
    }


def _paired_error(config: RegretConfig, differences: np.ndarray) -> float:
    """Standard error of a mean difference a year, from the differences of the parts."""
    return float(
        differences.std(ddof=1) * np.sqrt(differences.size) / (config.test.years * config.test.count)
    )
