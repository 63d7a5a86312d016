"""The table of a study: every policy and seed on the same test bars, with intervals against a baseline."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.metrics import daily_log_growth
from gearing.evaluation.result import BacktestResult
from gearing.evaluation.statistics.inference import growth_difference, pooled_growth_difference
from gearing.evaluation.statistics.scores import interquartile_mean
from gearing.studies.study.config import StudyConfig
from gearing.studies.study.trials import OVERLAY, load_result, result_file
from gearing.studies.trials import Result, other_code

MONEY = [
    "equity_before", "equity", "price_pnl", "fees", "funding", "liquidation", "turnover", "lowest", "highest"
]  # fmt: skip


_PER_DECISION = ("target", "leverage", "mark", "distance", "acted")


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
    per_decision: Any = {name: _joined([getattr(r, name) for r in results]) for name in _PER_DECISION}
    return replace(
        results[0],
        time=np.concatenate([results[0].time[:1], *(r.time[1:] for r in results)]),
        equity=np.concatenate(equity),
        steps=np.concatenate(steps).view(np.recarray),
        ledgers=np.concatenate([r.ledgers for r in results]).view(np.recarray),
        ruined=any(r.ruined for r in results),
        **per_decision,
    )


def _joined(parts: list[np.ndarray | None]) -> np.ndarray | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None


@dataclass(frozen=True, eq=False)
class Entry:
    """A policy over all folds as one account; of an agent, with one seed."""

    name: str  # in tables, direction and overlay included where the study has several
    policy: str
    direction: str | None
    overlay: bool
    seed: int | None
    result: BacktestResult
    code: str  # digests of other code than today's that made some of it


def entries_of(config: StudyConfig, results: Sequence[Result]) -> list[Entry]:
    """All policies of a study without groups: rules first, then agents, seeds in order."""
    parts: dict[tuple[Any, ...], list[Result]] = {}
    for one in results:
        for overlay in config.overlays:
            key = (one.trial.policy, one.trial.direction, overlay, one.trial.seed)
            parts.setdefault(key, []).append(one)
    order = [*config.rules, *config.agents]
    found = []
    for policy, direction, overlay, seed in sorted(parts, key=lambda key: order.index(key[0])):
        folds = parts[policy, direction, overlay, seed]
        name = policy + (f", {direction}" if direction else "") + OVERLAY * overlay
        chain = chained([loaded(config, fold, overlay) for fold in folds])
        chain = replace(chain, name=name if seed is None else f"{name} [{seed}]")
        found.append(Entry(name, policy, direction, overlay, seed, chain, other_code(folds)))
    return found


def loaded(config: StudyConfig, result: Result, overlay: bool = False) -> BacktestResult:
    """What a trial did with the whole market."""
    trial = result.trial
    settings = config.simulation(trial.policy, trial.direction, overlay)
    return load_result(trial.label, result.folder / result_file(None, overlay), settings)[0]


def leaderboard(config: StudyConfig, entries: Sequence[Entry]) -> pd.DataFrame:
    """Rows of all rules and agents: each seed, and per agent the interquartile mean over its seeds.

    ``versus`` is the difference in log growth a year to the baseline (the first rule unless named) in the same
    direction, with the interval of a stationary block bootstrap on the same days; over seeds, days are resampled for
    all at once. ``code`` names other code that made a row, where there is any.
    """
    baseline = config.baseline
    of_baseline = [one for one in reversed(entries) if one.policy == baseline and not one.overlay]
    reference = {one.direction: _growth(one) for one in of_baseline}
    rows = []
    for one in entries:
        row = {**one.result.row, "ruined_seeds": int(one.result.ruined), "code": one.code}
        if one.policy != baseline or one.overlay:
            row |= _versus(growth_difference(_growth(one), reference[one.direction], **_bootstrap(config)))
        rows.append(row)
    for name in dict.fromkeys(one.name for one in entries if one.seed is not None):
        seeds = [one for one in entries if one.name == name]
        if len(seeds) > 1:
            rows.append(_over_seeds(config, seeds, reference[seeds[0].direction]))
    table = pd.DataFrame(rows).set_index("policy")
    return table if any(table["code"]) else table.drop(columns="code")


def _growth(one: Entry) -> np.ndarray:
    return daily_log_growth(one.result.time, one.result.equity)


def _bootstrap(config: StudyConfig) -> dict[str, Any]:
    return {"seed": 0, **config.statistics.model_dump(exclude={"baseline"})}


def _versus(difference: Any) -> dict[str, Any]:
    return {
        "versus": difference.estimate,
        "versus_low": difference.low,
        "versus_high": difference.high,
        "versus_text": f"{difference.estimate:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]",
    }


def _over_seeds(config: StudyConfig, seeds: Sequence[Entry], reference: np.ndarray) -> dict[str, Any]:
    """Interquartile mean of every number over an agent's seeds; a ratio stays a word if any seed was ruined."""
    rows = [one.result.row for one in seeds]
    row: dict[str, Any] = {"policy": f"{seeds[0].name}, IQM of {len(rows)} seeds"}
    for column in rows[0]:
        values = [r[column] for r in rows]
        if column in ("policy", "ruined"):
            continue
        words = [v for v in values if isinstance(v, str)]
        row[column] = words[0] if words else interquartile_mean(values)
    row["ruined"] = any(one.result.ruined for one in seeds)
    row["ruined_seeds"] = sum(one.result.ruined for one in seeds)
    row["code"] = ", ".join(sorted({one.code for one in seeds if one.code}))
    stacked = np.stack([_growth(one) for one in seeds], axis=-1)[:, None, :]
    return row | _versus(pooled_growth_difference(stacked, reference[:, None], **_bootstrap(config)))
