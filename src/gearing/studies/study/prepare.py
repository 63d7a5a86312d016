"""From an experiment file to what its trials share: the market, its feature table with forecasts, the folds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.evaluation.columns import FORECAST, settings_columns
from gearing.features import FeatureSet, FeatureTable, is_feature
from gearing.policies import make_rule
from gearing.storage.atomic import write_atomically
from gearing.storage.digest import digest
from gearing.studies.folds import Fold, Span
from gearing.studies.sections import Agent
from gearing.studies.study.config import StudyConfig
from gearing.studies.study.forecasting import forecast_column

if TYPE_CHECKING:
    from gearing.forecasters.column import ForecastColumn
    from gearing.market.data import MarketData


@dataclass(frozen=True, eq=False)
class Prepared:
    """What all trials of a study read and none changes."""

    config: StudyConfig
    market: MarketData
    table: FeatureTable
    forecast: ForecastColumn | None
    folds: list[Fold]

    @property
    def named_market(self) -> dict[str, MarketData]:
        """The market by the name that reports give it."""
        return {self.market.name or ",".join(self.market.symbols): self.market}

    def cut(self, span: Span, columns: tuple[str, ...] | None = None) -> tuple[MarketData, FeatureTable]:
        """Market and table of a span of decisions: the bar before it is kept, since its close decides first."""
        first, last = span
        start = first - self.market.bar
        table = self.table if columns is None else self.table.select(columns)
        return self.market.between(start, last), table.between(start, last)

    def refuse_in_sample(self, span: Span) -> None:
        """Refuse forecast columns that were fitted on anything later than the rows of a span.

        Raises
        ------
        ValueError
            Naming the column and the row.
        """
        first, last = span
        known = (self.table.close_time >= first) & (self.table.close_time < last)
        for name, stamps in self.table.fitted_until.items():
            late = known[:, None] & (stamps > self.table.close_time[:, None])
            if late.any():
                k = int(np.argwhere(late)[0][0])
                raise ValueError(
                    f"column {name!r} at {self.table.close_time[k]} was fitted until {stamps[k].max()}: in sample. "
                    "Use an out-of-sample forecast, as walk_forward makes."
                )


def made_rule(config: StudyConfig, name: str) -> Any:
    """A rule of the study."""
    return config.rules[name].make()


def base_rule(config: StudyConfig, agent: Agent) -> Any:
    """The rule that a residual agent scales: one of the study's own, or any by name."""
    if agent.base is None:
        return None
    return made_rule(config, agent.base) if agent.base in config.rules else make_rule(agent.base)


def agent_columns(config: StudyConfig, name: str) -> tuple[str, ...]:
    """Observation columns of an agent in order, those of its base rule and its risk controls among them."""
    agent = config.agents[name]
    wanted: list[str] = []
    for column in agent.columns:
        wanted += [FORECAST] if column == "forecast" else FeatureSet([column]).columns
    base = base_rule(config, agent)
    own = set(account_columns())
    needed = [*(base.required_columns if base else ()), *settings_columns(config.simulation(name))]
    wanted += [column for column in needed if column not in own]
    return tuple(dict.fromkeys(wanted))


def account_columns() -> tuple[str, ...]:
    """Columns that the simulator itself appends."""
    from gearing.exchange.observing import ACCOUNT_COLUMNS, POSITION_COLUMNS

    return (*POSITION_COLUMNS, *ACCOUNT_COLUMNS)


def study_columns(config: StudyConfig) -> tuple[str, ...]:
    """All feature columns that a policy of the study reads.

    Raises
    ------
    ValueError
        For a name that is neither a feature nor a column of the account.
    """
    wanted: list[str] = []
    for name in config.rules:
        wanted += [*made_rule(config, name).required_columns, *settings_columns(config.simulation(name))]
    for name in config.agents:
        wanted += agent_columns(config, name)
    others = {FORECAST, *account_columns()}
    unknown = [name for name in wanted if not (is_feature(name) or name in others)]
    if unknown:
        raise ValueError(f"no feature {', '.join(unknown)}; register it with @gearing.feature.")
    return tuple(dict.fromkeys(wanted))


def prepare(config: StudyConfig, folder: Path) -> Prepared:
    """Open the market, compute features, walk the forecaster forward, cut the folds.

    The forecast is kept in ``folder``, so that a study taken up again does not repeat it.
    """
    market = config.market.open()
    columns = study_columns(config)
    features = [*FeatureSet.default().columns, *(name for name in columns if is_feature(name))]
    table = FeatureSet(list(dict.fromkeys(features))).compute(market)
    column = None
    if FORECAST in columns:
        column = _kept_forecast(config, market, folder)
        table = column.join(table)
    folds = config.cuts.folds(_next_midnight(table.close_time[table.first_complete]), market.close_time[-1])
    return Prepared(config, market, table, column, folds)


def _next_midnight(time: np.datetime64) -> np.datetime64:
    day = time.astype("datetime64[D]").astype("datetime64[ms]")
    return day if day == time else day + np.timedelta64(86_400_000, "ms")


def _kept_forecast(config: StudyConfig, market: MarketData, folder: Path) -> ForecastColumn:
    import joblib

    assert config.forecast is not None
    key = digest(config.forecast.model_dump(mode="json"), market.fingerprint)
    kept = folder / f"forecast-{key}.joblib"
    if kept.exists():
        return joblib.load(kept)
    column = forecast_column(config, market)
    write_atomically(kept, lambda draft: joblib.dump(column, draft))
    return column
