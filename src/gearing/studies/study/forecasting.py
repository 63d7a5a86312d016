"""An experiment's forecast."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gearing.forecasters import ForecastColumn
    from gearing.market import MarketData
    from gearing.studies.forecast.report import ForecastReport
    from gearing.studies.study.config import StudyConfig


def forecast_column(config: StudyConfig, market: MarketData) -> ForecastColumn:
    """The forecast that the experiment requests, out of sample at every bar."""
    from gearing.forecasters import forecast_volatility_column

    arguments = forecast_arguments(config)
    if arguments is None:
        raise ValueError(
            f"{config.name}: forecast is null; name a forecaster, as in forecast.forecaster=har_dow."
        )
    return forecast_volatility_column(market, **arguments)


def forecast_arguments(config: StudyConfig) -> dict[str, Any] | None:
    """The same as arguments of ``forecast_volatility_column``; None where the experiment has no forecast."""
    asked = config.forecast
    if asked is None:
        return None
    return {
        "forecaster": asked.forecaster, "horizon": asked.horizon, "schedule": asked.schedule, **asked.settings
    }  # fmt: skip


def run_tracked_forecast(
    experiment: str | Path,
    overrides: Iterable[str] = (),
    *,
    tracked: bool = True,
    progress: bool = False,
) -> ForecastReport:
    """Run a forecasting experiment, recorded in MLflow unless asked not to.

    Finished forecasts are kept beside the runs, so that the same experiment goes on where it was killed.
    """
    from contextlib import ExitStack

    from gearing.studies.forecast.config import ForecastConfig
    from gearing.studies.forecast.run import run_forecast
    from gearing.tracking import Tracker

    config = ForecastConfig.read(experiment, overrides)
    cache = Path("runs") / f"forecast-{config.name}"
    with ExitStack() as stack:
        tell = stack.enter_context(_bar(config.name)) if progress else None
        run = None
        if tracked:
            tracker = Tracker()
            stack.callback(tracker.close)
            run = stack.enter_context(tracker.run(f"forecast {config.name}"))
        return run_forecast(config, run=run, cache=cache, progress=tell)


@contextmanager
def _bar(name: str) -> Iterator[Callable[[str, int, int], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, transient=True) as bars:
        task = bars.add_task(name, total=None)
        yield lambda what, done, total: bars.update(task, description=what, completed=done, total=total)
