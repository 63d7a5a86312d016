"""The table of a study: every policy and seed on the same test bars, with intervals against a baseline."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.metrics import RUINED
from gearing.evaluation.result import BacktestResult
from gearing.evaluation.statistics.inference import growth_difference, pooled_growth_difference
from gearing.evaluation.statistics.scores import interquartile_mean, mean_name
from gearing.evaluation.statistics.selection import deflated_sharpe
from gearing.market.timing import DAY
from gearing.studies.study.config import StudyConfig
from gearing.studies.study.trials import CHOSEN_AT, OVERLAY, load_result, result_file
from gearing.studies.trials import Result, other_code

MONEY = [
    "equity_before", "equity", "price_pnl", "fees", "funding", "liquidation", "turnover", "lowest", "highest"
]  # fmt: skip


_JOINED = ("target", "leverage", "mark", "distance", "acted", "flat_at", "days", "daily_leverage")


def chained(results: list[BacktestResult]) -> BacktestResult:
    """The results of one policy's folds as one account that goes on from fold to fold.

    Every fold began with the initial equity; here its money is scaled to what the folds before left.
    """
    if len(results) == 1:
        return results[0]
    equity, daily, steps, scale = [results[0].equity[:1]], [], [], 1.0
    for result in results:
        scaled = result.steps.copy()
        for name in MONEY:
            scaled[name] *= scale
        steps.append(scaled)
        equity.append(result.equity[1:] * scale)
        daily.append(None if result.daily_equity is None else result.daily_equity * scale)
        scale *= max(result.equity[-1] / result.equity[0], 1e-12)
    joined: Any = {name: _joined([getattr(r, name) for r in results]) for name in _JOINED}
    return replace(
        results[0],
        time=np.concatenate([results[0].time[:1], *(r.time[1:] for r in results)]),
        equity=np.concatenate(equity),
        steps=np.concatenate(steps).view(np.recarray),
        ledgers=np.concatenate([r.ledgers for r in results]).view(np.recarray),
        ruined=any(r.ruined for r in results),
        daily_equity=_joined(daily),
        **joined,
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
    trained: tuple[int, ...]  # of an agent: decisions trained on until the chosen weights, fold by fold


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
        trained = tuple(one.summary[CHOSEN_AT] for one in folds) if seed is not None else ()
        found.append(Entry(name, policy, direction, overlay, seed, chain, other_code(folds), trained))
    return found


def loaded(config: StudyConfig, result: Result, overlay: bool = False) -> BacktestResult:
    """What a trial did with the whole market."""
    trial = result.trial
    settings = config.simulation(trial.policy, trial.direction, overlay)
    return load_result(trial.label, result.folder / result_file(None, overlay), settings)[0]


def leaderboard(config: StudyConfig, entries: Sequence[Entry]) -> pd.DataFrame:
    """Rows of all rules and agents: each seed, and per agent the mean over its seeds, interquartile from four on.

    ``versus`` is the difference in log growth a year to the baseline (the first rule unless named) in the same
    direction, with the interval of a stationary block bootstrap on the days that both decided on; over seeds, days are
    resampled for all at once. It is "ruined" where an account was, and missing where the baseline failed.
    ``trained_decisions`` is the mean number of decisions trained on until the chosen weights, ``untrained`` the share
    of trainings that chose those before any.
    ``deflated_sharpe``, of an agent whose settings a search chose, is the probability that its Sharpe ratio exceeds
    what the best of all settings tried would show by chance; of several seeds, their mean.
    ``code`` names other code that made a row, where there is any.
    """
    baseline = config.baseline
    of_baseline = [one for one in reversed(entries) if one.policy == baseline and not one.overlay]
    reference = {one.direction: one for one in of_baseline}
    rows = []
    for one in entries:
        row = {**one.result.row, "ruined_seeds": int(one.result.ruined), "code": one.code}
        row |= trained_columns(config, [one]) | _deflated(config, [one])
        if one.policy != baseline or one.overlay:
            row |= _versus(config, [one], reference.get(one.direction))
        rows.append(row)
    for name in dict.fromkeys(one.name for one in entries if one.seed is not None):
        seeds = [one for one in entries if one.name == name]
        if len(seeds) > 1:
            rows.append(_over_seeds(config, seeds, reference.get(seeds[0].direction)))
    table = pd.DataFrame(rows).set_index("policy")
    return table if any(table["code"]) else table.drop(columns="code")


def policy_rows(board: pd.DataFrame, entries: Sequence[Entry]) -> dict[str, dict[str, Any]]:
    """The row of every policy in a leaderboard: of an agent, that over its seeds, or of its only seed."""
    seeds: dict[str, list[int]] = {}
    for one in entries:
        seeds.setdefault(one.name, []).extend([] if one.seed is None else [one.seed])
    names = {
        name: name if not own else f"{name} [{own[0]}]" if len(own) == 1 else over_seeds(name, len(own))
        for name, own in seeds.items()
    }
    return {name: board.loc[row].to_dict() for name, row in names.items()}


def over_seeds(name: str, count: int) -> str:
    """Name of an agent's row over several seeds."""
    return f"{name}, {mean_name(count)} of {count} seeds"


def trained_columns(config: StudyConfig, seeds: Sequence[Entry]) -> dict[str, Any]:
    """Decisions until the chosen weights, the share of untrained choices, and both in words; nothing for a rule."""
    chosen = [decisions for one in seeds for decisions in one.trained]
    if not chosen:
        return {}
    untrained = sum(decisions == 0 for decisions in chosen)
    word = "untrained" if config.agents[seeds[0].policy].pretrain is None else "only pretrained"
    if untrained == len(chosen):
        text = word
    elif untrained:
        text = f"{untrained} of {len(chosen)} {word}"
    else:
        text = f"{np.mean(chosen):,.0f}"
    return {
        "trained_decisions": float(np.mean(chosen)),
        "untrained": untrained / len(chosen),
        "trained_text": text,
    }


def _deflated(config: StudyConfig, seeds: Sequence[Entry]) -> dict[str, float]:
    """The deflated Sharpe ratio of an agent that a search chose, mean over its seeds; nothing of other policies."""
    found = config.searched
    if found is None or seeds[0].policy != found.agent or any(one.result.ruined for one in seeds):
        return {}
    returns = [np.expm1(one.result.daily_log_growth) for one in seeds]
    values = [deflated_sharpe(one, found.sharpes, found.trials) for one in returns]
    return {"deflated_sharpe": interquartile_mean(values)}


def _bootstrap(config: StudyConfig) -> dict[str, Any]:
    return {"seed": 0, **config.statistics.model_dump(exclude={"baseline"})}


def _versus(config: StudyConfig, seeds: Sequence[Entry], baseline: Entry | None) -> dict[str, Any]:
    """Growth less the baseline's, over one or several seeds; a word where one of them, or the baseline, was ruined."""
    if baseline is None:
        return {}
    names = ("versus", "versus_low", "versus_high", "versus_text")
    if any(one.result.ruined for one in (*seeds, baseline)):
        return dict.fromkeys(names, RUINED)
    _, growth = on_common_days([*seeds, baseline])
    resampling = _bootstrap(config)
    if len(seeds) == 1:
        found = growth_difference(*growth, **resampling)
    else:
        found = pooled_growth_difference(growth[:-1].T[:, None, :], growth[-1][:, None], **resampling)
    text = f"{found.estimate:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
    return dict(zip(names, (found.estimate, found.low, found.high, text), strict=True))


def on_common_days(entries: Sequence[Entry]) -> tuple[np.ndarray, np.ndarray]:
    """The days that all have (n_days,), and daily log growth on them (n_entries, n_days).

    Days begin where an account first decides: a weekly clock begins on a Monday.
    """
    days = [one.result.time[0] + np.arange(one.result.daily_log_growth.size) * DAY for one in entries]
    common = reduce(np.intersect1d, days)
    if not common.size:
        names = ", ".join(dict.fromkeys(one.name for one in entries))
        raise ValueError(
            f"{names} decide on no common day; give them the same decision interval, or longer folds."
        )
    growth = [
        one.result.daily_log_growth[np.isin(own, common)] for one, own in zip(entries, days, strict=True)
    ]
    return common, np.stack(growth)


def _over_seeds(config: StudyConfig, seeds: Sequence[Entry], baseline: Entry | None) -> dict[str, Any]:
    """Mean of every number over an agent's seeds, interquartile from four on; a word if any seed's is one."""
    rows = [one.result.row for one in seeds]
    row: dict[str, Any] = {"policy": over_seeds(seeds[0].name, len(rows))}
    for column in rows[0]:
        values = [r[column] for r in rows]
        if column in ("policy", "ruined"):
            continue
        words = [v for v in values if isinstance(v, str)]
        row[column] = words[0] if words else interquartile_mean(values)
    row["ruined"] = any(one.result.ruined for one in seeds)
    row["ruined_seeds"] = sum(one.result.ruined for one in seeds)
    row["code"] = ", ".join(sorted({one.code for one in seeds if one.code}))
    known = trained_columns(config, seeds) | _deflated(config, seeds)
    return row | known | _versus(config, seeds, baseline)
