"""Tiny markets whose every number is written down."""

import numpy as np

from gearing.contracts import Contract, MarginTier, TierSchedule
from gearing.features import FeatureTable
from gearing.market.data import SETTLEMENT_DTYPE, MarketData

HOUR = np.timedelta64(1, "h")
START = np.datetime64("2024-01-01T00:00", "ms")  # a Monday


def contract(symbol="X", lot=0.0, tick=0.0, smallest=0.0, rate=0.005, kind="linear", top=125.0):
    tier = MarginTier(0.0, 1e9, rate, 0.0, top)
    return Contract(
        symbol, kind=kind, lot_size=lot, tick_size=tick, min_notional=smallest,
        schedules=(TierSchedule((tier,), None, "test"),),
    )  # fmt: skip


def market(closes, contracts=None, wick=0.0, funding=(), mark=None, tradable=None, start=START):
    """Hourly market of the given closes (n_bars,) or (n_bars, n_contracts); each bar opens at the last close."""
    closes = np.asarray(closes, float)
    closes = closes[:, None] if closes.ndim == 1 else closes
    opens = np.vstack([closes[:1], closes[:-1]])
    high, low = np.maximum(opens, closes) * (1 + wick), np.minimum(opens, closes) * (1 - wick)
    last = np.stack([opens, high, low, closes], axis=-1)
    n, m = closes.shape
    cash = np.array([(np.datetime64(t, "ms"), c, r, np.nan) for t, c, r in funding], SETTLEMENT_DTYPE)
    return MarketData(
        open_time=start + HOUR * np.arange(n),
        bar=HOUR,
        contracts=tuple(contracts or [contract(f"X{j}") for j in range(m)]),
        last=last,
        mark=last if mark is None else mark,
        volume=np.ones((n, m)),
        settlements=cash,
        tradable=np.ones((n, m), bool) if tradable is None else tradable,
        name="test",
    )


def table(of, **columns):
    """Feature table with the given columns (n_bars,), or one column of zeros."""
    columns = columns or {"nothing": np.zeros(of.n_bars)}
    values = np.stack([np.broadcast_to(np.reshape(v, (of.n_bars, -1)), (of.n_bars, of.n_contracts))
                       for v in columns.values()], axis=-1)  # fmt: skip
    k = len(columns)
    return FeatureTable(
        of.open_time, of.bar, of.symbols, tuple(columns), values.astype(np.float32),
        np.full(k, -1.0, np.float32), np.full(k, 1.0, np.float32), ("",) * k,
    )  # fmt: skip
