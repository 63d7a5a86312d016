"""Scores of an experiment's forecasts: one table, the years one by one, and the choice."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gearing.forecasters.scoring.intervals import conformal_intervals, coverage
from gearing.forecasters.scoring.model_set import model_confidence_set
from gearing.forecasters.scoring.scores import (
    diebold_mariano,
    expanding_mean,
    mincer_zarnowitz,
    out_of_sample_r2,
    qlike,
    rmse_log_volatility,
)
from gearing.forecasters.walk_forward import Forecast
from gearing.market import MarketData
from gearing.market.timing import parse_duration
from gearing.studies.fields import as_time
from gearing.studies.forecast.config import ForecastConfig
from gearing.studies.forecast.report import ForecastReport

Aligned = Mapping[str, Mapping[str, Forecast]]  # symbol to model to forecast
RIDGE, WEEKDAY = "ridge", "har_dow"
ALL = "all"


def judge(
    config: ForecastConfig, markets: Mapping[str, MarketData], made: Aligned, excursions: pd.DataFrame | None
) -> ForecastReport:
    """Score every model on every contract and on all of them, and choose by the years before the cut."""
    losses = _losses(made)
    covers = {s: {m: _coverage(f, config) for m, f in models.items()} for s, models in made.items()}
    extra = {s: {m: _own_scores(f) | covers[s][m] for m, f in models.items()} for s, models in made.items()}
    extra[ALL] = {m: _mean([covers[s][m] for s in made]) for m in next(iter(made.values()))}
    tables = {symbol: _table(loss, extra[symbol], config) for symbol, loss in losses.items()}
    years = {symbol: _by_year(loss, config.reference) for symbol, loss in losses.items()}
    judged = ALL if ALL in losses else next(iter(losses))
    before = tables[judged]["qlike_before"]
    if before.isna().all():
        raise ValueError(
            f"no forecast of {judged} ends before choose_before {config.choose_before} (the first is made at "
            f"{losses[judged].index.min()}), so nothing can choose; move the date or load earlier history."
        )
    table, by_year = (pd.concat(parts, names=["contract", "model"]) for parts in (tables, years))
    return ForecastReport(config, table, by_year, excursions, str(before.idxmin()), judged, made, markets)


def _losses(made: Aligned) -> dict[str, pd.DataFrame]:
    """QLIKE by moment and model, for each contract and, with several, their mean on common moments."""
    found = {}
    for symbol, models in made.items():
        rows = next(iter(models.values())).rows
        known = rows.trainable
        columns = {m: qlike(rows.y[known], f.value[known]) for m, f in models.items()}
        found[symbol] = pd.DataFrame(columns, index=pd.DatetimeIndex(rows.known_at[known], name="known_at"))
    if len(found) > 1:
        stacked = pd.concat(found, axis=0, join="inner").groupby(level=1)
        whole = stacked.size() == len(found)
        found[ALL] = stacked.mean()[whole]
    return found


def _table(loss: pd.DataFrame, extra: Mapping[str, dict[str, Any]], config: ForecastConfig) -> pd.DataFrame:
    ends_at = loss.index.to_numpy() + parse_duration(config.horizon)
    in_time = np.asarray(ends_at <= as_time(config.choose_before))
    before, after = loss[in_time].mean(), loss[~in_time].mean()
    arrays = {str(m): loss[m].to_numpy() for m in loss}
    mcs = model_confidence_set(arrays, **config.confidence_set.model_dump(), seed=config.seed)
    others = {"dm": config.reference, "dm_dow": WEEKDAY, "dm_ridge": RIDGE}
    tested = {label: other for label, other in others.items() if other in loss}
    rows: dict[str, dict[str, Any]] = {}
    for model, own in arrays.items():
        tests = {
            label: diebold_mariano(own, arrays[o], overlap=config.overlap) for label, o in tested.items()
        }
        rows[model] = {
            "qlike": loss[model].mean(),
            f"ratio_to_{config.reference}": loss[model].mean() / loss[config.reference].mean(),
            "ratio_to_ridge": loss[model].mean() / loss[RIDGE].mean() if RIDGE in loss else np.nan,
            **{
                f"{label}_{part}": getattr(test, part) for label, test in tests.items() for part in ("t", "p")
            },
            "mcs_p": mcs[model],
            "qlike_before": before[model],
            "ratio_before": before[model] / before[config.reference],
            "ratio_after": after[model] / after[config.reference],
            "n_rows": len(loss),
            **extra[model],
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _own_scores(forecast: Forecast) -> dict[str, float]:
    """Scores that belong to one contract: its levels of variance are its own."""
    known = forecast.rows.trainable
    y, f = forecast.rows.y[known], forecast.value[known]
    line = mincer_zarnowitz(y, f)
    return {
        "rmse_log_volatility": rmse_log_volatility(y, f),
        "mz_slope": line.slope,
        "mz_intercept": line.intercept,
        "mz_r2": line.r2,
        "r2_oos": out_of_sample_r2(y, f, expanding_mean(y)),
    }


def _coverage(forecast: Forecast, config: ForecastConfig) -> dict[str, float]:
    """Scores of the intervals; none where no outcome is known of any."""
    section = config.intervals
    intervals = conformal_intervals(forecast, section.level, section.past, section.adapt)
    if not (np.isfinite(forecast.rows.y) & np.isfinite(intervals.lower)).any():
        return {}
    found = coverage(forecast.rows.y, intervals)
    return {
        "coverage": found.inside,
        "below": found.below,
        "above": found.above,
        **dict(zip(("coverage_low", "coverage_middle", "coverage_high"), found.by_tercile, strict=True)),
        "width": found.width,
        "pinball": found.pinball,
    }


def _mean(scores: list[dict[str, float]]) -> dict[str, float]:
    known = [row for row in scores if row]
    return {key: float(np.mean([row[key] for row in known])) for key in (known[0] if known else {})}


def _by_year(loss: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Ratio of each year's QLIKE to the reference's."""
    year = loss.index.to_numpy().astype("datetime64[Y]").astype(int) + 1970
    yearly = loss.groupby(year).mean()
    return yearly.div(yearly[reference], axis=0).T
