"""Volatility forecasts: scikit-learn estimators, walk-forward evaluation, scores.

Heavy libraries (scikit-learn, LightGBM, arch, torch, onnx) are imported when a forecaster is made.
"""

from gearing.forecasters.column import ForecastColumn, forecast_volatility_column
from gearing.forecasters.excursion import (
    TouchProbability,
    liquidation_probability,
    touches,
    walk_forward_touches,
)
from gearing.forecasters.register import Recipe, forecaster, forecasters, register_forecaster
from gearing.forecasters.rows import Rows, forecast_rows
from gearing.forecasters.targets import annual_volatility, future_variance
from gearing.forecasters.walk_forward import Forecast, Schedule, walk_forward

__all__ = [
    "Forecast",
    "ForecastColumn",
    "Recipe",
    "Rows",
    "Schedule",
    "TouchProbability",
    "annual_volatility",
    "forecast_rows",
    "forecast_volatility_column",
    "forecaster",
    "forecasters",
    "future_variance",
    "liquidation_probability",
    "register_forecaster",
    "touches",
    "walk_forward",
    "walk_forward_touches",
]
