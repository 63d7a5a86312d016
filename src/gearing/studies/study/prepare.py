"""From an experiment file to what its trials share: markets, their feature tables with forecasts, the folds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gearing.evaluation.columns import FORECAST
from gearing.evaluation.risk.distances import join_distances
from gearing.features import FeatureTable
from gearing.forecasters.column import ForecastColumn
from gearing.forecasters.saved import library_versions, load_column, save_column
from gearing.market.data import MarketData
from gearing.studies.experiment import ExperimentConfig
from gearing.studies.folds import Fold, Span
from gearing.studies.study.columns import columns_read, feature_table, with_excursions
from gearing.studies.study.config import StudyConfig
from gearing.studies.trials import Place, Trial
from gearing.studies.work import Work


@dataclass(frozen=True, eq=False)
class Prepared:
    """What all trials of a study read and none changes.

    An account trades one contract of a group, by its symbol; without groups, one trades the whole market.
    """

    config: StudyConfig
    markets: dict[str, MarketData]  # by account, like the next two
    tables: dict[str, FeatureTable]
    forecasts: dict[str, ForecastColumn]  # where a policy reads the forecast
    folds: list[Fold]

    def cut(
        self, account: str, span: Span, columns: Iterable[str] | None = None
    ) -> tuple[MarketData, FeatureTable]:
        """Market and table of a span of decisions: the bar before it is included, since its close decides first."""
        market, table = self.markets[account], self.tables[account]
        start, last = span[0] - market.bar, span[1]
        cut = table.between(start, last)
        return market.between(start, last), cut if columns is None else cut.select(list(columns))


def prepare(config: StudyConfig, work: Work) -> Prepared:
    """Open the markets, compute features, walk the forecaster forward, cut the folds."""
    check_forecast(config)
    markets = _opened(config)
    work.on(markets)
    tables = {account: feature_table(config, market) for account, market in markets.items()}
    forecasts = _forecasts(config, markets, work) if FORECAST in columns_read(config) else {}
    for account, column in forecasts.items():
        tables[account] = column.join(tables[account])
    for account, market in markets.items():
        tables[account] = with_excursions(config, market, tables[account])
        others = [other for name, other in markets.items() if name != account]
        tables[account] = join_distances(tables[account], market, columns_read(config), pool=others)
    first = max(table.close_time[table.first_complete] for table in tables.values())
    last = min(market.close_time[-1] for market in markets.values())
    return Prepared(config, markets, tables, forecasts, config.cuts.folds(_next_midnight(first), last))


def check_forecast(config: StudyConfig) -> None:
    """Refuse columns that the study does not make, before data is read."""
    if FORECAST in columns_read(config) and config.forecast is None:
        raise ValueError(
            f"{config.name}: a policy reads the forecast, and forecast is null; say how it is made: forecast: {{}}."
        )


def _opened(config: StudyConfig) -> dict[str, MarketData]:
    """The market of every account: contract by contract where there are groups."""
    if config.groups is not None:
        return config.market.each(config.symbols)
    market = config.market.open()
    return {market.name or ",".join(market.symbols): market}


def _next_midnight(time: np.datetime64) -> np.datetime64:
    day = time.astype("datetime64[D]").astype("datetime64[ms]")
    return day if day == time else day + np.timedelta64(86_400_000, "ms")


@dataclass(frozen=True)
class ForecastTrial(Trial):
    """The forecast column of an account's market; it does not depend on the policies."""

    account: str
    tracked = False

    @property
    def name(self) -> str:
        """Name among the study's trials."""
        return f"forecast-{self.account}"

    def settings(self, config: ExperimentConfig) -> Any:
        """How the forecast is made, and by which versions of libraries."""
        return {**config.model_dump(mode="json", include={"forecast"}), "libraries": library_versions()}

    def data(self, config: ExperimentConfig, fingerprints: Mapping[str, str]) -> Mapping[str, str]:
        """Fingerprint of the account's market."""
        return {self.account: fingerprints[self.account]}


def _forecasts(config: StudyConfig, markets: dict[str, MarketData], work: Work) -> dict[str, ForecastColumn]:
    trials = [ForecastTrial(account) for account in markets]
    found = work.stored(trials, partial(_walk, config, markets), load_column)
    return {trial.account: column for trial, column in found}


def _walk(config: StudyConfig, markets: dict[str, MarketData], trial: ForecastTrial, place: Place) -> None:
    from gearing.forecasters import forecast_volatility_column

    assert config.forecast is not None
    column = forecast_volatility_column(markets[trial.account], **config.forecast.arguments)
    save_column(column, place.folder)
