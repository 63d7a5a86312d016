"""The feature table of a policy: features, forecasts and the policy's own columns."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gearing.evaluation.risk.distances import join_distances
from gearing.features import Feature, FeatureSet, FeatureTable, is_feature
from gearing.forecasters.walk_forward import Schedule
from gearing.market.data import MarketData
from gearing.names import shown
from gearing.simulation.config import SimulationConfig
from gearing.simulation.hooks import hooks_of
from gearing.simulation.policy import Policy

SIZES = (0.01, 0.02, 0.03, 0.05, 0.075, 0.10, 0.15)  # moves with forecast touch probabilities
SHORTEST = "log_return"  # the column of a table that needs none, complete after two bars
FORECAST = "forecast_volatility"
DEFAULT_FORECAST: Mapping[str, Any] = {"forecaster": "har_dow", "horizon": "24h"}
Features = FeatureTable | FeatureSet | Sequence[str] | None


def touch_column(size: float, side: int) -> str:
    """Name of the column with the probability of an adverse move of ``size``: ``touch_down_5``, ``touch_up_7_5``."""
    way = "down" if side > 0 else "up"
    return f"touch_{way}_{100.0 * size:g}".replace(".", "_")


def policy_table(
    policy: Policy,
    market: MarketData,
    features: Features,
    config: SimulationConfig,
    forecast: str | Mapping[str, Any] | None = DEFAULT_FORECAST,
) -> FeatureTable:
    """Feature table of a policy.

    Parameters
    ----------
    features : FeatureTable, FeatureSet, or str or sequence of str, optional
        A table is used unchanged. Otherwise the given columns are computed, and those that the policy, its direction
        and its risk controls read, see `column_table`.
    forecast : str, mapping or None
        As in `column_table`.
    """
    if isinstance(features, FeatureTable):
        table = features
    else:
        table = column_table(columns_read(policy, config), market, features, forecast)
    join = hooks_of(policy).join
    return table if join is None else join(table)


def columns_read(policy: Policy, config: SimulationConfig) -> tuple[str, ...]:
    """Columns that a policy and the settings of its simulation read."""
    return (*policy.required_columns, *settings_columns(config))


def settings_columns(config: SimulationConfig) -> tuple[str, ...]:
    """Columns that the settings of a simulation read: the signal's and those of the risk controls."""
    signal = (config.signal_column,) if config.signal_column else ()
    return (*signal, *(column for control in config.controls for column in control.required_columns))


def column_table(
    names: Iterable[str],
    market: MarketData,
    features: FeatureSet | Sequence[str] | None = None,
    forecast: str | Mapping[str, Any] | None = DEFAULT_FORECAST,
) -> FeatureTable:
    """Table of the given features and of those columns among the names that can be computed.

    Parameters
    ----------
    names : iterable of str
        Registered features are computed; ``forecast_volatility``, the touch probabilities ``touch_down_...`` and
        ``touch_up_...`` and the distances of budgets ``excursion_down_...`` and ``excursion_up_...`` are forecast, out
        of sample. Other names are ignored.
    forecast : str, mapping or None
        For ``forecast_volatility``: the name of a forecaster, or arguments of
        :func:`gearing.forecasters.forecast_volatility_column` (forecaster, horizon, schedule, parameters of the
        estimator). None makes no forecast. Touch probabilities have settings of their own, see `join_excursions`.
    """
    wanted = dict.fromkeys(names)
    given: tuple[Feature, ...] = ()
    if features:
        given = (features if isinstance(features, FeatureSet) else FeatureSet(features)).features
    known = {feature.name for feature in given}
    columns: list[str | Feature] = [
        *given,
        *(name for name in wanted if is_feature(name) and name not in known),
    ]
    table = FeatureSet(columns or [SHORTEST]).compute(market)
    if forecast is None:
        return table
    if FORECAST in wanted:
        from gearing.forecasters import forecast_volatility_column

        table = forecast_volatility_column(market, **forecast_arguments(forecast)).join(table)
    for side, way in ((1, "touch_down_"), (-1, "touch_up_")):
        if any(name.startswith(way) for name in wanted):
            table = join_excursions(table, market, side=side)
    return join_distances(table, market, wanted)


def forecast_arguments(forecast: str | Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of ``forecast_volatility_column``; a name replaces the forecaster of the default ones."""
    if isinstance(forecast, str):
        return {**DEFAULT_FORECAST, "forecaster": forecast}
    if not isinstance(forecast, Mapping):
        raise TypeError(
            f"forecast is {shown(forecast)}; give the name of a forecaster, such as 'har', a mapping such as "
            "{'forecaster': 'har', 'horizon': '24h'}, or None."
        )
    return dict(forecast)


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
