"""Walk-forward forecasts: fit on targets that have ended, forecast the rows that follow.

At a refit at time T the training rows are those whose targets end at or before T (purged by the horizon, and
by an optional embargo). The model forecasts the rows known from T until the next refit. So
every forecast is out of sample and carries the stamp T.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gearing.forecasters.rows import Rows, on_clock
from gearing.market.timing import parse_duration

Progress = Callable[[int, int], None]  # blocks done, blocks in total


@dataclass(frozen=True)
class Schedule:
    """When a model is refitted, and on which rows.

    Parameters
    ----------
    first_train : str
        Length of the first training window, from the first row.
    window : str or None
        Length of a rolling window; None lets it grow from the first row.
    refit : str
        "month" (at 00:00 UTC of every first day), or a duration.
    fit_every : str or None
        Training rows are those on this clock. None takes closes at 00:00 UTC for a horizon of a day or more,
        and for a shorter one rows a horizon apart, which cover every hour.
    embargo : str
        Extra gap between the end of the last training target and the refit.
    """

    first_train: str = "365d"
    window: str | None = None
    refit: str = "month"
    fit_every: str | None = None
    embargo: str = "0h"

    def clock(self, horizon: str) -> str:
        """Clock of the training rows of a horizon."""
        return self.fit_every or min(horizon, "24h", key=parse_duration)

    def refits(self, first: np.datetime64, last: np.datetime64) -> NDArray[np.datetime64]:
        """Moments of fitting (n_blocks,) for rows known between ``first`` and ``last``."""
        start = first + parse_duration(self.first_train)
        if self.refit == "month":
            months = np.arange(start.astype("datetime64[M]") + 1, last.astype("datetime64[M]") + 1)
            return months.astype("datetime64[ms]")
        day = start.astype("datetime64[D]").astype("datetime64[ms]")
        first_refit = day if day >= start else day + np.timedelta64(86_400_000, "ms")
        return np.arange(first_refit, last + np.timedelta64(1, "ms"), parse_duration(self.refit))


@dataclass(frozen=True, eq=False)
class Forecast:
    """Out-of-sample forecasts of rows.

    Attributes
    ----------
    rows : Rows
        The rows forecast, of the period after the first refit.
    value : (n_rows,) float64
    fitted_until : (n_rows,) datetime64[ms]
        Moment of the refit; no training target ended later.
    last_model : object
        The newest fitted estimator with its bias correction, for export.
    """

    rows: Rows
    value: NDArray[np.float64]
    fitted_until: NDArray[np.datetime64]
    last_model: Any = None

    def on_bars(self, n_bars: int, n_contracts: int) -> tuple[NDArray[np.float64], NDArray[np.datetime64]]:
        """Values and stamps as (n_bars, n_contracts); NaN and NaT where there is no forecast."""
        values = np.full((n_bars, n_contracts), np.nan)
        stamps = np.full((n_bars, n_contracts), np.datetime64("NaT"), dtype="datetime64[ms]")
        place = self.rows.bar_index, self.rows.contract
        values[place], stamps[place] = self.value, self.fitted_until
        return values, stamps

    def take(self, keep: np.ndarray) -> Forecast:
        """Forecasts of the rows selected by a mask or an index."""
        return Forecast(self.rows.take(keep), self.value[keep], self.fitted_until[keep], self.last_model)


def walk_forward(
    estimator: Any,
    rows: Rows,
    schedule: Schedule | None = None,
    *,
    train: Rows | None = None,
    weight: NDArray[np.float64] | None = None,
    correct_bias: bool = True,
    n_jobs: int = 1,
    progress: Progress | None = None,
) -> Forecast:
    """Forecast every row after the first training window by a model not fitted on it.

    Parameters
    ----------
    estimator : scikit-learn regressor
        Cloned for every fit.
    rows : Rows
        Forecasts are made for all of them.
    train : Rows, optional
        Rows that models are fitted on, of the same columns and horizon, perhaps of other contracts; those on the
        schedule's clock with a positive target count, and the first training window begins with the first. By
        default the rows that are forecast.
    weight : (n_train_rows,), optional
        Weights of the training rows.
    correct_bias : bool, default=True
        Multiply by the mean of target / forecast of earlier out-of-sample rows (the smearing estimate of log
        models, from residuals no fit has seen). Starts after 90 of them.
    n_jobs : int, default=1
        Blocks are independent and may run in parallel processes.
    progress : callable, optional
        ``progress(done, total)`` after every block.

    Raises
    ------
    ValueError
        If the history is too short for one training window and one forecast.
    """
    schedule, train = schedule or Schedule(), rows if train is None else train
    blocks = list(_blocks(rows, train, schedule))
    if not blocks:
        raise ValueError(
            f"{len(rows)} rows from {rows.known_at.min()} to {rows.known_at.max()} leave nothing to forecast "
            f"after a first training window of {schedule.first_train}; load more or shorten first_train."
        )
    raw, models = _run(estimator, rows, train, weight, blocks, n_jobs, progress)
    inside = np.concatenate([block.forecast for block in blocks])
    stamps = np.concatenate([np.full(len(b.forecast), b.moment) for b in blocks])
    made = Forecast(rows.take(inside), np.concatenate(raw), stamps, models[-1])
    return rescaled(made, schedule) if correct_bias else made


@dataclass(frozen=True)
class _Block:
    moment: np.datetime64
    train: NDArray[np.int64]
    forecast: NDArray[np.int64]


def _blocks(rows: Rows, training: Rows, schedule: Schedule) -> Iterator[_Block]:
    trainable = on_clock(training.known_at, schedule.clock(rows.horizon)) & training.trainable
    moments = schedule.refits(training.known_at.min(), rows.known_at.max())
    ends = np.append(moments[1:], np.datetime64("9999-01-01", "ms"))
    for moment, following in zip(moments, ends[: len(moments)], strict=True):
        ended = training.ends_at <= moment - parse_duration(schedule.embargo)
        if schedule.window is not None:
            ended &= training.known_at >= moment - parse_duration(schedule.window)
        train = np.flatnonzero(trainable & ended)
        forecast = np.flatnonzero((rows.known_at >= moment) & (rows.known_at < following))
        if len(train) and len(forecast):
            yield _Block(moment, train, forecast)


def _run(
    estimator: Any,
    rows: Rows,
    train: Rows,
    weight: NDArray[np.float64] | None,
    blocks: list[_Block],
    n_jobs: int,
    progress: Progress | None,
) -> tuple[list[NDArray[np.float64]], list[Any]]:
    from joblib import Parallel, delayed

    jobs = (
        delayed(_fit_and_forecast)(
            estimator,
            train.X[b.train],
            train.y[b.train],
            rows.X[b.forecast],
            {} if weight is None else {"sample_weight": weight[b.train]},
        )
        for b in blocks
    )
    values, models = [], []
    for done, (value, model) in enumerate(Parallel(n_jobs=n_jobs, return_as="generator")(jobs), start=1):
        values.append(value)
        models.append(model)
        if progress is not None:
            progress(done, len(blocks))
    return values, models


def _fit_and_forecast(
    estimator: Any, X: np.ndarray, y: np.ndarray, ahead: np.ndarray, weights: dict[str, np.ndarray]
) -> tuple[NDArray[np.float64], Any]:
    from sklearn.base import clone

    model = clone(estimator).fit(X, y, **weights)
    values = model.predict_proba(ahead)[:, 1] if hasattr(model, "predict_proba") else model.predict(ahead)
    return values, model


LEAST_RESIDUALS = 90  # over fewer days one crash dominates the mean of exp(residual)


def rescaled(made: Forecast, schedule: Schedule | None = None) -> Forecast:
    """Forecasts times the mean of target / forecast of earlier rows on the clock of training, block by block.

    Parameters
    ----------
    made : Forecast
        Of ``walk_forward(..., correct_bias=False)`` under the same schedule.
    """
    from gearing.forecasters.models.scaled import ScaledForecaster

    schedule = schedule or Schedule()
    ratio = made.rows.y / made.value
    counts = on_clock(made.rows.known_at, schedule.clock(made.rows.horizon)) & np.isfinite(ratio)
    value, scale = made.value.copy(), 1.0
    for moment in np.unique(made.fitted_until):
        scale = past_scale(ratio, counts & (made.rows.ends_at <= moment))
        value[made.fitted_until == moment] *= scale
    return Forecast(made.rows, value, made.fitted_until, ScaledForecaster(made.last_model, scale))


def past_scale(ratio: NDArray[np.float64], past: NDArray[np.bool_]) -> float:
    """Mean of target / forecast over past rows, 1 while there are few; the scale of least QLIKE."""
    return float(ratio[past].mean()) if past.sum() >= LEAST_RESIDUALS else 1.0
