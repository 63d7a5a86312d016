"""Forecast touch probabilities as columns: the excursion budget and the excursion guard read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.policies.rules.risk_budget import SIZES, touch_column

if TYPE_CHECKING:
    from gearing.forecasters import Schedule


def join_excursions(
    table: FeatureTable,
    market: MarketData,
    *,
    side: int = 1,
    forecaster: str = "har",
    horizon: str = "24h",
    sizes: Sequence[float] = SIZES,
    variance_schedule: Schedule | None = None,
    touch_schedule: Schedule | None = None,
    **parameters: Any,
) -> FeatureTable:
    """Join out-of-sample probabilities that the mark moves by each size against a position within the horizon.

    A walk-forward variance forecast is converted into touch probabilities by a curve fitted on past forecasts and
    outcomes, again out of sample.

    Parameters
    ----------
    side : {1, -1}
        Of the position: ``touch_down_5`` is the risk of a long, ``touch_up_5`` that of a short.
    forecaster, horizon, variance_schedule, **parameters
        As in ``forecast_volatility_column``.
    sizes : sequence of float
    touch_schedule : Schedule, optional
        Schedule of the curve; by default from 180 days on.
    """
    from gearing.forecasters.column import forecast_volatility_column
    from gearing.forecasters.excursion import Side, of_size, walk_forward_touches

    if side not in (1, -1):
        raise ValueError(f"side is {side}; it must be 1 (long) or -1 (short).")
    way: Side = "down" if side > 0 else "up"
    variance = forecast_volatility_column(
        market, forecaster, horizon, schedule=variance_schedule, **parameters
    ).forecast
    touched = walk_forward_touches(market, variance, way, tuple(sizes), touch_schedule)
    for size in sizes:
        values, stamps = of_size(touched, size, way).on_bars(market.n_bars, market.n_contracts)
        table = table.join(
            touch_column(size, side), values, unit="probability", lower=0.0, upper=1.0, fitted_until=stamps
        )
    return table
