"""Export a policy that is named on the command line: a rule with its settings, or a model of stable-baselines3."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gearing.evaluation.backtesting import backtest
from gearing.evaluation.columns import (
    DEFAULT_FORECAST,
    FORECAST,
    columns_read,
    forecast_arguments,
    policy_table,
)
from gearing.export import BundleError, export_bundle
from gearing.export.playing import BundlePolicy
from gearing.export.results import budget_card, evaluation_card
from gearing.market.data import MarketData
from gearing.simulation.config import SimulationConfig
from gearing.studies.study.exporting.inputs import write_inputs
from gearing.studies.study.exporting.places import inputs_of


def export_named(
    policy: Any,
    folder: Path,
    market: MarketData,
    account: Mapping[str, Any],
    *,
    name: str,
    forecast: str | Mapping[str, Any] | None = DEFAULT_FORECAST,
) -> Path:
    """Play a policy over a market and write its bundle, with the inputs of a decision.

    Parameters
    ----------
    policy : Policy
        A registered rule, or a learned policy.
    folder : path
        New.
    market : MarketData
        Its contracts, tiers and fees become the bundle's; the backtest on it becomes the evaluation.
    account : mapping
        Settings of the simulation, as `gearing.backtest` takes them.
    name : str
        Of the policy, in the bundle.
    forecast : str, mapping or None
        As of `gearing.evaluation.columns.column_table`.

    Raises
    ------
    BundleError
        If the folder exists, or the policy cannot be exported.
    """
    from gearing.forecasters import forecast_volatility_column

    if isinstance(policy, BundlePolicy):
        raise BundleError(f"{name} is a bundle already; copy its folder.")
    config, forecasts = SimulationConfig(**account), []
    table = policy_table(policy, market, None, config, None)
    if FORECAST in columns_read(policy, config) and forecast is not None:
        forecasts = [forecast_volatility_column(market, **forecast_arguments(forecast))]
        table = forecasts[0].join(table)
    result = backtest(policy, market, table, name=name, **account)
    where = f"{market.name}, {result.span}"
    export_bundle(
        policy,
        folder,
        market=market,
        table=table,
        config=config,
        forecasts=forecasts,
        name=name,
        evaluation=evaluation_card({name: result}, where),
        budget=budget_card([result], where),
    )
    write_inputs(market, table, folder, inputs_of(folder), config.initial_equity)
    return folder
