"""The table of a study: every policy and seed on the same test bars, with intervals against a baseline."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.result import BacktestResult
from gearing.evaluation.statistics.inference import growth_difference, pooled_growth_difference
from gearing.evaluation.statistics.scores import interquartile_mean
from gearing.studies.study.config import StudyConfig
from gearing.studies.study.trials import PolicyTrial, daily_growth

if TYPE_CHECKING:
    import pandas as pd

MONEY = (
    "equity_before",
    "equity",
    "price_pnl",
    "fees",
    "funding",
    "liquidation",
    "turnover",
    "lowest",
    "highest",
)


def chained(results: list[BacktestResult]) -> BacktestResult:
    """The results of one policy's folds as one account that goes on from fold to fold.

    Every fold began with the initial equity; here its money is scaled to what the folds before left.
    """
    if len(results) == 1:
        return results[0]
    equity, steps, scale = [results[0].equity[:1]], [], 1.0
    for result in results:
        scaled = result.steps.copy()
        for name in MONEY:
            scaled[name] *= scale
        steps.append(scaled)
        equity.append(result.equity[1:] * scale)
        scale *= max(result.equity[-1] / result.equity[0], 1e-12)
    return replace(
        results[0],
        time=np.concatenate([results[0].time[:1], *(r.time[1:] for r in results)]),
        equity=np.concatenate(equity),
        target=np.concatenate([r.target for r in results]),
        leverage=np.concatenate([r.leverage for r in results]),
        mark=np.concatenate([r.mark for r in results]),
        steps=np.concatenate(steps).view(np.recarray),
        ledgers=np.concatenate([r.ledgers for r in results]).view(np.recarray),
        ruined=any(r.ruined for r in results),
        distance=_joined([r.distance for r in results]),
        acted=_joined([r.acted for r in results]),
    )


def _joined(parts: list[np.ndarray | None]) -> np.ndarray | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


def by_policy(results: dict[PolicyTrial, BacktestResult]) -> dict[tuple[str, int | None], BacktestResult]:
    """One chained result for each policy and seed, in the order of the trials."""
    parts: dict[tuple[str, int | None], list[BacktestResult]] = {}
    for trial, result in results.items():
        parts.setdefault((trial.policy, trial.seed), []).append(result)
    return {key: chained(group) for key, group in parts.items()}


def leaderboard(config: StudyConfig, results: dict[PolicyTrial, BacktestResult]) -> pd.DataFrame:
    """Rows of all rules and agents: each seed, and per agent the interquartile mean over its seeds.

    ``versus`` is the difference in log growth a year to the baseline (the first rule unless named), with
    the interval of a stationary block bootstrap on the same days; over seeds, days are resampled for all at once.
    """
    import pandas as pd

    merged = by_policy(results)
    growth = {key: daily_growth(result) for key, result in merged.items()}
    baseline = config.statistics.baseline or next(iter((*config.rules, *config.agents)))
    reference = next(value for (name, _), value in growth.items() if name == baseline)
    rows = []
    for key, result in merged.items():
        row = dict(result.row)
        row["ruined_seeds"] = int(result.ruined)
        if key[0] != baseline:
            row |= _versus(growth_difference(growth[key], reference, seed=0, **_bootstrap(config)))
        rows.append(row)
    for name in config.agents:
        seeds = [key for key in merged if key[0] == name]
        if len(seeds) > 1:
            rows.append(
                _over_seeds(config, name, [merged[k] for k in seeds], [growth[k] for k in seeds], reference)
            )
    return pd.DataFrame(rows).set_index("policy")


def _bootstrap(config: StudyConfig) -> dict[str, Any]:
    asked = config.statistics
    return {"mean_block": asked.mean_block, "replications": asked.replications, "level": asked.level}


def _versus(difference: Any) -> dict[str, Any]:
    return {
        "versus": difference.estimate,
        "versus_low": difference.low,
        "versus_high": difference.high,
        "versus_text": f"{difference.estimate:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]",
    }


def _over_seeds(
    config: StudyConfig,
    name: str,
    results: list[BacktestResult],
    growth: list[np.ndarray],
    reference: np.ndarray,
) -> dict[str, Any]:
    """Interquartile mean of every number over an agent's seeds; a ratio stays a word if any seed was ruined."""
    rows = [result.row for result in results]
    row: dict[str, Any] = {"policy": f"{name}, IQM of {len(rows)} seeds"}
    for column in rows[0]:
        values = [r[column] for r in rows]
        if column in ("policy", "ruined"):
            continue
        words = [v for v in values if isinstance(v, str)]
        row[column] = words[0] if words else interquartile_mean(values)
    row["ruined"] = any(result.ruined for result in results)
    row["ruined_seeds"] = sum(result.ruined for result in results)
    stacked = np.stack(growth, axis=-1)[:, None, :]
    return row | _versus(pooled_growth_difference(stacked, reference[:, None], seed=0, **_bootstrap(config)))
