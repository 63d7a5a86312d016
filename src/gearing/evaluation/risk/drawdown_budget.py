"""A budget for drawdowns: the scale at which the mean largest drawdown of a year is within it, and what was realised.

The same for every policy, rule or agent: it needs the policy's past daily returns alone. Returns are taken to grow in
proportion to the scale, costs included, and a floor (`gearing.policies.controls.DrawdownFloor` with a window of 365
days) acts along the resampled years as it acts on an account. A year is drawn for it to begin with: a budget is about
any 365 days of an account, and an account that begins a year below its peak has less exposure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gearing.evaluation.metrics import DAYS_PER_YEAR
from gearing.evaluation.statistics.bootstrap import stationary_indices
from gearing.names import shown

WINDOW = 365  # days
_FEWEST_DAYS = 60  # of past returns
_MOST_SCALE = 64.0
_BISECTIONS = 30
_LEAST_LEFT = 1e-3  # of equity: a day that loses all of it and more leaves this


@dataclass(frozen=True)
class BudgetScale:
    """The scale of a policy for a drawdown budget.

    Attributes
    ----------
    scale : float
        What the policy's targets are multiplied by.
    drawdown : float
        Promised: mean largest drawdown of the resampled years at this scale, a fraction.
    growth : float
        Promised: mean log growth a year of the resampled years at this scale.
    n_days : int
        Past days that the resampled years are drawn from.
    """

    scale: float
    drawdown: float
    growth: float
    n_days: int


def scale_to_budget(
    returns: ArrayLike,
    budget: float,
    *,
    floor: float | None = None,
    mean_block: float = 20.0,
    replications: int = 500,
    most: float = _MOST_SCALE,
    seed: int = 0,
) -> BudgetScale:
    """The largest scale at which resampled years of past returns lose at most the budget, in the mean.

    Parameters
    ----------
    returns : array, shape (n_days,)
        Simple daily returns of the policy at scale 1, all known when the scale is used.
    budget : float
        Largest mean of the largest drawdown of 365 days, a fraction.
    floor : float, optional
        Limit of the drawdown floor that the account has, with a window of 365 days; None for none.
    mean_block : float
        Mean block of the stationary bootstrap [days].
    replications : int
        Resampled years.
    most : float
        Largest scale, which a policy without losses gets.
    seed : int

    Raises
    ------
    ValueError
        For fewer than 60 returns, returns that are not finite, or a budget or floor outside (0, 1).
    """
    past = _checked(returns, budget, floor)
    paths = _resampled_years(past, mean_block, replications, seed)

    def drawdown(scale: float) -> float:
        return float(scaled_years(paths, scale, floor)[1].mean())

    scale = _largest_within(drawdown, budget, most)
    growth, worst = scaled_years(paths, scale, floor)
    return BudgetScale(scale, float(worst.mean()), float(growth.mean()), past.size)


def _checked(returns: ArrayLike, budget: float, floor: float | None) -> np.ndarray:
    past = np.asarray(returns, np.float64)
    if past.ndim != 1 or past.size < _FEWEST_DAYS or not np.isfinite(past).all():
        raise ValueError(
            f"a budget is fitted to at least {_FEWEST_DAYS} finite daily returns; given are {past.size} of shape "
            f"{past.shape}. Begin later, or load a longer history."
        )
    for name, value in (("budget", budget), ("floor", floor)):
        if value is not None and not 0.0 < value < 1.0:
            raise ValueError(f"{name} is {shown(value)}; it must be a fraction between 0 and 1.")
    return past


def _resampled_years(past: np.ndarray, mean_block: float, replications: int, seed: int) -> np.ndarray:
    """Two years of past returns in blocks (n_paths, 730)."""
    rng = np.random.default_rng(seed)
    pieces, n = [], past.size
    for _ in range(-(-2 * WINDOW // n)):  # a shorter past is drawn several times
        pieces.append(past[stationary_indices(n, min(mean_block, float(n)), replications, rng)])
    return np.concatenate(pieces, axis=1)[:, : 2 * WINDOW]


def scaled_years(
    returns: np.ndarray, scale: float, floor: float | None, window: int = WINDOW
) -> tuple[np.ndarray, np.ndarray]:
    """Log growth a year and largest drawdown of the second half of paths of daily returns, each (n_paths,).

    Parameters
    ----------
    returns : (n_paths, 2 x window)
        At scale 1.
    floor : float, optional
        Exposure is scale x (floor - drawdown) / floor, as long as it is positive; the drawdown is that from the
        highest equity of the last ``window`` days.
    """
    if floor is None:
        grown = np.cumprod(np.maximum(1.0 + scale * returns[:, window:], _LEAST_LEFT), axis=1)
        return _measured(np.concatenate([np.ones((len(returns), 1)), grown], axis=1))
    equity = np.ones((len(returns), 2 * window + 1))
    later = np.zeros((len(returns), window + 1))  # highest equity from a day of the first half to its end
    now = equity[:, 0]  # highest equity since the current half began
    for day in range(2 * window):
        if day == window:
            later[:, :window] = np.maximum.accumulate(equity[:, window - 1 :: -1], axis=1)[:, ::-1]
            now = equity[:, day]
        now = np.maximum(now, equity[:, day])
        peak = now if day < window else np.maximum(now, later[:, day - window + 1])
        left = np.maximum(1.0 - (1.0 - equity[:, day] / peak) / floor, 0.0)
        gain = np.maximum(1.0 + scale * left * returns[:, day], _LEAST_LEFT)
        equity[:, day + 1] = equity[:, day] * gain
    return _measured(equity[:, window:])


def _measured(equity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log growth a year and largest drawdown of paths (n_paths, n_days + 1), each (n_paths,)."""
    growth = np.log(equity[:, -1] / equity[:, 0]) * DAYS_PER_YEAR / (equity.shape[1] - 1)
    return growth, (1.0 - equity / np.maximum.accumulate(equity, axis=1)).max(axis=1)


def _largest_within(value: Callable[[float], float], budget: float, most: float) -> float:
    """Largest argument up to ``most`` with an increasing value within the budget."""
    if value(most) <= budget:
        return most
    low, high = 0.0, most
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if value(middle) <= budget else (low, middle)
    return low


def window_drawdowns(equity: ArrayLike, window: int = WINDOW) -> np.ndarray:
    """Largest drawdown of every window of days (n_windows,), one beginning at each day; of all days if they are fewer.

    Parameters
    ----------
    equity : array, shape (n_days + 1,)
        At daily closes; the peak of a window begins with its first value.
    """
    values = np.asarray(equity, np.float64)
    length = min(window + 1, values.size)
    block, whole = _Stretches.of_one(values), None
    while length:  # a window is one stretch for each binary digit of its length, and stretches double
        if length & 1:
            whole = block if whole is None else whole.followed_by(block)
        length >>= 1
        block = block.followed_by(block) if length else block
    assert whole is not None
    return whole.drawdown


@dataclass(frozen=True)
class _Stretches:
    """Highest and lowest value and largest drawdown of all stretches of one length, by their first value."""

    length: int
    highest: np.ndarray
    lowest: np.ndarray
    drawdown: np.ndarray

    @classmethod
    def of_one(cls, values: np.ndarray) -> "_Stretches":
        return cls(1, values, values, np.zeros_like(values))

    def followed_by(self, other: "_Stretches") -> "_Stretches":
        """Each stretch with that of ``other`` which begins where it ends."""
        count = self.highest.size - other.length
        highest, lowest = self.highest[:count], other.lowest[self.length :]
        # what was all lost leaves 0 of 0
        left = np.divide(lowest, highest, out=np.zeros(count), where=highest > 0.0)
        worst = np.maximum(self.drawdown[:count], other.drawdown[self.length :])
        return _Stretches(
            self.length + other.length,
            np.maximum(highest, other.highest[self.length :]),
            np.minimum(self.lowest[:count], lowest),
            np.maximum(worst, 1.0 - left),
        )


def chance_of_drawdown(
    returns: ArrayLike,
    scale: float,
    days: int,
    *,
    floor: float | None = None,
    level: float = 0.9,
    mean_block: float = 20.0,
    replications: int = 100,
    seed: int = 0,
) -> tuple[float, float]:
    """Between what values chance alone puts `realised_drawdown` of an account, if the future is as the past.

    Accounts that begin at their peak are played along resampled past returns for as long as a test lasts. A few years
    hold few separate falls, so a promise that is exact is often missed by a tenth.

    Parameters
    ----------
    returns, scale, floor, mean_block, seed
        As of `scale_to_budget`, which found the scale.
    days : int
        Of the test.
    level : float
        Share of the accounts inside.
    """
    past = np.asarray(returns, np.float64)
    indices = np.concatenate(
        [
            stationary_indices(past.size, min(mean_block, float(past.size)), replications, rng)
            for rng in np.random.default_rng(seed).spawn(-(-days // past.size))
        ],
        axis=1,
    )[:, :days]
    equity = np.ones((replications, days + 1))
    for day in range(days):
        peak = equity[:, max(0, day + 1 - WINDOW) : day + 1].max(axis=1)
        left = 1.0 if floor is None else np.maximum(1.0 - (1.0 - equity[:, day] / peak) / floor, 0.0)
        gain = np.maximum(1.0 + scale * left * past[indices[:, day]], _LEAST_LEFT)
        equity[:, day + 1] = equity[:, day] * gain
    found = [float(window_drawdowns(path).mean()) for path in equity]
    low, high = np.quantile(found, [0.5 - 0.5 * level, 0.5 + 0.5 * level])
    return float(low), float(high)


def realised_drawdown(returns: ArrayLike, window: int = WINDOW) -> float:
    """Mean largest drawdown of the windows of a series of daily returns: what a budget's promise is compared with."""
    return float(window_drawdowns(_equity(np.asarray(returns, np.float64)), window).mean())


def equal_risk_scale(returns: ArrayLike, budget: float, window: int = WINDOW) -> float:
    """Constant that a series of daily returns is multiplied by so that its mean largest drawdown equals the budget.

    Hindsight: it compares policies at equal realised risk and is no part of any decision.
    """
    values = np.asarray(returns, np.float64)
    return _largest_within(lambda scale: realised_drawdown(scale * values, window), budget, _MOST_SCALE)


def equal_risk_growth(returns: ArrayLike, budget: float) -> np.ndarray:
    """Log growth of each day (n_days,) at `equal_risk_scale`; -inf on a day that loses all of equity at that scale.

    A mean with such a day is -inf as well: the account is ruined, whatever the other days earn.
    """
    values = np.asarray(returns, np.float64)
    scaled = equal_risk_scale(values, budget) * values
    return np.log1p(scaled, out=np.full(scaled.shape, -np.inf), where=scaled > -1.0)


def _equity(returns: np.ndarray) -> Any:
    return np.concatenate([[1.0], np.cumprod(np.maximum(1.0 + returns, _LEAST_LEFT))])
