"""Scores of an experiment's forecasts: one table, the years one by one, and the choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gearing.forecasters.scoring.intervals import Coverage, conformal_intervals, coverage
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
from gearing.market.timing import parse_duration
from gearing.studies.fields import as_time
from gearing.studies.forecast.config import ForecastConfig
from gearing.studies.forecast.report import ForecastReport

if TYPE_CHECKING:
    import pandas as pd

    from gearing.market import MarketData

Array = NDArray[np.float64]
Aligned = Mapping[str, Mapping[str, Forecast]]  # symbol to model to forecast
RIDGE, WEEKDAY = "ridge", "har_dow"
ALL = "all"


def judge(
    config: ForecastConfig, markets: Mapping[str, MarketData], made: Aligned, excursions: pd.DataFrame | None
) -> ForecastReport:
    """Score every model on every contract and on all of them, and choose by the years before the cut."""
    import pandas as pd

    losses = _losses(made)
    covers = {s: {m: _coverage(f, config) for m, f in models.items()} for s, models in made.items()}
    tables, years = {}, {}
    for symbol, loss in losses.items():
        extra = {m: _own_scores(f) | _cover_row(covers[symbol][m]) for m, f in made.get(symbol, {}).items()}
        if symbol == ALL:
            extra = {m: _mean_cover([covers[s][m] for s in made]) for m in loss.columns}
        tables[symbol] = _table(loss, extra, config)
        years[symbol] = _by_year(loss, config.reference)
    table = pd.concat(tables, names=["contract", "model"])
    first = ALL if ALL in tables else next(iter(tables))
    if tables[first]["qlike_before"].isna().all():
        raise ValueError(
            f"no forecast of {first} ends before choose_before {config.choose_before} (the first is made at "
            f"{losses[first].index.min()}), so nothing can choose; move the date or load earlier history."
        )
    chosen = str(tables[first]["qlike_before"].idxmin())
    return ForecastReport(
        config=config,
        table=table,
        by_year=pd.concat(years, names=["contract", "model"]),
        excursions=excursions,
        chosen=chosen,
        judged=first,
        forecasts={s: dict(models) for s, models in made.items()},
        data={s: (m.fingerprint, *m.notes) for s, m in markets.items()},
        n_configurations=config.tried_before + len(config.models) + len(config.combinations),
    )


def _losses(made: Aligned) -> dict[str, pd.DataFrame]:
    """QLIKE by moment and model, for each contract and, with several, their mean on common moments."""
    import pandas as pd

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
    import pandas as pd

    ends_at = loss.index.to_numpy() + parse_duration(config.horizon)
    in_time = np.asarray(ends_at <= as_time(config.choose_before))
    before, after = loss[in_time].mean(), loss[~in_time].mean()
    section = config.confidence_set
    mcs = model_confidence_set(
        {str(m): loss[m].to_numpy() for m in loss},
        section.size,
        section.block,
        section.replications,
        config.seed,
    )
    rows: dict[str, dict[str, Any]] = {}
    for model in map(str, loss.columns):
        rows[model] = {
            "qlike": loss[model].mean(),
            f"ratio_to_{config.reference}": loss[model].mean() / loss[config.reference].mean(),
            "ratio_to_ridge": loss[model].mean() / loss[RIDGE].mean() if RIDGE in loss else np.nan,
            **_against(loss, model, config.reference, "dm", config.overlap),
            **(_against(loss, model, WEEKDAY, "dm_dow", config.overlap) if WEEKDAY in loss else {}),
            **(_against(loss, model, RIDGE, "dm_ridge", config.overlap) if RIDGE in loss else {}),
            "mcs_p": mcs[model],
            "qlike_before": before[model],
            "ratio_before": before[model] / before[config.reference],
            "ratio_after": after[model] / after[config.reference],
            "n_rows": len(loss),
            **extra[model],
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _against(loss: pd.DataFrame, model: str, other: str, label: str, overlap: int) -> dict[str, float]:
    test = diebold_mariano(loss[model].to_numpy(), loss[other].to_numpy(), overlap=overlap)
    return {f"{label}_t": test.t, f"{label}_p": test.p}


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


def _coverage(forecast: Forecast, config: ForecastConfig) -> Coverage | None:
    section = config.intervals
    intervals = conformal_intervals(forecast, section.level, section.past, section.adapt)
    if not (np.isfinite(forecast.rows.y) & np.isfinite(intervals.lower)).any():
        return None
    return coverage(forecast.rows.y, intervals)


def _cover_row(found: Coverage | None) -> dict[str, float]:
    if found is None:
        return {}
    low, middle, high = found.by_tercile
    return {
        "coverage": found.inside,
        "below": found.below,
        "above": found.above,
        "coverage_low": low,
        "coverage_middle": middle,
        "coverage_high": high,
        "width": found.width,
        "pinball": found.pinball,
    }


def _mean_cover(found: list[Coverage | None]) -> dict[str, float]:
    rows = [_cover_row(one) for one in found if one is not None]
    return {key: float(np.mean([row[key] for row in rows])) for key in (rows[0] if rows else {})}


def _by_year(loss: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Ratio of each year's QLIKE to the reference's."""
    year = loss.index.to_numpy().astype("datetime64[Y]").astype(int) + 1970
    yearly = loss.groupby(year).mean()
    return yearly.div(yearly[reference], axis=0).T
