"""The table of a study on real history, from the days that its trials left on disk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.inference import Difference, pooled_growth_difference
from gearing.evaluation.metrics import DAYS_PER_YEAR
from gearing.evaluation.scores import aggregate

if TYPE_CHECKING:
    import pandas as pd

    from gearing.studies.history import Bench, Trial
    from gearing.studies.history_config import HistoryConfig

WINDOW = 30  # days within which a liquidation is counted once
Floats = np.ndarray


@dataclass(frozen=True, eq=False)
class Days:
    """What one policy did on one contract, fold after fold, seed beside seed.

    Attributes
    ----------
    growth, twin : (n_days, n_seeds)
        Daily log growth, and that of the fixed leverage with the same mean effective leverage in each fold.
    fold_growth : (n_seeds, n_folds)
        Log growth a year of each fold.
    leverage, fees, funding, liquidations : (n_seeds,)
        Mean effective leverage; parts of equity a year; liquidations a year.
    touched : (n_seeds,)
        Share of windows of 30 days with a liquidation.
    drawdown : (n_seeds,)
        Largest drawdown of the chained folds.
    ruined : (n_seeds,)
        Folds in which the account was ruined.
    """

    growth: Floats
    twin: Floats
    fold_growth: Floats
    leverage: Floats
    fees: Floats
    funding: Floats
    liquidations: Floats
    touched: Floats
    drawdown: Floats
    ruined: Floats


def history_table(bench: Bench) -> pd.DataFrame:
    """One row per group, direction and policy; only what is complete over all folds is shown.

    ``growth`` is the mean log growth a year over contracts, folds and seeds with a calendar-block interval, ``iqm`` the
    interquartile mean of the folds' growth over seeds, folds and contracts with an interval over seeds.
    ``versus_twin`` is the difference to fixed leverage of the same mean effective leverage, fold by fold.
    """
    import pandas as pd

    rows = []
    for group, symbols in bench.config.groups.items():
        for direction in bench.config.directions:
            for example in _policies(bench, group, direction):
                row = _row(bench, example, symbols)
                if row is not None:
                    rows.append({"group": group, "direction": direction, "policy": example.label, **row})
    return pd.DataFrame(rows).set_index(["group", "direction", "policy"])


def told_line(config: HistoryConfig, table: pd.DataFrame) -> str:
    """How the agents did against fixed leverage of the same average, group by group."""
    rows = table.reset_index()
    rows = rows[rows["policy"].isin(config.agents)]
    told = [
        f"{r['policy']} on {r['group']} {r['direction']} {r['growth']:+.2f} a year, {r['versus_twin']:+.2f} "
        f"[{r['twin_low']:+.2f}, {r['twin_high']:+.2f}] against fixed leverage of the same average"
        for r in rows.to_dict("records")
    ]
    return f"{config.name}: " + ("; ".join(told) or "no agent is complete over all folds yet")


def _policies(bench: Bench, group: str, direction: str) -> Iterable[Trial]:
    """One trial of each policy, which stands for all its folds and seeds."""
    from gearing.studies.history import Trial

    for controlled in (False, True) if bench.config.controls else (False,):
        for rule in bench.config.rules:
            yield Trial(rule, direction, group, 0, None, controlled)
        for agent in bench.config.agents:
            yield Trial(agent, direction, group, 0, 0, controlled)


def _row(bench: Bench, example: Trial, symbols: list[str]) -> dict[str, Any] | None:
    seeds = _complete_seeds(bench, example, symbols)
    if not seeds:
        return None
    played = [_days(bench, example, symbol, seeds) for symbol in symbols]
    growth = np.stack([days.growth for days in played], axis=1)
    twin = np.stack([days.twin for days in played], axis=1)
    total, difference = _interval(growth), _interval(growth - twin)
    scores = np.concatenate([days.fold_growth for days in played], axis=1)
    iqm = aggregate(scores, seed=0)
    mean = {
        name: float(np.mean([getattr(days, name) for days in played]))
        for name in ("leverage", "fees", "funding", "liquidations", "touched", "drawdown")
    }
    return {
        "seeds": len(seeds) if example.seed is not None else 0,
        "growth": total.estimate, "growth_low": total.low, "growth_high": total.high,
        "iqm": iqm.estimate, "iqm_low": iqm.low, "iqm_high": iqm.high,
        "versus_twin": difference.estimate, "twin_low": difference.low, "twin_high": difference.high,
        "ruined": int(sum(days.ruined.sum() for days in played)), **mean,
    }  # fmt: skip


def _interval(values: Floats) -> Difference:
    """Mean a year of daily values (n_days, n_contracts, n_seeds), blocks of days common to all contracts resampled."""
    return pooled_growth_difference(values, np.zeros(values.shape[:2]), seed=0)


def _of(example: Trial, symbol: str, fold: int, seed: int | None) -> Trial:
    """A trial of the same policy; rules are played per contract, so their group is the contract."""
    return replace(example, group=symbol if seed is None else example.group, fold=fold, seed=seed)


def _complete_seeds(bench: Bench, example: Trial, symbols: list[str]) -> list[int | None]:
    most = 1 if example.seed is None else 1000
    found: list[int | None] = []
    for number in range(most):
        seed = None if example.seed is None else number
        files = [_of(example, s, f.number, seed).file(bench, s) for s in symbols for f in bench.folds]
        if not all(file.exists() for file in files):
            break
        found.append(seed)
    return found


def _days(bench: Bench, example: Trial, symbol: str, seeds: list[int | None]) -> Days:
    columns: dict[str, list[Any]] = {name: [] for name in Days.__dataclass_fields__}
    for seed in seeds:
        kept = [
            dict(np.load(_of(example, symbol, fold.number, seed).file(bench, symbol))) for fold in bench.folds
        ]
        years = [fold["growth"].size / DAYS_PER_YEAR for fold in kept]
        growth = np.concatenate([fold["growth"] for fold in kept])
        columns["growth"].append(growth)
        columns["twin"].append(
            np.concatenate(
                [
                    twin_growth(
                        *bench.twins(symbol, example.direction, fold.number), float(one["leverage"].mean())
                    )
                    for fold, one in zip(bench.folds, kept, strict=True)
                ]
            )
        )
        columns["fold_growth"].append([fold["growth"].sum() / y for fold, y in zip(kept, years, strict=True)])
        columns["leverage"].append(np.mean([fold["leverage"].mean() for fold in kept]))
        for name in ("fees", "funding", "liquidations"):
            columns[name].append(sum(fold[name].sum() for fold in kept) / sum(years))
        columns["touched"].append(np.mean([share_of_windows(fold) for fold in kept]))
        columns["drawdown"].append(largest_drawdown(growth))
        columns["ruined"].append(sum(bool(fold["ruined"]) for fold in kept))
    arrays = {name: np.array(values) for name, values in columns.items()}
    return Days(**{**arrays, "growth": arrays["growth"].T, "twin": arrays["twin"].T})


def twin_growth(leverage: Floats, growth: Floats, wanted: float) -> Floats:
    """Daily growth of the fixed leverage with a mean effective leverage, between the two that were played.

    Parameters
    ----------
    leverage : (n,) mean effective leverage of fixed leverages, ascending but where accounts were ruined
    growth : (n, n_days)
    """
    rising = np.maximum.accumulate(leverage)
    k = int(np.clip(np.searchsorted(rising, wanted), 1, rising.size - 1))
    share = np.clip((wanted - rising[k - 1]) / max(rising[k] - rising[k - 1], 1e-12), 0.0, 1.0)
    return (1.0 - share) * growth[k - 1] + share * growth[k]


def share_of_windows(fold: dict[str, Floats]) -> float:
    """Share of the windows of 30 days, one from every day, in which a liquidation happened."""
    day = fold["time"].astype("datetime64[D]")
    hit = np.zeros(int((day[-1] - day[0]).astype(int)) + 1)
    np.add.at(hit, (day - day[0]).astype(int), fold["liquidations"])
    window = min(WINDOW, hit.size)
    return float(np.mean(np.convolve(hit, np.ones(window), mode="valid") > 0.0))


def largest_drawdown(growth: Floats) -> float:
    """Largest loss from a peak of a path of daily log growth."""
    path = np.concatenate([[0.0], np.cumsum(growth)])
    return float(1.0 - np.exp((path - np.maximum.accumulate(path)).min()))
