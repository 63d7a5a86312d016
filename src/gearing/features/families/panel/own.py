"""A contract compared with its own month, in units that are the same for every contract.

Logs of variance are relative to the log of the last 30 days' variance, returns to its square root. Windows hold what
there is of them: a contract has all columns ten days after its listing, and a window of a year is the whole history
until it is a year old.
"""

from functools import partial

import numpy as np

from gearing.features.families.funding import funding_by_bar
from gearing.features.families.liquidity import quote_volume
from gearing.features.families.returns import bar_returns
from gearing.features.families.volatility import BIPOWER, log_variance_feature
from gearing.features.feature import feature
from gearing.features.streaming.memory import once
from gearing.features.windows import Array, lag, mean_so_far
from gearing.market import MarketData
from gearing.market.timing import bars_in, bars_per_day

LEAST = "10d"  # history from which on there are values
MONTH = "30d"
FLOOR = 1e-12  # variance per day of a price that never moved
HALF_LIVES = 5  # after which exponential weights are cut off: 3 % of the newest
LONGEST = 5.0  # returns, in standard deviations of the month, that are told apart
WEEKS = 12  # of a weekday's mean, weighted by halves of 10 weeks
WEEK_DECAY = 0.5 ** (1.0 / 10.0)
WEEK_PRIOR = 8.0  # weeks without a weekday effect that are added
relative_feature = partial(
    feature,
    unit="log, relative to the month",
    lower=-30.0,  # a price that did not move: the log of FLOOR
    upper=30.0,
    lookback=("1bar", MONTH, "{window}"),
    least=LEAST,
)
scaled_feature = partial(
    feature,
    unit="standard deviations",
    lookback=("1bar", MONTH, "{window}"),
    least=LEAST,
    source="leverage effect: Corsi and Reno (2012), scaled by the month's volatility",
)


def _per_day(market: MarketData, per_bar: Array, window: str, decay: float = 1.0) -> Array:
    """Log of the mean of what every bar adds, per day, over the bars that there are of the window."""
    n = bars_in(window, market.bar)
    least = min(n, bars_in(LEAST, market.bar))
    mean = mean_so_far(per_bar, n, decay, least) * bars_per_day(market.bar)
    return np.log(np.maximum(mean, FLOOR))


@once
def level(market: MarketData) -> Array:
    """Log of variance per day over the last 30 days, or since the listing (n_bars, n_contracts)."""
    return _per_day(market, bar_returns(market) ** 2, MONTH)


@log_variance_feature(
    lookback=("1bar", MONTH), least=LEAST, source="level that the panel's columns are relative to"
)
def panel_level(market: MarketData) -> Array:
    """Log of realised variance per day over the last 30 days, or since the listing."""
    return level(market)


def _relative(market: MarketData, per_bar: Array, window: str, decay: float = 1.0) -> Array:
    return _per_day(market, per_bar, window, decay) - level(market)


@relative_feature(
    windows=("6h", "12h", "24h", "2d", "3d", "5d", "7d", "14d", "60d", "90d", "180d", "365d"),
    source="HAR components: Corsi (2009), centred as in Bollerslev et al. (2018)",
)
def relative_log_variance(market: MarketData, window: str) -> Array:
    """Log of realised variance of the window over that of the month."""
    return _relative(market, bar_returns(market) ** 2, window)


@relative_feature(
    windows=("24h", "2d", "4d", "8d", "16d", "32d"),
    lookback=("1bar", MONTH, f"{HALF_LIVES}x{{window}}"),
    source="exponentially weighted variance: Bollerslev et al. (2018), HExp",
)
def relative_ewma_log_variance(market: MarketData, window: str) -> Array:
    """Log of exponentially weighted variance over that of the month; the window is the half-life."""
    half_life = bars_in(window, market.bar)
    n, decay = HALF_LIVES * half_life, 0.5 ** (1.0 / half_life)
    least = min(half_life, bars_in(LEAST, market.bar))
    mean = mean_so_far(bar_returns(market) ** 2, n, decay, least) * bars_per_day(market.bar)
    return np.log(np.maximum(mean, FLOOR)) - level(market)


@relative_feature(windows=("24h", "3d", "7d"), source="absolute returns, which large ones move less")
def relative_log_absolute_variance(market: MarketData, window: str) -> Array:
    """Log of the mean over days of the variance that absolute bar returns imply, over the month's variance."""
    return _relative(market, absolute_variance(market), window)


@once
def absolute_variance(market: MarketData) -> Array:
    """Variance per bar that the absolute returns of the last 24 hours imply (Gaussian)."""
    mean = mean_so_far(np.abs(bar_returns(market)), bars_in("24h", market.bar))
    return np.pi / 2.0 * mean**2


@relative_feature(windows=("24h", "3d", "7d", "30d"), source="Barndorff-Nielsen and Shephard (2004)")
def relative_log_bipower_variance(market: MarketData, window: str) -> Array:
    """Log of bipower variation, which one jump cannot inflate, over the month's variance."""
    size = np.abs(bar_returns(market))
    return _relative(market, BIPOWER * size * lag(size, 1), window)


@relative_feature(
    windows=("7d", "30d"),
    lookback=("1bar", MONTH, "24h", "{window}"),
    source="mean of daily logs, less moved by one crash than the log of the mean",
)
def relative_mean_log_variance(market: MarketData, window: str) -> Array:
    """Mean over the window's days of log daily variance, less the log of the month's variance."""
    return mean_log(market, window) - level(market)


def mean_log(market: MarketData, window: str) -> Array:
    """Mean of log daily variance over the days that there are of the window."""
    day = bars_in("24h", market.bar)
    daily = _per_day(market, bar_returns(market) ** 2, "24h")
    days = [lag(daily, k * day) for k in range(max(bars_in(window, market.bar) // day, 1))]
    return _mean_of_present(days, np.ones(len(days)))


def _mean_of_present(parts: list[Array], weights: np.ndarray, prior: float = 0.0) -> Array:
    """Weighted mean of the parts that have a value; ``prior`` is the weight of a zero that is added."""
    total, weight = np.zeros_like(parts[0]), np.full_like(parts[0], prior)
    for part, w in zip(parts, weights, strict=True):
        present = np.isfinite(part)
        total += np.where(present, w * part, 0.0)
        weight += w * present
    return np.where(weight > 0.0, total / np.maximum(weight, 1e-300), np.nan)


@relative_feature(
    name="weekday_season",
    lookback=("1bar", MONTH, "24h", "7d", "6d", f"{WEEKS}x7d"),
    source="mean deviation of the coming 24 hours of the week, shrunk by eight weeks without",
)
def weekday_season(market: MarketData) -> Array:
    """How much more volatile than their weeks the same 24 hours of past weeks were, in logs."""
    daily = _per_day(market, bar_returns(market) ** 2, "24h")
    deviation = daily - mean_log(market, "7d")
    week = bars_in("7d", market.bar)
    first = bars_in("6d", market.bar)  # the 24 hours that ended then are those that come, a week ago
    past = [lag(deviation, first + k * week) for k in range(WEEKS)]
    season = _mean_of_present(past, WEEK_DECAY ** np.arange(WEEKS), WEEK_PRIOR)
    return season + 0.0 * level(market)


@scaled_feature(lower=-LONGEST, upper=LONGEST, windows=("24h", "2d", "3d", "7d", "14d", "30d"))
def scaled_return(market: MarketData, window: str) -> Array:
    """Log return of the window in standard deviations of the month."""
    return np.clip(_scaled(market, window), -LONGEST, LONGEST)


@scaled_feature(lower=0.0, upper=LONGEST, windows=("24h", "2d", "3d", "7d", "14d", "30d"))
def scaled_fall(market: MarketData, window: str) -> Array:
    """Size of the window's log return where it was negative, in standard deviations of the month."""
    return np.clip(-_scaled(market, window), 0.0, LONGEST)


def _scaled(market: MarketData, window: str) -> Array:
    n, day = bars_in(window, market.bar), bars_per_day(market.bar)
    least = min(n, bars_in(LEAST, market.bar))
    drift = mean_so_far(bar_returns(market), n, least=least)
    return drift * np.sqrt(n * day) * np.exp(-0.5 * level(market))


@relative_feature(windows=("24h", "3d", "7d"), source="traded volume")
def log_volume_over_month(market: MarketData, window: str) -> Array:
    """Log of the window's mean volume over that of the month."""
    return log_volume(market, window) - log_volume(market, MONTH)


@relative_feature(name="log_volume_of_month", lookback=("1bar", "90d"), source="traded volume")
def log_volume_of_month(market: MarketData) -> Array:
    """Log of the month's mean volume over that of 90 days."""
    return log_volume(market, MONTH) - log_volume(market, "90d")


def log_volume(market: MarketData, window: str) -> Array:
    """Log of one plus the mean base volume per day over the bars that there are of the window."""
    traded = np.where(market.tradable, market.volume, np.nan)
    n = bars_in(window, market.bar)
    mean = mean_so_far(traded, n, least=min(n, bars_in(LEAST, market.bar)))
    return np.log1p(mean * bars_per_day(market.bar))


def traded_value(market: MarketData) -> Array:
    """Traded value per day over the last 30 days, or since the listing [quote] (n_bars, n_contracts)."""
    mean = mean_so_far(quote_volume(market), bars_in(MONTH, market.bar), least=bars_in(LEAST, market.bar))
    return mean * bars_per_day(market.bar)


def funding_of_window(market: MarketData, window: str) -> Array:
    """Mean funding per day of the window, in thousandths, within +-5; NaN where nothing was settled."""
    total, _, count = funding_by_bar(market)
    n = bars_in(window, market.bar)
    settled = mean_so_far(count, n)
    rate = mean_so_far(total, n) * bars_per_day(market.bar) * 1e3
    return np.where(settled > 0.0, np.clip(rate, -5.0, 5.0), np.nan)
