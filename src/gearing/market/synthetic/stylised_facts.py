"""Stylised facts of hourly bars, with target ranges for generators.

Source: evaluation protocol, section 9. Returns are hourly log returns of traded closes; a day is a UTC day;
RV is the sum of squared hourly returns of a day; funding is taken at settlements eight hours apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gearing.drawing import WIDTH, figure_style, new_figure
from gearing.market.data import MarketData
from gearing.market.resampling import resample
from gearing.market.synthetic.generators import synthetic_market
from gearing.market.timing import HOUR, YEAR

HILL_TAIL = 0.05
JUMP_Z = 3.09
LOCAL_HOURS = 168


@dataclass(frozen=True)
class Fact:
    """One statistic: its name, target range, unit, and how it is computed from a :class:`Sample`.

    ``bitcoin`` and ``ether`` are the published values of late 2019 to mid 2026.
    """

    name: str
    low: float
    high: float
    bitcoin: float
    ether: float
    unit: str
    compute: Callable[[Sample], float]


@dataclass(frozen=True)
class Sample:
    """The data behind the statistics.

    Parameters
    ----------
    returns : array, shape (24 n_days,)
        Hourly log returns of whole UTC days.
    log_range : array, shape (24 n_days,)
        ln(high / low) of each hour.
    weekday : array, shape (n_days,)
        0 is Monday.
    funding : array, shape (n_settlements,)
        Rates as fractions per eight hours.
    past_week, next_week : array, shape (n_settlements,)
        Log returns of the seven days before and after each settlement; NaN at the edges.
    """

    returns: np.ndarray
    log_range: np.ndarray
    weekday: np.ndarray
    funding: np.ndarray
    past_week: np.ndarray
    next_week: np.ndarray

    @property
    def by_day(self) -> np.ndarray:
        return self.returns.reshape(-1, 24)

    @property
    def daily(self) -> np.ndarray:
        return self.by_day.sum(axis=1)

    @property
    def realised(self) -> np.ndarray:
        """Daily realised variance."""
        return (self.by_day**2).sum(axis=1)

    @property
    def log_realised(self) -> np.ndarray:
        return np.log(np.maximum(self.realised, 1e-12))

    @classmethod
    def of(cls, market: MarketData, symbol: str | None = None) -> Sample:
        """Take whole days of hourly bars of one contract; shorter bars are aggregated.

        Raises
        ------
        ValueError
            If bars are longer than an hour, or fewer than 60 whole days.
        """
        one = market.select(symbol or market.symbols[0])
        if one.bar > HOUR:
            raise ValueError(f"stylised facts need hourly or shorter bars, {one!r} has longer ones.")
        one = resample(one, "1h", keep_finer=False)
        traded = np.flatnonzero(one.tradable[:, 0])
        one = one.rows(int(traded[0]), int(traded[-1]) + 1)
        hour = one.open_time.astype("datetime64[h]").astype(np.int64) % 24
        first = int((24 - hour[0]) % 24) or 24  # one bar before the first day gives its first return
        days = (one.n_bars - first) // 24
        if days < 60:
            raise ValueError(f"stylised facts need at least 60 whole days, {one!r} has {max(days, 0)}.")
        close = np.log(one.close[:, 0])
        rows = slice(first, first + 24 * days)
        weekday = (one.open_time[first::24][:days].astype("datetime64[D]").astype(np.int64) + 3) % 7
        return cls(
            np.diff(close)[first - 1 : first - 1 + 24 * days],
            np.log(one.high[rows, 0] / one.low[rows, 0]),
            weekday,
            *_funding(one, close),
        )


def _funding(market: MarketData, close: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rates at 00, 08 and 16 UTC (or the venue's own eight-hour clock) with the weeks around them."""
    rows = market.settlements
    hours = rows["time"].astype("datetime64[h]").astype(np.int64)
    phase = np.bincount(hours % 8, minlength=8).argmax() if hours.size else 0
    rows, hours = rows[hours % 8 == phase], hours[hours % 8 == phase]
    at = hours - market.open_time[0].astype("datetime64[h]").astype(
        np.int64
    )  # bar that opens at the settlement
    week = 7 * 24

    def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        inside = (a >= 0) & (b < close.size)
        safe = np.clip(a, 0, close.size - 1), np.clip(b, 0, close.size - 1)
        return np.where(inside, close[safe[1]] - close[safe[0]], np.nan)

    return rows["rate"].copy(), between(at - 1 - week, at - 1), between(at - 1, at - 1 + week)


def autocorrelation(x: np.ndarray, lag: int) -> float:
    """Sample autocorrelation at a lag; NaN where the series is too short."""
    if x.size <= lag + 2:
        return math.nan
    d = x - x.mean()
    return float((d[lag:] * d[:-lag]).sum() / (d * d).sum())


def moment(x: np.ndarray, order: int) -> float:
    """Standardised central moment: 3 is skewness, 4 is kurtosis (3 for a normal law)."""
    d = x - x.mean()
    return float((d**order).mean() / d.std() ** order)


def sums(x: np.ndarray, width: int) -> np.ndarray:
    """Sums of non-overlapping blocks."""
    return x[: x.size // width * width].reshape(-1, width).sum(axis=1)


def variance_ratio(x: np.ndarray, width: int) -> float:
    """Variance of ``width``-period returns (overlapping) over ``width`` times that of one period."""
    total = np.convolve(x - x.mean(), np.ones(width), "valid")
    return float((total**2).mean() / (width * x.var()))


def hill_index(x: np.ndarray, share: float) -> float:
    """Hill's tail index of abs(x) over its largest ``share`` (Hill, 1975)."""
    top = np.sort(np.abs(x))[::-1][: max(int(share * x.size), 2) + 1]
    return float(1.0 / np.log(top[:-1] / top[-1]).mean())


def jump_statistics(by_day: np.ndarray) -> tuple[float, float]:
    """Share of jumps in total variance, 1 - BV / RV, and share of days with a significant jump.

    The share is the daily mean of max(0, 1 - BV / RV). Bipower variation and the ratio statistic with
    tripower quarticity: Barndorff-Nielsen and Shephard (2004), Huang and Tauchen (2005).
    """
    m = by_day.shape[1]
    a = np.abs(by_day)
    realised = (a**2).sum(axis=1)
    bipower = math.pi / 2 * m / (m - 1) * (a[:, 1:] * a[:, :-1]).sum(axis=1)
    mu = 2 ** (2 / 3) * math.gamma(7 / 6) / math.gamma(0.5)
    p = a ** (4 / 3)
    tripower = m * mu**-3 * m / (m - 2) * (p[:, 2:] * p[:, 1:-1] * p[:, :-2]).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = (math.pi**2 / 4 + math.pi - 5) / m * np.maximum(1.0, tripower / bipower**2)
        z = (1.0 - bipower / realised) / np.sqrt(spread)
    share = np.maximum(0.0, 1.0 - bipower / realised)
    return float(np.nanmean(share)), float((z > JUMP_Z).mean())


def local_outliers(x: np.ndarray, hours: int = LOCAL_HOURS, threshold: float = 5.0) -> float:
    """Hours a year in which abs(return) exceeds ``threshold`` standard deviations of the hours before.

    The local standard deviation is that of a normal distribution with the same mean abs(return), so that a single
    large hour does not hide the next one.
    """
    total = np.concatenate([[0.0], np.cumsum(np.abs(x))])
    local = math.sqrt(math.pi / 2) * (total[hours:-1] - total[: -hours - 1]) / hours
    return float((np.abs(x[hours:]) > threshold * local).mean() * 8760)


def _pair(x: np.ndarray, y: np.ndarray) -> float:
    good = np.isfinite(x) & np.isfinite(y)
    return float(np.corrcoef(x[good], y[good])[0, 1]) if good.sum() > 2 else math.nan


def _worst(x: np.ndarray, width: int) -> float:
    total = np.convolve(x, np.ones(width), "valid")
    return float(total.min() * 100)


def _diurnal(s: Sample) -> float:
    by_hour = (s.by_day**2).mean(axis=0)
    return float(by_hour.max() / by_hour.min())


def _weekend(s: Sample) -> float:
    rest = s.weekday >= 5
    return float(np.sqrt(s.realised[rest].mean() / s.realised[~rest].mean()))


def _acf(of: Callable[[Sample], np.ndarray], lag: int) -> Callable[[Sample], float]:
    return lambda s: autocorrelation(of(s), lag)


def _absolute(s: Sample) -> np.ndarray:
    return np.abs(s.returns)


def _leverage_effect(s: Sample) -> float:
    return _pair(s.daily[:-1], s.log_realised[1:])


def _range_ratio(s: Sample) -> float:
    return float(s.log_range.mean() / _absolute(s).mean())


_ROWS: list[Any] = [  # the protocol's table, in its order
    ("sd of daily log return", 2.5, 5.0, 3.3, 4.4, "%", lambda s: s.daily.std() * 100),
    ("median daily volatility", 1.8, 3.5, 2.3, 3.1, "%", lambda s: np.median(np.sqrt(s.realised)) * 100),
    ("kurtosis 1 h", 15, 70, 60, 35, "", lambda s: moment(s.returns, 4)),
    ("kurtosis 24 h", 6, 35, 30, 22, "", lambda s: moment(s.daily, 4)),
    ("kurtosis 7 d", 3.5, 8, 6.6, 6.1, "", lambda s: moment(sums(s.daily, 7), 4)),
    ("skewness 24 h", -1.6, 0.3, -1.5, -1.2, "", lambda s: moment(s.daily, 3)),
    ("Hill tail index 1 h", 2.2, 3.2, 2.5, 2.6, "", lambda s: hill_index(s.returns, HILL_TAIL)),
    ("worst hour", -25, -8, -21, -24, "%", lambda s: _worst(s.returns, 1)),
    ("worst 24 h", -70, -20, -64, -66, "%", lambda s: _worst(s.returns, 24)),
    ("ACF of return, 1 h", -0.05, 0.05, -0.01, -0.01, "", _acf(lambda s: s.returns, 1)),
    ("ACF of return, 24 h", -0.05, 0.05, -0.03, -0.03, "", _acf(lambda s: s.returns, 24)),
    ("variance ratio 24 h", 0.85, 1.15, 0.97, 0.99, "", lambda s: variance_ratio(s.returns, 24)),
    ("variance ratio 168 h", 0.85, 1.15, 0.96, 1.03, "", lambda s: variance_ratio(s.returns, 168)),
    ("ACF of abs return, 1 h", 0.2, 0.35, 0.3, 0.28, "", _acf(_absolute, 1)),
    ("ACF of abs return, 24 h", 0.1, 0.22, 0.17, 0.18, "", _acf(_absolute, 24)),
    ("ACF of abs return, 168 h", 0.07, 0.18, 0.13, 0.14, "", _acf(_absolute, 168)),
    ("ACF of abs return, 720 h", 0.03, 0.11, 0.07, 0.08, "", _acf(_absolute, 720)),
    ("sd of daily log RV", 0.9, 1.4, 1.18, 1.12, "", lambda s: s.log_realised.std()),
    ("ACF of daily log RV, 1 d", 0.4, 0.7, 0.56, 0.61, "", _acf(lambda s: s.log_realised, 1)),
    ("ACF of daily log RV, 7 d", 0.3, 0.6, 0.55, 0.53, "", _acf(lambda s: s.log_realised, 7)),
    ("ACF of daily log RV, 30 d", 0.02, 0.3, 0.21, 0.25, "", _acf(lambda s: s.log_realised, 30)),
    ("day return, next log RV", -0.15, 0.05, -0.05, -0.08, "", _leverage_effect),
    ("jump share 1 - BV/RV", 0.12, 0.18, 0.15, 0.15, "", lambda s: jump_statistics(s.by_day)[0]),
    ("days with a jump", 3, 7, 4.6, 4.9, "%", lambda s: jump_statistics(s.by_day)[1] * 100),
    ("hours beyond 5 local sd", 45, 85, 67, 60, "a year", lambda s: local_outliers(s.returns)),
    ("diurnal variance max/min", 2, 5, 2.7, 2.4, "", _diurnal),
    ("weekend / weekday volatility", 0.6, 0.85, 0.75, 0.78, "", _weekend),
    ("range over abs return, 1 h", 1.8, 2.4, 2.21, 2.2, "", _range_ratio),
    ("funding mean", 0.5, 1.5, 1.1, 1.3, "bp", lambda s: s.funding.mean() * 1e4),
    ("funding sd", 0.8, 3.0, 2.1, 2.8, "bp", lambda s: s.funding.std() * 1e4),
    ("funding share > 0", 0.75, 0.95, 0.85, 0.86, "", lambda s: (s.funding > 0).mean()),
    ("funding share at 1 bp", 0.15, 0.45, 0.36, 0.36, "", lambda s: (np.abs(s.funding - 1e-4) < 5e-9).mean()),
    ("funding ACF 8 h", 0.7, 0.85, 0.8, 0.79, "", _acf(lambda s: s.funding, 1)),
    ("funding ACF 1 d", 0.55, 0.8, 0.69, 0.65, "", _acf(lambda s: s.funding, 3)),
    ("funding ACF 7 d", 0.25, 0.6, 0.46, 0.45, "", _acf(lambda s: s.funding, 21)),
    ("funding ACF 30 d", 0.0, 0.4, 0.32, 0.32, "", _acf(lambda s: s.funding, 90)),
    ("funding, past 7 d return", 0.2, 0.5, 0.36, 0.37, "", lambda s: _pair(s.funding, s.past_week)),
    ("funding, next 7 d return", -0.15, 0.15, -0.06, 0.05, "", lambda s: _pair(s.funding, s.next_week)),
]
FACTS = tuple(Fact(*row) for row in _ROWS)


def describe(market: MarketData, symbol: str | None = None) -> pd.DataFrame:
    """Stylised facts of one contract, with target ranges.

    Returns
    -------
    DataFrame
        Indexed by statistic; columns value, low, high, within (bool), bitcoin, ether (their published values), unit.
        The ranges are for six years; see `period_note`.
    """
    sample = Sample.of(market, symbol)
    return _table([fact.compute(sample) for fact in FACTS])


def period_note(market: MarketData) -> str:
    """Note on how the length of a history affects its table.

    Extremes and slow statistics depend on single episodes: they vary with the period even near six years.
    """
    years = float(market.n_bars * market.bar / YEAR)
    moved = "kurtosis, skewness, worst hour and day, autocorrelations over 7 and 30 days, and funding's level"
    length = f"{years:.1f} years; the ranges are for six, bitcoin and ether cover late 2019 to mid 2026"
    return f"{length}. A shorter period changes {moved} first."


def describe_seeds(
    kind: str = "market-b", seeds: Sequence[int] = range(6), years: float = 6.0, **variant: Any
) -> pd.DataFrame:
    """Median of each fact over several seeds of a synthetic market, as in :func:`describe`."""
    samples = (Sample.of(synthetic_market(kind, seed=seed, years=years, **variant)) for seed in seeds)
    values = np.array([[fact.compute(sample) for fact in FACTS] for sample in samples])
    return _table(list(np.median(values, axis=0)))


def _table(values: list[float]) -> pd.DataFrame:
    table = pd.DataFrame(FACTS).set_index("name").rename_axis("statistic").assign(value=values)
    table["within"] = (table["low"] <= table["value"]) & (table["value"] <= table["high"])
    return table[["value", "low", "high", "within", "bitcoin", "ether", "unit"]]


@figure_style
def plot_facts(market: MarketData, symbol: str | None = None) -> Any:
    """Plot tails, memory of volatility, the daily pattern and funding.

    Returns
    -------
    matplotlib Figure
        Four panels. Needs the extra ``plots``.
    """
    sample = Sample.of(market, symbol)
    figure = new_figure(WIDTH, 6.4)
    tails, memory, day, rates = figure.subplots(2, 2).ravel()
    size = np.sort(np.abs(sample.returns / sample.returns.std()))[::-1]
    tails.loglog(size[size > 0], np.arange(1, (size > 0).sum() + 1) / size.size)
    tails.set(
        title="Tail of hourly returns",
        xlim=(0.1, None),
        xlabel="abs(return), standard deviations",
        ylabel="share beyond",
    )
    lags = np.arange(1, min(721, sample.returns.size // 4))
    memory.plot(lags, [autocorrelation(np.abs(sample.returns), int(lag)) for lag in lags])
    memory.set(title="Memory of abs(return)", xlabel="lag, hours", ylabel="autocorrelation", xscale="log")
    day.bar(np.arange(24), np.sqrt((sample.by_day**2).mean(axis=0)) * 100)
    day.set(title="Volatility by hour", xlabel="hour, UTC", ylabel="% an hour")
    rates.hist(sample.funding * 1e4, bins=80)
    rates.set(title="Funding", xlabel="bp per settlement", ylabel="settlements", yscale="log")
    figure.suptitle(f"{symbol or market.symbols[0]}: {market.name}")
    return figure
