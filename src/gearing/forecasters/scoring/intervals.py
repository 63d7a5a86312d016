"""Conformal prediction intervals of variance forecasts.

The errors of past out-of-sample rows, whose targets had ended, bound the next error. Errors are ratios
target / forecast, so an interval scales with its forecast. They are grouped by the forecast's tercile (Mondrian;
Vovk et al., 2005), because ratios vary more on calm days than on volatile ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gearing.forecasters.walk_forward import Forecast
from gearing.market.timing import parse_duration

Array = NDArray[np.float64]
LEAST = 60  # past errors per group before an interval is given


@dataclass(frozen=True, eq=False)
class Intervals:
    """Lower and upper ends for every row of a forecast.

    Attributes
    ----------
    level : float
        Target coverage.
    lower, upper : (n_rows,) float64
        Variances; NaN with too few past errors.
    group : (n_rows,) int
        Tercile of the forecast among past ones: 0 low, 1, 2 high.
    """

    level: float
    lower: Array
    upper: Array
    group: NDArray[np.int64]


def conformal_intervals(
    forecast: Forecast,
    level: float = 0.9,
    window: str = "365d",
    adapt: float = 0.01,
    lower_base: Array | None = None,
    upper_base: Array | None = None,
) -> Intervals:
    """Intervals from the past errors of the same forecaster.

    Parameters
    ----------
    forecast : Forecast
        Errors of all its contracts are pooled.
    level : float
        Target coverage, such as 0.9: a twentieth below, a twentieth above.
    window : str
        Largest age of the errors used.
    adapt : float
        Step by which the share left outside adapts after each miss or hit, separately for each tercile and
        side (adaptive conformal inference; Gibbs and Candes, 2021); 0 keeps it constant.
    lower_base, upper_base : (n_rows,), optional
        Quantile forecasts to start from instead of the forecast itself (conformalised quantile regression;
        Romano et al., 2019).

    Notes
    -----
    For a row known at time t only rows whose targets ended at or before t count, as errors and as feedback.
    """
    lower = forecast.value if lower_base is None else lower_base
    upper = forecast.value if upper_base is None else upper_base
    return _Calibration(forecast, (lower, upper), level, window, adapt).run()


class _Calibration:
    """Quantiles of past errors, updated over time."""

    def __init__(
        self, forecast: Forecast, bases: tuple[Array, Array], level: float, window: str, adapt: float
    ):
        n = len(forecast.rows)
        self.rows, self.value, self.bases = forecast.rows, forecast.value, bases
        with np.errstate(divide="ignore"):  # a variance of zero has no log error and is left out
            self.errors = [np.log(forecast.rows.y / base) for base in bases]
        self.level, self.window, self.adapt = level, parse_duration(window), adapt
        self.outside = np.full((3, 2), (1.0 - level) / 2.0)  # share left below and above, by tercile
        self.ends, self.group = np.full((2, n), np.nan), np.full(n, -1, dtype=np.int64)
        self.waiting = np.empty(0, dtype=np.int64)  # rows with an interval whose target has not ended

    def run(self) -> Intervals:
        order = np.argsort(self.rows.known_at, kind="stable")
        _, starts = np.unique(self.rows.known_at[order], return_index=True)
        for now in np.split(order, starts[1:]):
            moment = self.rows.known_at[now[0]]
            self._learn(moment)
            past = self._past(moment)
            if len(past) >= 3 * LEAST:
                self._give(now, past)
        return Intervals(self.level, self.ends[0], self.ends[1], self.group)

    def _past(self, moment: np.datetime64) -> NDArray[np.int64]:
        recent = (self.rows.ends_at <= moment) & (self.rows.known_at >= moment - self.window)
        return np.flatnonzero(recent & np.isfinite(self.errors[0]))

    def _give(self, now: NDArray[np.int64], past: NDArray[np.int64]) -> None:
        cuts = np.quantile(self.value[past], [1 / 3, 2 / 3])
        of_past = np.searchsorted(cuts, self.value[past])
        for row in now:
            group = self.group[row] = np.searchsorted(cuts, self.value[row])
            same = past[of_past == group]
            for side, share in enumerate((self.outside[group, 0], 1.0 - self.outside[group, 1])):
                self.ends[side, row] = self.bases[side][row] * np.exp(
                    _quantile(self.errors[side][same], share)
                )
        self.waiting = np.concatenate([self.waiting, now])

    def _learn(self, moment: np.datetime64) -> None:
        ended = self.rows.ends_at[self.waiting] <= moment
        for row in self.waiting[ended]:
            missed = np.array([self.rows.y[row] < self.ends[0, row], self.rows.y[row] > self.ends[1, row]])
            state = self.outside[self.group[row]]
            state += self.adapt * ((1.0 - self.level) / 2.0 - missed)
            np.clip(state, 0.001, 0.4, out=state)
        self.waiting = self.waiting[~ended]


def _quantile(errors: Array, share: float) -> float:
    """Slightly conservative empirical quantile: of n errors the next one is the (n+1)th."""
    ordered, n = np.sort(errors), len(errors)
    place = np.floor(share * (n + 1)) if share < 0.5 else np.ceil(share * (n + 1))
    return float(ordered[np.clip(int(place) - 1, 0, n - 1)])


@dataclass(frozen=True)
class Coverage:
    """How often the realised variance lay inside."""

    inside: float  # share of rows, as the next two
    below: float
    above: float
    by_tercile: tuple[float, float, float]  # share inside for low, medium and high forecasts
    width: float  # mean of ln(upper / lower) of volatility
    pinball: float  # mean pinball loss of the two ends, on log volatility
    n_rows: int


def coverage(y: Array, intervals: Intervals) -> Coverage:
    """Score intervals against the realised variance, where both are known."""
    known = (y > 0.0) & np.isfinite(intervals.lower)
    low, high, truth = (0.5 * np.log(v[known]) for v in (intervals.lower, intervals.upper, y))
    inside, group = (truth >= low) & (truth <= high), intervals.group[known]
    ends = (1.0 - intervals.level) / 2.0
    share = [float(inside[group == tercile].mean()) for tercile in range(3)]
    return Coverage(
        inside=float(inside.mean()),
        below=float((truth < low).mean()),
        above=float((truth > high).mean()),
        by_tercile=(share[0], share[1], share[2]),
        width=float((high - low).mean()),
        pinball=float((pinball(truth, low, ends) + pinball(truth, high, 1.0 - ends)).mean() / 2.0),
        n_rows=int(known.sum()),
    )


def pinball(truth: Array, quantile: Array, share: float) -> Array:
    """Loss of a quantile forecast; least in expectation at the true quantile."""
    miss = truth - quantile
    return np.maximum(share * miss, (share - 1.0) * miss)
