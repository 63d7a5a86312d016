"""An experiment's forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gearing.forecasters import ForecastColumn
    from gearing.market import MarketData
    from gearing.studies.study.config import StudyConfig


def forecast_column(config: StudyConfig, market: MarketData) -> ForecastColumn:
    """The forecast that the experiment requests, out of sample at every bar."""
    from gearing.forecasters import forecast_volatility_column

    if config.forecast is None:
        raise ValueError(
            f"{config.name}: forecast is null; name a forecaster, as in forecast.forecaster=har_dow."
        )
    return forecast_volatility_column(market, **config.forecast.arguments)
