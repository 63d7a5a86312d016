"""Tables of an experiment on promises, from what each rule stated and what followed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gearing.evaluation.risk.promises import Realised, block_of, pinball, realised
from gearing.evaluation.statistics.bootstrap import block_mean
from gearing.forecasters.excursion_law.law import is_rare
from gearing.forecasters.excursion_law.scale import days_of
from gearing.forecasters.excursion_law.starts import SIDES
from gearing.forecasters.scoring.event_scores import brier, log_score
from gearing.policies.rules.excursion_budget import leverage_of_size
from gearing.studies.promises.config import EVENTS, MAIN, PromisesConfig
from gearing.studies.promises.distances import distance_column, log_sizes, touch_column

Array = NDArray[np.float64]
POOLED = "pooled"
HALF = 0.5
SIDE_NAMES = {1: "long", -1: "short"}
Wide = Mapping[str, Array]  # column to (n_contracts, n_days)


def promise_table(
    config: PromisesConfig, rule: str, stated: pd.DataFrame, maintenance: Mapping[str, float]
) -> pd.DataFrame:
    """One row per contract (and pooled), event, side, horizon and budget of a rule.

    Parameters
    ----------
    stated : DataFrame
        Of `gearing.studies.promises.distances.stated`.
    maintenance : mapping of symbol to float
        Maintenance margin rate of each contract's first tier.
    """
    rows: list[dict[str, Any]] = []
    for horizon, side, wide, names in groups(stated):
        for budget in config.budgets:
            refused = refusal(horizon, side, budget) if rule == MAIN else None
            for contract, part in _with_pooled(wide, names):
                found = _realised(config, part, horizon, budget)
                rates = np.array([maintenance[n] for n in (names if contract == POOLED else [contract])])
                for event in EVENTS:
                    key = {"contract": contract, "rule": rule, "event": event, "side": SIDE_NAMES[side],
                           "horizon": horizon, "budget": budget}  # fmt: skip
                    mean = None if refused else mean_leverage(part, rates, event, side, budget)
                    rows.append(key | _numbers(found, mean, refused))
    return pd.DataFrame(rows)


def groups(stated: pd.DataFrame) -> Iterator[tuple[str, int, dict[str, Array], list[str]]]:
    """Horizon, side, every column as an array (n_contracts, n_days), and the contracts."""
    for (horizon, side), part in stated.groupby(["horizon", "side"], sort=False):
        names = list(dict.fromkeys(part.contract))
        values = [c for c in part.columns if c not in ("contract", "horizon", "side", "day")]
        table = part.pivot(index="day", columns="contract", values=values)
        wide = {c: table[c][names].to_numpy(np.float64).T for c in values}
        wide["year"] = np.broadcast_to(
            pd.DatetimeIndex(table.index).year.to_numpy(np.float64), wide["excursion"].shape
        )
        yield str(horizon), int(side), wide, names


def _with_pooled(wide: Wide, names: list[str]) -> Iterator[tuple[str, dict[str, Array]]]:
    for k, name in enumerate(names):
        yield name, {column: values[k : k + 1] for column, values in wide.items()}
    yield POOLED, dict(wide)


def hits_of(wide: Wide, budget: float) -> Array:
    """1 where the excursion reached the distance, 0 where it did not, NaN without a start."""
    known = np.isfinite(wide["excursion"]) & np.isfinite(wide[distance_column(budget)])
    return np.where(known, wide["excursion"] >= wide[distance_column(budget)], np.nan)


def _realised(config: PromisesConfig, wide: Wide, horizon: str, budget: float) -> Realised:
    hits = hits_of(wide, budget)
    return realised(hits, days_of(horizon), seed=config.seed, replications=config.replications)


def mean_leverage(wide: Wide, maintenance: Array, event: str, side: int, budget: float) -> float:
    """Mean leverage whose event lies at the distances, without the caps of the margin tiers."""
    distance = wide[distance_column(budget)]
    size = -np.expm1(-distance) if side > 0 else np.expm1(np.minimum(distance, 50.0))
    name = "liquidation" if event == EVENTS[0] else "drawdown"
    found = leverage_of_size(size, side, name, HALF, maintenance[:, None])
    return float(found[np.isfinite(distance)].mean()) if np.isfinite(distance).any() else np.nan


def _numbers(found: Realised, leverage: float | None, refused: str | None) -> dict[str, Any]:
    values = {
        "realised": found.frequency, "low": found.low, "high": found.high, "n": found.n,
        "independent": found.independent, "mean_leverage": leverage, "refused": refused,
    }  # fmt: skip
    if refused is not None:
        values |= dict.fromkeys(("realised", "low", "high"), None)
    return values


def refusal(horizon: str, side: int, budget: float) -> str | None:
    """Why the law makes no promise; None where it does."""
    if side < 0 and is_rare(horizon, budget):
        return (
            f"a budget of {budget:.3g} over {horizon} allows one rise of the whole market in "
            f"{days_of(horizon) / (365.0 * budget):.0f} years; history is too short to know its size"
        )
    return None


def year_table(config: PromisesConfig, rule: str, stated: pd.DataFrame) -> pd.DataFrame:
    """Realised over promised of all contracts together, year by year."""
    rows = []
    for horizon, side, wide, _ in groups(stated):
        for budget in config.budgets:
            hits = hits_of(wide, budget)
            for year in np.unique(wide["year"]):
                mine = hits[(wide["year"] == year) & np.isfinite(hits)]
                if mine.size:
                    key = {"rule": rule, "horizon": horizon, "side": SIDE_NAMES[side], "budget": budget}
                    rows.append({**key, "year": int(year), "ratio": mine.mean() / budget, "n": mine.size})
    return pd.DataFrame(rows)


def sharpness_table(
    config: PromisesConfig, rule: str, stated: pd.DataFrame, main: pd.DataFrame
) -> pd.DataFrame:
    """Pinball loss and mean leverage of the law over those of an opponent, on the starts that both have."""
    rows = []
    for horizon, side, ours, theirs in _paired(main, stated):
        for budget in config.budgets:
            losses = [pinball(w["excursion"], w[distance_column(budget)], budget) for w in (ours, theirs)]
            key = {"rule": rule, "horizon": horizon, "side": SIDE_NAMES[side], "budget": budget}
            leverage = [mean_leverage(w, np.array([0.005]), EVENTS[0], side, budget) for w in (ours, theirs)]
            rows.append({**key, **_ratio(config, losses, horizon), "leverage": leverage[0] / leverage[1]})
    return pd.DataFrame(rows)


def score_table(config: PromisesConfig, rule: str, stated: pd.DataFrame, main: pd.DataFrame) -> pd.DataFrame:
    """Brier and log scores of touch probabilities of the law over those of an opponent, same starts."""
    rows = []
    for horizon, side, ours, theirs in _paired(main, stated):
        for k, size in enumerate(config.sizes_of(horizon)):
            x = float(log_sizes(size)[0, 0 if side > 0 else 1, 0])
            y = np.where(np.isfinite(ours["excursion"]), ours["excursion"] >= x, np.nan)
            p = [w[touch_column(k)] for w in (ours, theirs)]
            key = {"rule": rule, "horizon": horizon, "side": SIDE_NAMES[side], "size": size}
            for name, score in (("brier", brier), ("log", log_score)):
                found = _ratio(config, [score(y, one) for one in p], horizon)
                rows.append({**key, "score": name, "touched": float(np.nanmean(y)), **found})
    return pd.DataFrame(rows)


def _paired(main: pd.DataFrame, other: pd.DataFrame) -> Iterator[tuple[str, int, Wide, Wide]]:
    """Both rules' arrays on the starts that both have."""
    keys = ["contract", "horizon", "side", "day"]
    both = main[keys].merge(other[keys], on=keys)
    if both.empty:
        return
    pairs = (groups(both.merge(one, on=keys)) for one in (main, other))
    for (horizon, side, ours, _), (_, _, theirs, _) in zip(*pairs, strict=True):
        yield horizon, side, ours, theirs


def _ratio(config: PromisesConfig, losses: list[Array], horizon: str) -> dict[str, float]:
    """Ratio of two mean losses with its interval: the days of both are resampled together."""
    known = np.isfinite(losses[0]) & np.isfinite(losses[1])
    sums = [np.where(known, loss, 0.0).sum(axis=0) for loss in losses]
    days = known.any(axis=0)
    if days.sum() < 2:
        return {"ratio": np.nan, "low": np.nan, "high": np.nan}
    found = block_mean(
        sums[0][days], block_of(days_of(horizon)), weights=sums[1][days], seed=config.seed,
        replications=config.replications,
    )  # fmt: skip
    return dict(zip(("ratio", "low", "high"), found, strict=True))


def summary_table(promises: pd.DataFrame, years: pd.DataFrame) -> pd.DataFrame:
    """Per rule and horizon: pooled ratios, cells broken and timid, and year-cells above 1.5 times the budget."""
    rows = []
    made = promises[(promises.event == EVENTS[0]) & promises.refused.isna()]
    for (rule, horizon), part in made.groupby(["rule", "horizon"], sort=False):
        pooled, cells = part[part.contract == POOLED], part[part.contract != POOLED]
        cells = cells[cells.n > 0]
        ratio = pooled.realised / pooled.budget
        mine = years[(years.rule == rule) & (years.horizon == horizon)]
        rows.append({
            "rule": rule, "horizon": horizon,
            **{f"{b:.0%}": ratio[pooled.budget == b].mean() for b in sorted(pooled.budget.unique())},
            "cells": len(cells), "broken": int((cells.low > cells.budget).sum()),
            "timid": int((cells.high < cells.budget).sum()), "by_chance": 0.025 * len(cells),
            "year_cells": len(mine), "above": int((mine.ratio > 1.5).sum()),
        })  # fmt: skip
    return pd.DataFrame(rows).set_index(["rule", "horizon"])


def sides_of(promises: pd.DataFrame) -> list[str]:
    """Sides in their order."""
    return [SIDE_NAMES[side] for side in SIDES if SIDE_NAMES[side] in set(promises.side)]
