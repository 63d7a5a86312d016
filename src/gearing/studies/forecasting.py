"""An experiment's forecast and feature table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gearing.features import FeatureTable
    from gearing.forecasters import ForecastColumn
    from gearing.market import MarketData
    from gearing.studies.config import StudyConfig

FORECAST = "forecast_volatility"


def forecast_column(config: StudyConfig, market: MarketData) -> ForecastColumn:
    """The forecast that the experiment asks for, out of sample at every bar."""
    from gearing.forecasters import Schedule, forecast_volatility_column

    asked = config.forecast
    if asked is None:
        raise ValueError(
            f"{config.name}: forecast is null; name a forecaster, as in forecast.forecaster=har_dow."
        )
    schedule = Schedule(asked.train, asked.train if asked.window == "rolling" else None, asked.refit)
    return forecast_volatility_column(
        market, asked.forecaster, asked.horizon, schedule=schedule, **asked.settings
    )


def forecast_scores(column: ForecastColumn) -> dict[str, Any]:
    """How good a forecast was where its target is known, asked once a day at 00:00 UTC."""
    from gearing.forecasters.scores import mincer_zarnowitz, qlike, rmse_log_volatility

    made = column.forecast
    midnight = made.rows.known_at.astype("datetime64[D]") == made.rows.known_at
    judged = made.take(midnight & made.rows.trainable & np.isfinite(made.value))
    realised, forecast = judged.rows.y, judged.value
    regression = mincer_zarnowitz(realised, forecast)
    return {
        "forecaster": column.recipe.name,
        "rows": len(judged.rows),
        "qlike": float(qlike(realised, forecast).mean()),
        "rmse_log_volatility": rmse_log_volatility(realised, forecast),
        "slope": regression.slope,
        "r2": regression.r2,
    }


def feature_table(config: StudyConfig, market: MarketData, columns: Iterable[str]) -> FeatureTable:
    """Features by name or group, with the forecast joined where it is among them.

    Parameters
    ----------
    columns : iterable of str
        "forecast" and "forecast_volatility" both mean the forecast column. Names that no feature has are
        left to the simulator (what an account knows about itself).
    """
    from gearing.features import FeatureSet, registered_features

    asked = list(dict.fromkeys(columns))
    known = {feature.name for feature in registered_features()}
    default = list(FeatureSet.default().columns)
    table = FeatureSet([*default, *(c for c in asked if c in known and c not in default)]).compute(market)
    return forecast_column(config, market).join(table) if {"forecast", FORECAST} & set(asked) else table
