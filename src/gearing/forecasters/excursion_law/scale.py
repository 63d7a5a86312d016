"""How far the log price of a contract moves over a horizon: a mixture of exponentially weighted variances."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from gearing.market.data import MarketData
from gearing.market.timing import DAY, bars_in, parse_duration
from gearing.names import shown

Array = NDArray[np.float64]
Scale = Callable[[MarketData, Sequence[str]], Array]  # see `mixed_scale`

SHORTEST, LONGEST = np.timedelta64(1, "D"), np.timedelta64(30, "D")
_HALF_LIVES = ("12h", "2d", "5d", "10d", "80d")
_LEAST = 1e-10  # variance of a day: a price that stands still has a scale, too
# Weights of the log variances of these half-lives and, last, of the mean of all the past, at 1, 7 and 30 days: the
# longer the horizon, the slower the variance that forecasts it. Least squares on BTC, ETH, BNB, ADA, BCH and LINK
# before 2023, rounded.
_DAYS = (1.0, 7.0, 30.0)
_WEIGHTS = (
    (0.45, 0.10, 0.25, 0.00, 0.20, 0.00),
    (0.25, 0.10, 0.10, 0.15, 0.20, 0.20),
    (0.10, 0.00, 0.10, 0.20, 0.20, 0.40),
)


def mixed_scale(market: MarketData, horizons: Sequence[str]) -> Array:
    """Standard deviation of the log price over each horizon, from log variances of several half-lives.

    Returns
    -------
    array, shape (n_horizons, n_bars, n_contracts)
        Row k uses mark closes up to the close of bar k. NaN before the second bar of a contract.
    """
    parts = _log_variances(market, _HALF_LIVES, expanding=True)
    weights = [_weights(days_of(horizon)) for horizon in horizons]
    return np.stack(
        [
            np.exp(0.5 * np.tensordot(w, parts, axes=1)) * np.sqrt(days_of(horizon))
            for w, horizon in zip(weights, horizons, strict=True)
        ]
    )


def ewma_scale(half_life: str = "10d") -> Scale:
    """The same from one exponentially weighted variance and the square root of time: the plain choice."""

    def scale(market: MarketData, horizons: Sequence[str]) -> Array:
        variance = _log_variances(market, (half_life,), expanding=False)[0]
        return np.stack([np.exp(0.5 * variance) * np.sqrt(days_of(horizon)) for horizon in horizons])

    return scale


def days_of(horizon: str) -> float:
    """Length of a horizon in days.

    Raises
    ------
    ValueError
        For a horizon that is no whole number of days from 1 to 30.
    """
    if isinstance(horizon, list | tuple | set | dict):
        raise TypeError(f"horizon is {shown(horizon)}; give one, such as '7d'.")
    length = parse_duration(horizon)
    if length % DAY != np.timedelta64(0) or not SHORTEST <= length <= LONGEST:
        raise ValueError(
            f"horizon is {horizon}; the law of excursions knows whole days from 1d to 30d. Longer holding periods: "
            "`gearing.evaluation.risk_by_leverage` counts past ones."
        )
    return float(length / DAY)


def _weights(days: float) -> Array:
    """Weights of a horizon, linear in its log between the tabulated ones."""
    return np.array([np.interp(np.log(days), np.log(_DAYS), w) for w in np.transpose(_WEIGHTS)])


def _log_variances(market: MarketData, half_lives: Sequence[str], *, expanding: bool) -> Array:
    """Log daily variances (n_half_lives, n_bars, n_contracts); with ``expanding``, the mean of all the past last."""
    n_parts = len(half_lives) + expanding
    found = np.full((n_parts, market.n_bars, market.n_contracts), np.nan)
    per_day = float(DAY / market.bar)
    for contract in range(market.n_contracts):
        traded = np.flatnonzero(market.tradable[:, contract])
        if traded.size < 2:
            continue
        squares = np.diff(np.log(market.mark_close[traded, contract])) ** 2
        rows = [_weighted(squares, 0.5 ** (1.0 / bars_in(h, market.bar))) for h in half_lives]
        if expanding:
            rows.append(np.cumsum(squares) / np.arange(1, squares.size + 1))
        found[:, traded[1:], contract] = np.log(np.maximum(np.array(rows) * per_day, _LEAST))
    return found


def _weighted(x: Array, decay: float) -> Array:
    """Exponentially weighted mean of all past values (n,); the weights of a short past sum to one, too."""
    from scipy.signal import lfilter

    weight = lfilter([1.0], [1.0, -decay], np.ones_like(x))
    return lfilter([1.0], [1.0, -decay], x) / weight
