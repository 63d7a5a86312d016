"""Metrics of one equity path: growth, risk and ratios.

A year has 365 days, since these markets never close. Daily values are taken every 24 hours from the first
stamp, whatever the bar. Ratios of a ruined path are NaN, because
the part before ruin can look good.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gearing.market.timing import DAY

DAYS_PER_YEAR = 365.0
RUINED = "ruined"  # in place of a number that a ruined account does not have
EQUITY_FLOOR = 0.001  # of the start; least equity in the logarithm of a ruined account
Floats = NDArray[np.float64]


def years_between(first: np.datetime64, last: np.datetime64) -> float:
    """Years of 365 days from ``first`` to ``last``."""
    return float((last - first) / DAY) / DAYS_PER_YEAR


def daily_equity(time: ArrayLike, equity: ArrayLike) -> Floats:
    """Equity every 24 hours from the first stamp; an incomplete last day is dropped.

    Parameters
    ----------
    time : datetime64 array, shape (n,)
        Ascending.
    equity : array, shape (n,)
        In the settle coin, at these times.

    Returns
    -------
    array, shape (n_days + 1,)
        The first value is the start.
    """
    time, equity = _checked_path(time, equity)
    whole_days = int((time[-1] - time[0]) // DAY)
    stamps = time[0] + np.arange(whole_days + 1) * DAY
    return equity[np.searchsorted(time, stamps, side="right") - 1]


def daily_returns(time: ArrayLike, equity: ArrayLike) -> Floats:
    """Simple returns of each 24 hours, shape (n_days,)."""
    daily = _floored(daily_equity(time, equity))
    return daily[1:] / daily[:-1] - 1.0


def daily_log_growth(time: ArrayLike, equity: ArrayLike) -> Floats:
    """Log growth of each 24 hours, shape (n_days,), for inference."""
    return np.diff(np.log(_floored(daily_equity(time, equity))))


def log_growth(equity: ArrayLike, years: float) -> float:
    """Log growth per year: ln(end / start) / years."""
    equity = _floored(np.asarray(equity, dtype=float))
    return float(np.log(equity[-1] / equity[0]) / years)


def annual_return(equity: ArrayLike, years: float) -> float:
    """Compound annual growth rate, a fraction."""
    return float(np.expm1(log_growth(equity, years)))


def volatility(returns: ArrayLike, periods: float = DAYS_PER_YEAR) -> float:
    """Standard deviation of returns per year; ``periods`` returns make a year."""
    returns = np.asarray(returns, dtype=float)
    return float(returns.std(ddof=1) * np.sqrt(periods)) if returns.size > 1 else np.nan


def sharpe_ratio(returns: ArrayLike, periods: float = DAYS_PER_YEAR) -> float:
    """Mean over standard deviation of returns, per year, against a rate of zero; NaN where nothing varies."""
    returns = np.asarray(returns, dtype=float)
    if returns.size < 2 or np.ptp(returns) == 0.0:
        return np.nan
    return float(returns.mean() / returns.std(ddof=1) * np.sqrt(periods))


def sortino_ratio(returns: ArrayLike, periods: float = DAYS_PER_YEAR) -> float:
    """Mean over downside deviation (root mean square of losses over all periods), per year."""
    returns = np.asarray(returns, dtype=float)
    downside = np.sqrt(np.mean(np.minimum(returns, 0.0) ** 2)) if returns.size else 0.0
    return float(returns.mean() / downside * np.sqrt(periods)) if downside > 0.0 else np.nan


def max_drawdown(equity: ArrayLike) -> float:
    """Largest loss from a peak, a fraction of the peak (0.25 = a quarter was lost)."""
    equity = np.asarray(equity, dtype=float)
    return float(np.max(1.0 - equity / np.maximum.accumulate(equity)))


def drawdown_within(start: float, lowest: ArrayLike, highest: ArrayLike, within: ArrayLike) -> float:
    """Largest loss from a peak at the resolution of bars, from the extremes of every decision interval.

    Parameters
    ----------
    start : float
        Equity at the beginning.
    lowest, highest, within : arrays, shape (n_intervals,)
        Lowest and highest equity at the closes of an interval's bars, and the largest fall inside it. A fall ends in
        some interval; its peak lies before that interval or inside it, so these three decide.
    """
    peaks = np.maximum.accumulate(np.concatenate([[start], np.asarray(highest, dtype=float)]))[:-1]
    return float(np.max(np.maximum(1.0 - np.asarray(lowest, dtype=float) / peaks, within)))


def calmar_ratio(equity: ArrayLike, years: float, worst: float | None = None) -> float:
    """Compound annual growth rate over the largest drawdown, that of ``equity`` unless given."""
    worst = max_drawdown(equity) if worst is None else worst
    return annual_return(equity, years) / worst if worst > 0.0 else np.nan


def conditional_value_at_risk(returns: ArrayLike, tail: float = 0.05) -> float:
    """Mean of the worst ``tail`` of returns (negative for a loss).

    Where the tail is not a whole number of returns, the last one counts in part (Rockafellar and Uryasev,
    2002).
    """
    returns = np.sort(np.asarray(returns, dtype=float))
    if returns.size == 0:
        return np.nan
    weights = np.clip(tail * returns.size - np.arange(returns.size), 0.0, 1.0)
    return float(returns @ weights / weights.sum())


@dataclass(frozen=True)
class Performance:
    """One policy's row in a table of results; rates are per year of 365 days, shares are fractions."""

    years: float
    ruined: bool
    log_growth: float
    annual_return: float
    volatility: float
    sharpe: float
    sortino: float
    calmar: float
    max_drawdown: float
    cvar_95: float

    def as_row(self) -> dict[str, float | str]:
        """Values by name, with the word "ruined" in place of growth and ratios of a ruined path.

        Its growth would be that of a floor of equity, spread over years in which there was no account.
        """
        row = asdict(self)
        if self.ruined:
            row |= dict.fromkeys(("log_growth", "annual_return", "sharpe", "sortino", "calmar"), RUINED)
        return row


def performance(
    time: ArrayLike, equity: ArrayLike, ruined: bool = False, drawdown: float | None = None
) -> Performance:
    """Measure one equity path.

    Parameters
    ----------
    time : datetime64 array, shape (n,)
        Ascending; the first is the start, the last the end of the period, also for an account that
        was ruined before (its equity stays constant).
    equity : array, shape (n,)
        Equity at these times [settle coin].
    ruined : bool
        Whether the account fell below the fraction of its start at which it counts as ruined.
    drawdown : float, optional
        Largest drawdown at a finer resolution than that of ``equity``, see :func:`drawdown_within`.

    Raises
    ------
    ValueError
        Shapes differ, stamps do not ascend, or a value is NaN.
    """
    time, equity = _checked_path(time, equity)
    years = years_between(time[0], time[-1])
    returns = daily_returns(time, equity)
    floored = _floored(equity)
    worst = min(max_drawdown(equity) if drawdown is None else drawdown, 1.0)
    return Performance(
        years=years,
        ruined=ruined,
        log_growth=log_growth(equity, years),
        annual_return=annual_return(equity, years),
        volatility=volatility(returns),
        sharpe=np.nan if ruined else sharpe_ratio(returns),
        sortino=np.nan if ruined else sortino_ratio(returns),
        calmar=np.nan if ruined else calmar_ratio(floored, years, worst),
        max_drawdown=worst,
        cvar_95=conditional_value_at_risk(returns),
    )


def leverage_profile(effective_leverage: ArrayLike) -> dict[str, float]:
    """Mean, 5th and 95th percentile of the size of effective leverage (notional over equity) over time."""
    size = np.abs(np.asarray(effective_leverage, dtype=float))
    low, high = np.quantile(size, [0.05, 0.95])
    return {"effective_leverage": float(size.mean()), "leverage_p05": float(low), "leverage_p95": float(high)}


def activity(
    years: float, equity: ArrayLike, totals: Mapping[str, float], liquidations: int
) -> dict[str, float]:
    """Activity and costs of an account, per year.

    Parameters
    ----------
    years : float
    equity : array, shape (n,)
        Sets the scale: money is divided by its mean.
    totals : mapping
        Sums over the period [settle coin], for example ``{"turnover": ..., "fees": ..., "funding": ...}``.
    liquidations : int
        Number over the period.
    """
    scale = float(np.mean(_floored(np.asarray(equity, dtype=float)))) * years
    return {name: total / scale for name, total in totals.items()} | {"liquidations": liquidations / years}


def _floored(equity: Floats) -> Floats:
    return np.maximum(equity, EQUITY_FLOOR * equity[0])


def _checked_path(time: ArrayLike, equity: ArrayLike) -> tuple[NDArray[np.datetime64], Floats]:
    time, equity = np.asarray(time, dtype="datetime64[ms]"), np.asarray(equity, dtype=float)
    if time.shape != equity.shape or time.ndim != 1 or time.size < 2:
        raise ValueError(
            f"time has shape {time.shape} and equity {equity.shape}; both are one-dimensional, of the same "
            "length, at least 2."
        )
    if np.any(np.diff(time) <= np.timedelta64(0)):
        raise ValueError("time must ascend strictly.")
    if not np.all(np.isfinite(equity)) or equity[0] <= 0.0:
        raise ValueError("equity must be finite, and positive at the start.")
    return time, equity
