"""Probability that the mark price touches a level within the horizon.

A liquidation is a touch of a price below the entry for a long, above it for a short. The reflection principle gives
its probability for a Gaussian walk; a logistic curve, fitted on past forecasts and outcomes, corrects it for jumps
and forecast errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from gearing.features.windows import rolling_max, rolling_min
from gearing.forecasters.rows import Rows
from gearing.forecasters.walk_forward import Forecast, Progress, Schedule, walk_forward
from gearing.market.data import MarketData
from gearing.market.timing import bars_in

Array = NDArray[np.float64]
Side = Literal["down", "up"]
SIZES = (0.01, 0.02, 0.03, 0.05, 0.075, 0.10, 0.15)


def touches(market: MarketData, size: float, side: Side, horizon: str = "24h") -> Array:
    """Whether the mark moves by ``size`` from its close within the horizon: 1, 0, or NaN where not yet known.

    Row k uses the mark's lows (side "down") or highs ("up") of bars k+1 .. k+n, against the mark's close of k.
    """
    n = bars_in(horizon, market.bar)
    extreme = rolling_min(market.mark_low, n) if side == "down" else rolling_max(market.mark_high, n)
    ahead = np.full_like(extreme, np.nan)
    ahead[: max(len(extreme) - n, 0)] = extreme[n:]
    move = ahead / market.mark_close - 1.0
    touched = move <= -size if side == "down" else move >= size
    return np.where(np.isnan(move), np.nan, touched.astype(np.float64))


def log_distance(size: float | Array, side: Side) -> Array:
    """Distance of the touched price in logs, positive."""
    return np.abs(np.log1p(-np.asarray(size) if side == "down" else np.asarray(size)))


def liquidation_size(leverage: float, maintenance_rate: float, side: Literal["long", "short"]) -> float:
    """Move of the mark, as a positive fraction, that liquidates an isolated position without fees or funding.

    A long's equity 1/L + r meets the maintenance of its notional m (1 + r) at r = -(1/L - m) / (1 - m). A position
    that would be liquidated at once is refused.
    """
    distance = 1.0 / leverage - maintenance_rate
    if distance <= 0.0:
        raise ValueError(f"leverage {leverage} is too high for a maintenance rate of {maintenance_rate}.")
    return distance / (1.0 - maintenance_rate if side == "long" else 1.0 + maintenance_rate)


def reflection_probability(variance: Array, distance: float | Array) -> Array:
    """Probability that a driftless Gaussian walk of that variance touches the log distance: 2 P(Z > d / sigma)."""
    from scipy.stats import norm

    return 2.0 * norm.sf(distance / np.sqrt(variance))


class TouchProbability(ClassifierMixin, BaseEstimator):
    """Logistic regression of touches on the reflection principle's probability.

    The first column of a row is the log of the variance forecast for the horizon, the last the log of the log
    distance; columns between them enter unchanged. With ``z`` = distance over volatility the regressors are
    the reflection probability's logit, ln z and its square: slope one on the first alone is the Gaussian
    walk; the data add fat tails and forecast errors.

    Parameters
    ----------
    penalty_strength : float, default=1e-4
        L2 penalty per row.

    Attributes
    ----------
    classes_ : (2,) labels; the second is a touch.
    coef_ : (n_regressors,), intercept_ : float
    """

    def __init__(self, penalty_strength: float = 1e-4):
        self.penalty_strength = penalty_strength

    def fit(self, X: ArrayLike, y: ArrayLike) -> TouchProbability:
        """Fit on stacked rows of several distances."""
        from sklearn.linear_model import LogisticRegression

        X, y = validate_data(self, X, y, dtype=np.float64)
        kind = type_of_target(y, input_name="y", raise_unknown=True)
        if kind != "binary":
            raise ValueError(f"Only binary classification is supported. The type of the target is {kind}.")
        self.classes_, label = np.unique(np.asarray(y), return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"touches and misses are needed, but all rows are of one class, {self.classes_[0]!r}."
            )
        model = LogisticRegression(C=1.0 / (self.penalty_strength * len(label)), max_iter=500)
        model.fit(_regressors(np.asarray(X)), label)
        self.coef_, self.intercept_ = model.coef_[0], float(model.intercept_[0])
        return self

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probability of no touch and of a touch (n_rows, 2)."""
        from scipy.special import expit

        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        touched = expit(_regressors(np.asarray(X)) @ self.coef_ + self.intercept_)
        return np.column_stack([1.0 - touched, touched])

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The more probable class."""
        touched = self.predict_proba(X)[:, 1] > 0.5
        return self.classes_[touched.astype(int)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.poor_score = True  # it fits one curve, not general classification problems
        return tags


def _regressors(X: Array) -> Array:
    from scipy.stats import norm

    log_z = np.clip(X[:, -1] - 0.5 * X[:, 0], -5.0, 5.0)
    log_p = np.log(2.0) + norm.logsf(np.exp(np.minimum(log_z, 2.0)))
    logit = np.clip(log_p - np.log1p(-np.exp(np.minimum(log_p, -1e-6))), -14.0, 14.0)
    return np.column_stack([logit, log_z, log_z**2, X[:, 1:-1]])


def liquidation_probability(
    model: TouchProbability,
    variance: Array,
    leverage: float,
    maintenance_rate: float,
    side: Literal["long", "short"],
) -> Array:
    """Probability that an isolated position is liquidated within the horizon of the variance (n_rows,).

    Parameters
    ----------
    model : TouchProbability
        Fitted on touches "down" for a long, "up" for a short.
    variance : (n_rows,)
        Forecast for the horizon the model was fitted on.
    """
    size = liquidation_size(leverage, maintenance_rate, side)
    distance = np.log(log_distance(size, "down" if side == "long" else "up"))
    rows = np.column_stack([np.log(variance), np.full(len(variance), distance)])
    return model.predict_proba(rows)[:, 1]


def touch_rows(market: MarketData, forecast: Forecast, sizes: Sequence[float], side: Side) -> Rows:
    """Rows of (log variance forecast, log of log distance), one for every forecast and size, size by size."""
    place = forecast.rows.bar_index, forecast.rows.contract
    parts = []
    for size in sizes:
        distance = np.full(len(forecast.value), np.log(log_distance(size, side)))
        X = np.column_stack([np.log(forecast.value), distance])
        y = touches(market, size, side, forecast.rows.horizon)[place]
        parts.append(replace(forecast.rows, X=X, y=y, columns=("log_variance_forecast", "log_distance")))
    return Rows.stacked(parts, kind="event")


def walk_forward_touches(
    market: MarketData,
    forecast: Forecast,
    side: Side,
    sizes: Sequence[float] = SIZES,
    schedule: Schedule | None = None,
    progress: Progress | None = None,
) -> Forecast:
    """Out-of-sample touch probabilities from out-of-sample variance forecasts, one curve for all sizes.

    Returns
    -------
    Forecast
        ``rows.X[:, 1]`` is the log of the log distance; ``last_model`` is a TouchProbability for any size.
    """
    rows = touch_rows(market, forecast, sizes, side)
    schedule = schedule or Schedule(first_train="180d")
    return walk_forward(TouchProbability(), rows, schedule, correct_bias=False, progress=progress)


def of_size(forecast: Forecast, size: float, side: Side) -> Forecast:
    """The probabilities of one size, in order of time."""
    made = forecast.take(np.isclose(forecast.rows.X[:, 1], np.log(log_distance(size, side))))
    return made.take(np.argsort(made.rows.known_at, kind="stable"))


def distance_of_budget(probability: Array, distance: Array, budget: float) -> Array:
    """Log distance at which the touch probability equals the budget.

    Between the distances, and beyond them, the normal quantile of the probability runs straight in the distance: exact
    for a Gaussian walk.

    Parameters
    ----------
    probability : (..., n_sizes)
        Of a touch at each distance; made to fall with distance where it does not.
    distance : (n_sizes,)
        Ascending.
    """
    from scipy.special import ndtri

    falling = np.minimum.accumulate(np.clip(probability, 1e-12, 1.0 - 1e-9), axis=-1)
    z = -ndtri(0.5 * falling)  # rises with distance from 0
    wanted = -float(ndtri(0.5 * budget))
    z = np.concatenate([np.zeros_like(z[..., :1]), z], axis=-1)
    d = np.concatenate([[0.0], distance])
    k = np.clip((z < wanted).sum(axis=-1) - 1, 0, len(d) - 2)
    low, high = (np.take_along_axis(z, (k + step)[..., None], axis=-1)[..., 0] for step in (0, 1))
    slope = np.where(high - low > 1e-9, (d[k + 1] - d[k]) / np.maximum(high - low, 1e-9), 1e3)
    return d[k] + np.maximum(wanted - low, 0.0) * slope
