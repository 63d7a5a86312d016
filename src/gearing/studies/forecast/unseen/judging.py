"""Scores on contracts that no model was fitted on: ratios of QLIKE with intervals, coverage, years."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gearing.evaluation.statistics.bootstrap import resamples
from gearing.forecasters.scoring.intervals import Intervals, coverage
from gearing.forecasters.scoring.scores import qlike
from gearing.market import MarketData
from gearing.studies.experiment import Findings
from gearing.studies.fields import as_time
from gearing.studies.forecast.report import plain_numbers
from gearing.studies.forecast.unseen.config import Resampling, UnseenConfig
from gearing.studies.forecast.unseen.names import ENDS, EWMA, HAR, HOME, PANEL, POOLED, RIDGES, WEIGHTED
from gearing.studies.recording.metrics import of_policies

Tables = Mapping[str, pd.DataFrame]  # forecasts by contract
_PRINTED = (
    "qlike",
    "ratio_to_har",
    "ratio_to_har_low",
    "ratio_to_har_high",
    "ratio_to_har_without_worst_day",
)
_PRINTED_RIDGE = ("ratio_to_ridge", "ratio_to_ridge_low", "ratio_to_ridge_high", "coverage", "n_days")


def judge(config: UnseenConfig, markets: Mapping[str, MarketData], forecasts: Tables) -> Findings:
    """Score every model on every contract, on days that all models have, and on all contracts together.

    Raises
    ------
    ValueError
        If no contract has a day to score.
    """
    scored = {symbol: _since(table, config.score_from) for symbol, table in forecasts.items()}
    losses = {symbol: _losses(table) for symbol, table in scored.items()}
    losses = {symbol: loss for symbol, loss in losses.items() if len(loss)}
    young = _young(scored)
    if not losses and young.empty:
        since = f" since {config.score_from}" if config.score_from else ""
        raise ValueError(
            f"no forecast to score{since}: what followed is known of none. Load more, begin to score earlier, or give "
            f"pool_schedule a shorter train than {config.pool_schedule.train}."
        )
    scores, years = _scores(config, scored, losses), _years(losses)
    line = _line(config, scores, young)
    tables = {"scores": scores, "years": years, "young": young, "forecasts": _stacked(scored)}
    shown = scores[[c for c in (*_PRINTED, *_PRINTED_RIDGE) if c in scores]] if len(scores) else scores
    rows: dict[Any, dict[str, Any]] = scores.to_dict("index")
    metrics = of_policies(
        {f"{contract}/{model}": row for (contract, model), row in rows.items()}, f"{POOLED}/{PANEL}"
    )
    can, cannot = _conclusions(scores)
    return Findings(
        line, {name: table for name, table in tables.items() if len(table)}, {}, metrics, dict(markets),
        printed={"scores": shown} if len(scores) else {"young": young},
        json=_json(config, markets, scores, years, young), main=PANEL, conclusions=can, limits=cannot,
    )  # fmt: skip


def _since(table: pd.DataFrame, moment: str | None) -> pd.DataFrame:
    return table if moment is None else table[table.index.to_numpy() >= as_time(moment)]


def _models(table: pd.DataFrame) -> list[str]:
    return [name for name in table if name != "realised" and not str(name).endswith(ENDS)]


def _losses(table: pd.DataFrame) -> pd.DataFrame:
    """QLIKE by day and model on the days that all models have; none where the references have no forecast."""
    models = _models(table)
    if HAR[0] not in models:
        return pd.DataFrame()
    whole = table[["realised", *models]].dropna()
    whole = whole[whole["realised"] > 0.0]
    y = whole["realised"].to_numpy()
    return pd.DataFrame({name: qlike(y, whole[name].to_numpy()) for name in models}, index=whole.index)


def _scores(config: UnseenConfig, tables: Tables, losses: Tables) -> pd.DataFrame:
    if not losses:
        return pd.DataFrame()
    covers = {
        symbol: {name: _coverage(config, tables[symbol], name) for name in (PANEL, HOME)} for symbol in losses
    }
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for symbol, loss in {**losses, **_pooled(losses)}.items():
        whole = symbol == POOLED
        for model in loss.columns.drop("n", errors="ignore"):
            cover = (
                _pooled_coverage(config, {s: tables[s] for s in losses}, model)
                if whole
                else covers[symbol].get(model)
            )
            rows[symbol, model] = {**_ratios(loss, model, config.resampling), **(cover or {})}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["contract", "model"])


def _pooled(losses: Tables) -> dict[str, pd.DataFrame]:
    """Sums of QLIKE over contracts by day, for the models that all contracts have; column ``n`` counts contracts."""
    models = set.intersection(*(set(loss.columns) for loss in losses.values()))
    common = [name for name in next(iter(losses.values())) if name in models]
    stacked = pd.concat([loss[common].assign(n=1.0) for loss in losses.values()])
    return {POOLED: stacked.groupby(level=0).sum()}


def _ratios(loss: pd.DataFrame, model: str, resampling: Resampling) -> dict[str, float]:
    """Mean QLIKE, and its ratios to the best form of HAR and of Ridge, with intervals and without the worst day."""
    count = loss["n"].to_numpy() if "n" in loss else np.ones(len(loss))
    own = loss[model].to_numpy()
    row = {
        "qlike": float(own.sum() / count.sum()),
        "n_days": float(len(loss)),
        "n_forecasts": float(count.sum()),
    }
    for label, forms in (
        ("har", HAR),
        ("ridge", RIDGES),
        ("ridge_own", ("ridge_own", "ridge_own_rescaled")),
        ("ewma", (EWMA,)),
        ("har_dow", ("har_dow", "har_dow_rescaled")),
    ):
        known = [name for name in forms if name in loss]
        if not known:
            continue
        best = min(known, key=lambda name: float(loss[name].sum()))
        low, high = _interval(own, loss[best].to_numpy(), resampling)
        calm = np.arange(len(own)) != np.argmax(np.maximum(own, loss[best].to_numpy()))
        other = loss[best].to_numpy()
        row |= {
            f"ratio_to_{label}": float(own.sum() / other.sum()),
            f"ratio_to_{label}_low": low,
            f"ratio_to_{label}_high": high,
            f"ratio_to_{label}_without_worst_day": float(own[calm].sum() / other[calm].sum()),
        }
    return row


def _interval(own: NDArray[np.float64], other: NDArray[np.float64], given: Resampling) -> tuple[float, float]:
    """Interval of the ratio of sums over days resampled in blocks; NaN with too few days for two blocks."""
    if len(own) < 2.0 * given.mean_block:
        return math.nan, math.nan
    pieces = resamples(len(own), given.mean_block, given.replications, given.seed)
    draws = np.concatenate([own[rows].sum(axis=1) / other[rows].sum(axis=1) for rows in pieces])
    tail = (1.0 - given.level) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail])
    return float(low), float(high)


def _coverage(config: UnseenConfig, table: pd.DataFrame, model: str) -> dict[str, float]:
    """How often intervals of a model held; nothing where not every tercile has one."""
    known = table[["realised", *(f"{model}{end}" for end in ENDS)]].dropna()
    known = known[known["realised"] > 0.0]
    if known[f"{model}_tercile"].nunique() < 3:
        return {}
    y, lower, upper, group = (known[name].to_numpy() for name in known)
    found = coverage(y, Intervals(config.intervals.level, lower, upper, group.astype(np.int64)))
    thirds = zip(("coverage_low", "coverage_middle", "coverage_high"), found.by_tercile, strict=True)
    return {"coverage": found.inside, "below": found.below, "above": found.above, **dict(thirds)}


def _pooled_coverage(config: UnseenConfig, tables: Tables, model: str) -> dict[str, float]:
    if model not in (PANEL, HOME):
        return {}
    return _coverage(config, pd.concat(tables.values()), model)


def _years(losses: Tables) -> pd.DataFrame:
    """Ratio of each year's QLIKE to that of the better form of HAR in that year."""
    if not losses:
        return pd.DataFrame()
    found = {}
    for symbol, loss in {**losses, **_pooled(losses)}.items():
        yearly = loss.groupby(pd.DatetimeIndex(loss.index).year).sum()
        best = yearly[[name for name in HAR if name in yearly]].min(axis=1)
        found[symbol] = yearly.drop(columns="n", errors="ignore").div(best, axis=0).T
    return pd.concat(found, names=["contract", "model"])


def _young(tables: Tables) -> pd.DataFrame:
    """The panel against the plain EWMA on days before any opponent has a forecast of the contract."""
    rows = {}
    for symbol, table in tables.items():
        others = [name for name in _models(table) if name not in (PANEL, HOME, WEIGHTED, EWMA)]
        before = table[table[others].isna().any(axis=1)] if others else table
        before = before[(before["realised"] > 0.0)]
        if before.empty:
            continue
        y = before["realised"].to_numpy()
        panel, plain = (float(qlike(y, before[name].to_numpy()).mean()) for name in (PANEL, EWMA))
        rows[symbol] = {"n_days": len(before), "qlike": panel, "ratio_to_ewma": panel / plain}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("contract")


def _stacked(tables: Tables) -> pd.DataFrame:
    return pd.concat(tables, names=["contract", "known_at"])


def _line(config: UnseenConfig, scores: pd.DataFrame, young: pd.DataFrame) -> str:
    if scores.empty:
        mean = np.average(young["ratio_to_ewma"], weights=young["n_days"])
        return f"{config.name}: no contract has a year of history; panel has {mean:.3f} of the plain EWMA's QLIKE"
    row: Any = scores.loc[(POOLED, PANEL)]
    n = scores.index.get_level_values(0).nunique() - 1
    ridge = (
        f" and {_ratio(row, 'ridge')} of their own Ridge's"
        if math.isfinite(row.get("ratio_to_ridge", math.nan))
        else ""
    )
    cover = row.get("coverage", math.nan)
    inside = f"; intervals cover {cover:.1%}" if math.isfinite(cover) else ""
    return (
        f"{config.name}: on {n} {'contract' if n == 1 else 'contracts'} that it was not fitted on, panel has "
        f"{_ratio(row, 'har')} of the QLIKE of their own HAR in its best form{ridge}{inside}; "
        f"{int(row['n_forecasts'])} forecasts"
    )


def _ratio(row: Any, label: str) -> str:
    """A ratio with its interval, where there are days enough for one."""
    value, low, high = (row[f"ratio_to_{label}{end}"] for end in ("", "_low", "_high"))
    return (
        f"{value:.3f} [{low:.3f}, {high:.3f}]"
        if math.isfinite(low)
        else f"{value:.3f} (too few days for an interval)"
    )


def _conclusions(scores: pd.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What can be concluded of the panel, and what cannot."""
    if scores.empty:
        return (), ("No contract has a year of history, so only the plain EWMA is an opponent.",)
    row: Any = scores.loc[(POOLED, PANEL)]
    can, cannot = [], []
    for label, name in (
        ("har", "HAR in its best form"),
        ("ridge", "the best Ridge fitted on the contract's own past"),
    ):
        high, low = row.get(f"ratio_to_{label}_high", math.nan), row.get(f"ratio_to_{label}_low", math.nan)
        if high < 1.0 or low > 1.0:
            can.append(
                f"On contracts it never saw, panel loses {'less' if high < 1.0 else 'more'} QLIKE than {name}."
            )
        elif math.isfinite(high):
            cannot.append(f"Whether panel forecasts unseen contracts better than {name} is open.")
    cannot.append(
        "Contracts move together: intervals resample days that are common to all. Settings are not chosen in this run."
    )
    return tuple(can), tuple(cannot)


def _json(
    config: UnseenConfig,
    markets: Mapping[str, MarketData],
    scores: pd.DataFrame,
    years: pd.DataFrame,
    young: pd.DataFrame,
) -> dict[str, Any]:
    """What ``--json`` writes, as `gearing forecast` does: ``models`` are pooled, ``contracts`` one by one."""
    contracts = [] if scores.empty else list(dict.fromkeys(scores.index.get_level_values(0)))

    def models(contract: str) -> dict[str, Any]:
        return {str(m): plain_numbers(row.to_dict()) for m, row in scores.loc[contract].iterrows()}

    return {
        "experiment": config.name,
        "question": config.question,
        "chosen": PANEL,
        "score_from": config.score_from,
        "models": models(POOLED) if contracts else {},
        "contracts": {c: models(c) for c in contracts if c != POOLED},
        "by_year": {c: plain_numbers(years.loc[c].to_dict()) for c in contracts},
        "young": {str(c): plain_numbers(row.to_dict()) for c, row in young.iterrows()},
        "scored": config.market.scored,
        "pool": config.market.training,
        "data": {symbol: [market.fingerprint, *market.notes] for symbol, market in markets.items()},
        "config": config.model_dump(mode="json"),
    }
