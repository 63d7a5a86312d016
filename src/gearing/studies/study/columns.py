"""Columns of a study: features, a volatility forecast, touch probabilities; each known at its close."""

from collections.abc import Iterable
from typing import Any

from gearing.evaluation.columns import FORECAST, join_excursions, settings_columns, touch_column
from gearing.exchange.observing import ACCOUNT_COLUMNS, POSITION_COLUMNS
from gearing.features import FeatureSet, FeatureTable, is_feature
from gearing.forecasters.excursion_law.law import read_column
from gearing.market.data import MarketData
from gearing.policies.registry import make_rule
from gearing.studies.rules_and_agents import Agent
from gearing.studies.study.config import StudyConfig

_OF_THE_ACCOUNT = (*POSITION_COLUMNS, *ACCOUNT_COLUMNS)  # what the simulator itself appends


def base_rule(config: StudyConfig, agent: Agent) -> Any:
    """The rule that a residual agent scales: one of the study's own, or any by name."""
    if agent.base is None:
        return None
    return config.rules[agent.base].make() if agent.base in config.rules else make_rule(agent.base)


def column_names(config: StudyConfig, columns: Iterable[str]) -> list[str]:
    """Names of columns given by name or group; "forecast" and "excursions" stand for what is forecast."""
    found: list[str] = []
    for column in columns:
        if column == "forecast":
            found.append(FORECAST)
        elif column == "excursions":
            found += excursion_names(config)
        else:
            found += FeatureSet([column]).columns
    return list(dict.fromkeys(found))


def excursion_names(config: StudyConfig) -> list[str]:
    """Names of the touch probabilities, those of the moves that go against the directions."""
    if config.excursions is None:
        return []
    return [touch_column(size, side) for side in _sides(config) for size in config.excursions.sizes]


def agent_columns(
    config: StudyConfig, name: str, direction: str | None = None, overlay: bool = False
) -> list[str]:
    """Columns of an agent in order; those of its base rule, its direction and its risk controls come last."""
    agent = config.agents[name]
    base = base_rule(config, agent)
    wanted = [
        *column_names(config, agent.columns or config.columns),
        *(base.required_columns if base else ()),
        *settings_columns(config.simulation(name, direction, overlay)),
    ]
    return [column for column in dict.fromkeys(wanted) if column not in _OF_THE_ACCOUNT]


def rule_columns(
    config: StudyConfig, name: str, direction: str | None = None, overlay: bool = False
) -> list[str]:
    """Columns that a rule, its direction and its risk controls read."""
    settings = config.simulation(name, direction, overlay)
    wanted = dict.fromkeys([*config.rules[name].make().required_columns, *settings_columns(settings)])
    return [column for column in wanted if column not in _OF_THE_ACCOUNT]


def columns_read(config: StudyConfig) -> list[str]:
    """All columns that a policy of the study reads.

    Raises
    ------
    ValueError
        For a name that is neither a feature nor a column that the study makes.
    """
    wanted: list[str] = []
    for direction in config.direction_names:
        for name in config.rules:
            wanted += rule_columns(config, name, direction, overlay=True)
        for name in config.agents:
            wanted += agent_columns(config, name, direction, overlay=True)
    wanted = [name for name in dict.fromkeys(wanted) if name not in _OF_THE_ACCOUNT]
    made = {FORECAST, *excursion_names(config)}
    unknown = [name for name in wanted if not (is_feature(name) or name in made or read_column(name))]
    if unknown:
        raise ValueError(
            f"no column {', '.join(unknown)}. Register a feature with @gearing.feature; touch probabilities are those "
            "of the sizes in excursions, distances of budgets are named as in excursion_down_7d_5."
        )
    return wanted


def feature_table(config: StudyConfig, market: MarketData) -> FeatureTable:
    """Features of the study's columns, and all that policies, controls, bases and directions read."""
    names = [*column_names(config, config.columns), *columns_read(config)]
    return FeatureSet([name for name in dict.fromkeys(names) if is_feature(name)]).compute(market)


def with_excursions(config: StudyConfig, market: MarketData, table: FeatureTable) -> FeatureTable:
    """The table with the touch probabilities, if a policy reads them."""
    if config.excursions is None or not set(excursion_names(config)) & set(columns_read(config)):
        return table
    given = config.excursions
    for side in _sides(config):
        table = join_excursions(
            table, market, side=side, forecaster=given.forecaster, horizon=given.horizon, sizes=given.sizes,
            variance_schedule=given.refits(), touch_schedule=given.curve_refits(), **given.settings,
        )  # fmt: skip
    return table


def _sides(config: StudyConfig) -> tuple[int, ...]:
    directions = set((config.directions or {"": config.decision.direction}).values())
    return tuple(side for side, other in ((1, "short"), (-1, "long")) if directions != {other})
