"""Calendar features: hour, weekday and season at a bar's close.

A close at Monday 00:00 UTC counts as Monday, whose hours follow, not as Sunday.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gearing.features.feature import feature
from gearing.features.streaming.memory import once
from gearing.features.windows import Array
from gearing.market import MarketData

HOUR = 3_600_000
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FIRST_MONDAY = 4 * 24 * HOUR  # 1970-01-05


@once
def _closes(market: MarketData) -> NDArray[np.int64]:
    """Milliseconds from 1970 to each close (n_bars,)."""
    return (market.open_time + market.bar).astype("datetime64[ms]").astype(np.int64)


@once
def _phase(market: MarketData, period: float, origin: float = 0.0) -> Array:
    """Share of the period that has passed at each close, for every contract (n_bars, n_contracts)."""
    phase = ((_closes(market) - origin) % period) / period
    return phase[:, None].repeat(market.n_contracts, axis=1)


def _circle(name: str, period: float, origin: float, source: str) -> None:
    for part, wave in (("sin", np.sin), ("cos", np.cos)):
        feature(unit="circle", lower=-1.0, upper=1.0, lookback="0h", source=source, name=f"{name}_{part}")(
            _wave(wave, period, origin)
        )


def _wave(wave: Callable[[Array], Array], period: float, origin: float) -> Callable[[MarketData], Array]:
    return lambda market: wave(2.0 * np.pi * _phase(market, period, origin))


_circle("hour", 24 * HOUR, 0.0, "hour of the day at the close, UTC")
_circle("half_day", 12 * HOUR, 0.0, "second harmonic of the hour: two peaks a day")
_circle("weekday", 7 * 24 * HOUR, FIRST_MONDAY, "time since Monday 00:00 UTC at the close")
_circle("season", 365.25 * 24 * HOUR, 0.0, "time of the year at the close")


@feature(
    unit="days", lower=0.0, upper=40_000.0, lookback="0h", source="clock that puts rows in order; no signal"
)
def days_since_2000(market: MarketData) -> Array:
    """Days from 2000-01-01 00:00 UTC to the close."""
    days = (market.close_time - np.datetime64("2000-01-01", "ms")) / np.timedelta64(1, "D")
    return np.repeat(days[:, None], market.n_contracts, axis=1)


def _share_of_next_day(day: int) -> Callable[[MarketData], Array]:
    def share(market: MarketData) -> Array:
        """Share of the 24 hours after the close that falls on the weekday."""
        days = 7.0 * _phase(market, 7 * 24 * HOUR, FIRST_MONDAY)  # days since Monday 00:00
        distance = (days - day + 3.5) % 7.0 - 3.5  # from the weekday's beginning to the close
        return np.clip(1.0 - np.abs(distance), 0.0, 1.0)

    return share


for _day, _name in enumerate(DAYS):
    feature(
        unit="share",
        lower=0.0,
        upper=1.0,
        lookback="0h",
        source="dummies of the weekday forecast, sliding between midnights",
        name=f"next_day_{_name}",
    )(_share_of_next_day(_day))
