"""What volatility will be: scikit-learn estimators, walk-forward forecasts, scores.

Heavy libraries (scikit-learn, LightGBM, arch, torch, onnx) are imported when a forecaster is made.
"""

from .column import ForecastColumn, forecast_volatility_column
from .config import ForecastConfig
from .experiment import run_forecast
from .recipes import Recipe, forecaster, forecasters, register_forecaster
from .rows import Rows, forecast_rows
from .targets import annual_volatility, future_variance
from .walk_forward import Forecast, Schedule, walk_forward

__all__ = [
    "Forecast",
    "ForecastColumn",
    "ForecastConfig",
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
    "run_forecast",
    "walk_forward",
]
