"""Contracts that no model was fitted on: forecasts of the panel, and of forecasters fitted on their own past."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gearing.forecasters.online_weights import online_mean
from gearing.forecasters.panel import Panel, panel_forecast
from gearing.forecasters.register import forecaster
from gearing.forecasters.rows import Rows, forecast_rows
from gearing.forecasters.saved import library_versions
from gearing.forecasters.scoring.intervals import conformal_intervals
from gearing.forecasters.walk_forward import Forecast, rescaled, walk_forward
from gearing.market import MarketData
from gearing.studies.experiment import Findings, experiment
from gearing.studies.forecast.unseen.config import UnseenConfig
from gearing.studies.forecast.unseen.judging import judge
from gearing.studies.forecast.unseen.names import ENDS, EWMA, HOME, PANEL, RESCALED, WEIGHTED
from gearing.studies.trials import Place, Trial
from gearing.studies.work import Work

_FILE = "forecasts.parquet"
DAILY = "24h"


@dataclass(frozen=True)
class Scored(Trial):
    """One contract: the panel that was fitted on the others, and its opponents."""

    contract: str

    @property
    def about(self) -> str:
        """What it is, as the begin of a sentence."""
        return f"Forecasts of {self.contract}, on which the panel was not fitted"

    def settings(self, config: Any) -> dict[str, Any]:
        """Those that forecasts depend on, and the versions of libraries."""
        names = ("market", "horizon", "opponents", "schedule", "pool_schedule", "own_weight", "intervals")
        return {name: config.settings[name] for name in names} | {"libraries": library_versions()}


@experiment(UnseenConfig)
def volatility_unseen(config: UnseenConfig, work: Work) -> Findings:
    """Tables: ``scores`` of every contract, and pooled; ``years``; ``young``, contracts in their first year;
    ``forecasts``, all of them with what was realised.
    """
    markets = config.market.markets()
    config.market.check_score_from(config.score_from, markets)
    work.on(markets)
    panel = Panel.of(markets, config.horizon)
    trials = [Scored(contract) for contract in config.market.scored]
    found = work.stored(trials, partial(_walk, config, panel, markets), _read)
    return judge(config, markets, {trial.contract: table for trial, table in found})


def _read(folder: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(folder / _FILE)
    except Exception as error:
        raise ValueError(f"{folder / _FILE} is missing or damaged.") from error


def _walk(
    config: UnseenConfig, panel: Panel, markets: Mapping[str, MarketData], trial: Scored, place: Place
) -> dict[str, Any]:
    """Leave the forecasts of a contract in the trial's folder."""
    table = forecasts_of(config, panel, markets[trial.contract], trial.contract)
    table.to_parquet(place.folder / _FILE)
    return {"forecasts": len(table)}


def forecasts_of(config: UnseenConfig, panel: Panel, market: MarketData, symbol: str) -> pd.DataFrame:
    """Forecasts of a contract by day (index ``known_at``): ``realised``, one column per model, ends of intervals.

    NaN where a model has no forecast, as before the first year of an opponent.
    """
    pool = [name for name in config.market.pool_of(symbol) if name in panel.symbols]
    schedule = config.pool_schedule.refits(DAILY)
    made = panel_forecast(panel, symbol, pool, schedule)
    home = panel_forecast(panel, symbol, pool, schedule, own_weight=config.own_weight)
    table = pd.DataFrame(
        {"realised": made.rows.y}, index=pd.DatetimeIndex(made.rows.known_at, name="known_at")
    )
    columns = {PANEL: made, HOME: home, EWMA: _ewma(made)}
    for name in config.opponents:
        rows = _rows_of_opponent(name, market, made.rows, config.horizon)
        own = _walked(name, rows, config)
        if own is not None:
            columns |= {name: own, f"{name}{RESCALED}": rescaled(own, config.schedule.refits(DAILY))}
    for name, forecast in columns.items():
        table[name] = _by_day(forecast, forecast.value).reindex(table.index)
    table.insert(3, WEIGHTED, _weighted(table, made))
    for name in (PANEL, HOME):
        section, forecast = config.intervals, columns[name]
        ends = conformal_intervals(forecast, section.level, section.past, section.adapt)
        for end, values in zip(ENDS, (ends.lower, ends.upper, ends.group), strict=True):
            table[f"{name}{end}"] = _by_day(forecast, values).reindex(table.index)
    return table


def _weighted(table: pd.DataFrame, made: Forecast) -> np.ndarray:
    """The two panels, weighted by how well each forecast the contract so far."""
    both, rows = table[[PANEL, HOME]].to_numpy(np.float64), made.rows
    return online_mean(both, rows.y, rows.known_at, rows.ends_at)


def _by_day(forecast: Forecast, values: np.ndarray) -> pd.Series:
    return pd.Series(values, pd.DatetimeIndex(forecast.rows.known_at))


def _ewma(made: Forecast) -> Forecast:
    """The plain exponentially weighted variance, half-life two days: nothing is fitted."""
    rows = made.rows
    at = [rows.columns.index(name) for name in ("panel_level", "relative_ewma_log_variance_2d")]
    days = (rows.ends_at - rows.known_at) / np.timedelta64(1, "D")
    return Forecast(rows, np.exp(rows.X[:, at].sum(axis=1)) * days, rows.known_at)


def _rows_of_opponent(name: str, market: MarketData, rows: Rows, horizon: str) -> Rows | None:
    """Rows of the contract alone; None where it is younger than the look-back of the columns."""
    if set(forecaster(name).columns) <= set(rows.columns):  # those of the panel, known from the tenth day on
        at = [rows.columns.index(column) for column in forecaster(name).columns]
        return Rows(
            rows.X[:, at], rows.y, rows.known_at, rows.ends_at, rows.bar_index, rows.contract,
            forecaster(name).columns, rows.horizon,
        )  # fmt: skip
    try:
        found = forecast_rows(market, forecaster(name).columns, horizon, DAILY)
    except ValueError:
        return None
    return found if len(found) else None


def _walked(name: str, rows: Rows | None, config: UnseenConfig) -> Forecast | None:
    """Forecasts of an opponent; None where its contract is too young for a first window."""
    schedule = config.schedule.refits(DAILY)
    if rows is None or not len(schedule.refits(rows.known_at.min(), rows.known_at.max())):
        return None
    return walk_forward(forecaster(name).estimator(), rows, schedule, correct_bias=False)
