"""Run a forecasting experiment: every model walked through every contract, judged on the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.forecasters.cache import cached_forecast
from gearing.forecasters.register import Recipe, forecaster
from gearing.forecasters.rows import Rows, forecast_rows
from gearing.forecasters.targets import finer_future_variance, future_variance
from gearing.forecasters.walk_forward import Forecast, Schedule, walk_forward
from gearing.studies.forecast.config import POOLED, ForecastConfig

if TYPE_CHECKING:
    from gearing.market import MarketData
    from gearing.studies.forecast.report import ForecastReport

Progress = Callable[[str, int, int], None]  # what is being done, steps done, steps in all


def run_forecast(
    config: ForecastConfig,
    *,
    markets: Mapping[str, MarketData] | None = None,
    run: Any = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> ForecastReport:
    """Forecast, score and choose, as the config says.

    Parameters
    ----------
    config : ForecastConfig
    markets : mapping of symbol to MarketData, optional
        Instead of loading the config's contracts.
    run : object with log_params, log_metrics and log_figure, optional
        A tracked run; whatever it lacks is not called.
    cache : path, optional
        Folder for finished forecasts; the same call then goes on where it stopped.
    progress : callable, optional
        ``progress(what, done, total)``.
    """
    from gearing.studies.forecast.judging import judge
    from gearing.studies.forecast.report import log_report

    markets = load_markets(config) if markets is None else markets
    rows = problem_rows(config, markets)
    steps = len(config.models) + (len(config.excursions.horizons) if config.excursions else 0)
    made: dict[str, dict[str, Forecast]] = {}
    for done, model in enumerate(config.models):
        _tell(progress, model, done, steps)
        made[model] = _walk(model, rows, config, cache)
    made |= {name: _combined([made[m] for m in members]) for name, members in config.combinations.items()}
    excursions = None
    if config.excursions is not None:
        from gearing.studies.forecast.excursions import excursion_table

        excursions = excursion_table(
            config, markets, lambda h, i: _tell(progress, f"touches {h}", len(config.models) + i, steps)
        )
    _tell(progress, "judging", steps, steps)
    report = judge(config, markets, _aligned(made), excursions)
    if run is not None:
        log_report(run, report)
    return report


def load_markets(config: ForecastConfig) -> dict[str, MarketData]:
    """One market per contract, each over its own span."""
    from gearing.market import load_market

    section = config.market
    names = ("bar", "venue", "missing_mark", "missing_funding", "missing_tiers", "finer")
    options = {name: getattr(section, name) for name in names}
    return {
        symbol: load_market(section.folder, [symbol], start=section.from_, end=section.to, **options)
        for symbol in (*section.contracts, *section.pool)
    }


def problem_rows(config: ForecastConfig, markets: Mapping[str, MarketData]) -> dict[str, Rows]:
    """Rows with the columns of all models, so that every model has the same rows; by symbol."""
    columns = tuple(dict.fromkeys(c for model in config.models for c in recipe_of(model).columns))
    found = {}
    for number, (symbol, market) in enumerate(markets.items()):
        measure = finer_future_variance if config.target == "finer" else future_variance
        rows = forecast_rows(market, columns, config.horizon, config.every, measure(market, config.horizon))
        rows = rows.take(rows.known_at >= rows.known_at[np.isfinite(rows.y)].min())
        found[symbol] = replace(rows, contract=np.full(len(rows), number))
    return found


def recipe_of(model: str) -> Recipe:
    """The recipe behind a model's name, pooled or not."""
    return forecaster(model.removesuffix(POOLED))


def _walk(
    model: str, rows: Mapping[str, Rows], config: ForecastConfig, cache: Path | None
) -> dict[str, Forecast]:
    recipe = recipe_of(model)
    mine = {symbol: _with_columns(one, recipe.columns) for symbol, one in rows.items()}
    if not model.endswith(POOLED):
        return {s: _one_walk(recipe, mine[s], config, cache) for s in config.market.contracts}
    whole = _one_walk(recipe, Rows.stacked(list(mine.values())), config, cache)
    numbers = {symbol: number for number, symbol in enumerate(rows)}
    return {s: whole.take(whole.rows.contract == numbers[s]) for s in config.market.contracts}


def _one_walk(recipe: Recipe, rows: Rows, config: ForecastConfig, cache: Path | None) -> Forecast:
    schedule = schedule_of(config)
    facts = {
        "recipe": recipe.name,
        "columns": recipe.columns,
        "horizon": rows.horizon,
        "schedule": asdict(schedule),
    }
    estimator = recipe.estimator()
    return cached_forecast(
        cache, rows, facts, lambda: walk_forward(estimator, rows, schedule, n_jobs=config.jobs)
    )


def schedule_of(config: ForecastConfig) -> Schedule:
    """The experiment's schedule; all rows are training rows, for they are already on the origins' clock."""
    return Schedule(**config.schedule.model_dump(), fit_every=config.every)


def _with_columns(rows: Rows, columns: Iterable[str]) -> Rows:
    at = [rows.columns.index(name) for name in columns]
    return replace(rows, X=np.ascontiguousarray(rows.X[:, at]), columns=tuple(columns))


def _combined(members: list[dict[str, Forecast]]) -> dict[str, Forecast]:
    """Geometric mean of the members' forecasts of the same rows; its stamp is the latest of theirs."""
    combined = {}
    for symbol in members[0]:
        parts = _common([member[symbol] for member in members])
        value = np.exp(np.mean([np.log(part.value) for part in parts], axis=0))
        stamp = np.max([part.fitted_until for part in parts], axis=0)
        combined[symbol] = Forecast(parts[0].rows, value, stamp, _averaged(parts))
    return combined


def _averaged(parts: list[Forecast]) -> Any:
    """The members' newest fits as one, where they read the same columns; else None."""
    from gearing.forecasters.models.scaled import AveragedForecaster

    models = [part.last_model for part in parts]
    same = all(part.rows.columns == parts[0].rows.columns for part in parts)
    return AveragedForecaster(models) if same and None not in models else None


def _aligned(made: Mapping[str, Mapping[str, Forecast]]) -> dict[str, dict[str, Forecast]]:
    """Symbol to model to forecast, every model on the rows that all models have."""
    symbols = next(iter(made.values())).keys()
    return {s: dict(zip(made, _common([made[m][s] for m in made]), strict=True)) for s in symbols}


def _common(parts: list[Forecast]) -> list[Forecast]:
    times = parts[0].rows.known_at
    for part in parts[1:]:
        times = np.intersect1d(times, part.rows.known_at)
    return [part.take(np.isin(part.rows.known_at, times)) for part in parts]


def _tell(progress: Progress | None, what: str, done: int, total: int) -> None:
    if progress is not None:
        progress(what, done, total)
