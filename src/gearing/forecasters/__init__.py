"""Volatility forecasts: scikit-learn estimators, walk-forward evaluation, scores.

Heavy libraries (scikit-learn, LightGBM, arch, torch, onnx) are imported when a forecaster is made, or by the first name
that needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gearing.forecasters.column import (
    ForecastColumn as ForecastColumn,
    forecast_volatility_column as forecast_volatility_column,
)
from gearing.forecasters.register import (
    Recipe as Recipe,
    forecaster as forecaster,
    forecasters as forecasters,
    register_forecaster as register_forecaster,
)
from gearing.forecasters.rows import Rows as Rows, forecast_rows as forecast_rows
from gearing.forecasters.targets import (
    annual_volatility as annual_volatility,
    future_variance as future_variance,
)
from gearing.forecasters.walk_forward import (
    Forecast as Forecast,
    Schedule as Schedule,
    walk_forward as walk_forward,
)
from gearing.lazy import lazy_exports

if TYPE_CHECKING:
    from gearing.forecasters.excursion import (
        TouchProbability as TouchProbability,
        liquidation_probability as liquidation_probability,
        touches as touches,
        walk_forward_touches as walk_forward_touches,
    )
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__)
