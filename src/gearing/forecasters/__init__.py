"""Volatility forecasts: scikit-learn estimators, walk-forward evaluation, scores.

Heavy libraries (scikit-learn, LightGBM, arch, torch, onnx) are imported when a forecaster is made.
"""

from gearing.forecasters.column import ForecastColumn, forecast_volatility_column
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
    "annual_volatility",
    "forecast_rows",
    "forecast_volatility_column",
    "forecaster",
    "forecasters",
    "future_variance",
    "register_forecaster",
    "walk_forward",
]
