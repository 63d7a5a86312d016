"""Columns of a study on real history: features, a volatility forecast, forecast excursions; each known at its close."""

from __future__ import annotations

from collections.abc import Iterable

from gearing.evaluation.columns import FORECAST
from gearing.features import FeatureSet, FeatureTable, is_feature
from gearing.market.data import MarketData
from gearing.policies.registry import make_rule
from gearing.policies.rules.risk_budget import touch_column
from gearing.studies.sections import Excursions
from gearing.studies.study.history_config import HistoryConfig


def column_names(config: HistoryConfig, columns: Iterable[str]) -> list[str]:
    """Names of columns asked for by name or group; "forecast" and "excursions" stand for what is forecast.

    Raises
    ------
    ValueError
        If a forecast is asked for that the study does not make.
    """
    found: list[str] = []
    for column in columns:
        if column in ("forecast", "excursions") and getattr(config, column) is None:
            raise ValueError(
                f"the column {column!r} is asked for, but {column} is null; say how it is made, as in {column}: {{}}."
            )
        if column == "forecast":
            found.append(FORECAST)
        elif column == "excursions":
            found += excursion_names(config)
        else:
            found += FeatureSet([column]).columns
    return list(dict.fromkeys(found))


def excursion_names(config: HistoryConfig) -> list[str]:
    """Names of the touch probabilities, those of the moves that the directions have to fear."""
    if config.excursions is None:
        return []
    return [touch_column(size, side) for side in _sides(config) for size in config.excursions.sizes]


def column_table(config: HistoryConfig, market: MarketData) -> FeatureTable:
    """Everything that policies, controls, bases and directions of a study read, for one contract."""
    table = FeatureSet(_features(config)).compute(market)
    if config.forecast is not None:
        table = _with_forecast(config, market, table)
    if config.excursions is not None:
        for side in _sides(config):
            table = _with_excursions(config.excursions, side, market, table)
    return table


def _features(config: HistoryConfig) -> list[str]:
    wanted = [*config.columns, *(c for agent in config.agents.values() for c in agent.columns or [])]
    names = column_names(config, wanted)
    asking = [rule.make() for rule in config.rules.values()]
    asking += [make_rule(agent.base) for agent in config.agents.values() if agent.base is not None]
    for one in (*asking, *(control.make() for control in config.controls)):
        names += one.required_columns
    names += [d.partition(":")[2] for d in config.directions.values() if ":" in d]
    return [name for name in dict.fromkeys(names) if is_feature(name)]


def _sides(config: HistoryConfig) -> tuple[int, ...]:
    directions = set(config.directions.values())
    return tuple(side for side, other in ((1, "short"), (-1, "long")) if directions != {other})


def _with_forecast(config: HistoryConfig, market: MarketData, table: FeatureTable) -> FeatureTable:
    from gearing.forecasters import forecast_volatility_column

    assert config.forecast is not None
    return forecast_volatility_column(market, **config.forecast.arguments).join(table)


def _with_excursions(asked: Excursions, side: int, market: MarketData, table: FeatureTable) -> FeatureTable:
    from gearing.evaluation.risk.excursion_columns import join_excursions

    return join_excursions(
        table, market, side=side, forecaster=asked.forecaster, horizon=asked.horizon, sizes=asked.sizes,
        variance_schedule=asked.refits(), touch_schedule=asked.curve_refits(), **asked.settings,
    )  # fmt: skip
