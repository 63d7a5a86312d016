"""Volatility forecasts as a feature column."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gearing.features import FeatureTable
from gearing.features.families.volatility import MOST
from gearing.forecasters.register import Recipe, forecaster as recipe_named
from gearing.forecasters.rows import forecast_rows
from gearing.forecasters.targets import annual_volatility
from gearing.forecasters.walk_forward import Forecast, Progress, Schedule, walk_forward
from gearing.market.data import MarketData


@dataclass(frozen=True, eq=False)
class ForecastColumn:
    """Out-of-sample annualised volatility forecasts for every bar.

    Attributes
    ----------
    name : str
    values : (n_bars, n_contracts) float64
        Annualised; NaN before the first refit.
    fitted_until : (n_bars, n_contracts) datetime64[ms]
    recipe : Recipe
        Its ``columns`` are the exported model's inputs.
    model : fitted forecaster
        The newest refit; ``model.to_onnx()`` where ``recipe.exports``.
    forecast : Forecast
        The variances behind the column, with their targets.
    horizon : str
    """

    name: str
    values: NDArray[np.float64]
    fitted_until: NDArray[np.datetime64]
    recipe: Recipe
    model: Any
    forecast: Forecast
    horizon: str

    def join(self, table: FeatureTable) -> FeatureTable:
        """The table with this column; its stamps are checked."""
        bounds = {"lower": 0.0, "upper": MOST}
        return table.join(self.name, self.values, unit="annualised", fitted_until=self.fitted_until, **bounds)


def forecast_volatility_column(
    market: MarketData,
    forecaster: str = "har",
    horizon: str = "24h",
    *,
    schedule: Schedule | None = None,
    name: str = "forecast_volatility",
    n_jobs: int = 1,
    progress: Progress | None = None,
    **parameters: Any,
) -> ForecastColumn:
    """Walk-forward forecast of a market by a named forecaster, at every bar.

    Models are fitted on rows at 00:00 UTC (for horizons below a day, on rows a horizon apart) and
    forecast at every close after the fit. Several
    contracts are pooled: one model, fitted on the rows of all.

    Parameters
    ----------
    forecaster : str, default="har"
        Name of a recipe, see ``forecasters()``.
    horizon : str, default="24h"
    schedule : Schedule, optional
        Default: first window of 365 days, growing, refitted monthly.
    **parameters
        For the estimator, such as ``n_trees=100``.

    Examples
    --------
    >>> column = forecast_volatility_column(market)             # doctest: +SKIP
    >>> table = column.join(FeatureSet.default().compute(market))   # doctest: +SKIP
    """
    recipe = recipe_named(forecaster)
    rows = forecast_rows(market, recipe.columns, horizon)
    made = walk_forward(recipe.estimator(**parameters), rows, schedule, n_jobs=n_jobs, progress=progress)
    variance, stamps = made.on_bars(market.n_bars, market.n_contracts)
    _carry_past_the_end(market, variance, stamps)
    volatility = annual_volatility(variance, horizon)
    return ForecastColumn(name, volatility, stamps, recipe, made.last_model, made, horizon)


def _carry_past_the_end(market: MarketData, variance: np.ndarray, stamps: np.ndarray) -> None:
    """Repeat a contract's last forecast after its last bar, in place, so that columns stay finite."""
    for contract in range(market.n_contracts):
        traded = np.flatnonzero(market.tradable[:, contract])
        if len(traded) and np.isfinite(variance[traded[-1], contract]):
            variance[traded[-1] + 1 :, contract] = variance[traded[-1], contract]
            stamps[traded[-1] + 1 :, contract] = stamps[traded[-1], contract]
