"""Small random markets for the tests of features and forecasters."""

import numpy as np

from gearing.contracts import Contract, TierSchedule
from gearing.market import SETTLEMENT_DTYPE, MarketData

HOUR = np.timedelta64(3_600_000, "ms")


def random_market(n_bars=400, n_contracts=2, seed=0, bar=HOUR, start="2023-01-02T00:00", volatility=0.005):
    """Random walk whose volatility wanders and is lower at weekends; all optional data present."""
    rng = np.random.default_rng(seed)
    shape = (n_bars, n_contracts)
    open_time = np.datetime64(start, "ms") + np.arange(n_bars) * bar
    level = (
        _wandering(rng, shape) - 0.6 * (open_time.astype("datetime64[D]").astype(int) % 7 % 6 == 2)[:, None]
    )
    log_close = np.log(30_000.0) + np.cumsum(volatility * np.exp(level) * rng.normal(size=shape), axis=0)
    last = _bars(log_close, volatility, rng)
    settlements = _settlements(open_time, bar, n_contracts, rng)
    return MarketData(
        open_time=open_time,
        bar=bar,
        contracts=tuple(
            Contract(symbol=f"C{i}", schedules=(TierSchedule.flat(0.005),)) for i in range(n_contracts)
        ),
        last=last,
        mark=last * np.exp(rng.normal(0.0, 1e-4, (*shape, 1))),
        volume=rng.lognormal(3.0, 0.5, shape),
        settlements=settlements,
        tradable=np.ones(shape, dtype=bool),
        index=last * np.exp(rng.normal(0.0, 1e-4, (*shape, 1))),
        implied_volatility=rng.uniform(0.4, 0.8, shape),
        predicted_rate=rng.normal(1e-4, 1e-4, shape),
        name="random",
    )


def _wandering(rng, shape):
    level = np.zeros(shape)
    for k in range(1, shape[0]):
        level[k] = 0.98 * level[k - 1] + 0.1 * rng.normal(size=shape[1])
    return level


def _bars(log_close, volatility, rng):
    log_open = np.vstack([log_close[:1], log_close[:-1]])
    reach = np.abs(rng.normal(0.0, volatility, (2, *log_close.shape)))
    high, low = np.maximum(log_open, log_close) + reach[0], np.minimum(log_open, log_close) - reach[1]
    return np.exp(np.stack([log_open, high, low, log_close], axis=-1))


def _settlements(open_time, bar, n_contracts, rng):
    eight = np.timedelta64(8 * 3_600_000, "ms")
    times = np.arange(open_time[0], open_time[-1] + bar, eight)
    records = np.zeros(len(times) * n_contracts, dtype=SETTLEMENT_DTYPE)
    records["time"] = np.repeat(times, n_contracts)
    records["contract"] = np.tile(np.arange(n_contracts), len(times))
    records["rate"] = rng.normal(1e-4, 1e-4, len(records))
    records["mark"] = np.nan
    return records
