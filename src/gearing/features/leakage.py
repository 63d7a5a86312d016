"""Tests that a feature uses past bars only, and no more than its declared lookback.

The test suite runs them on every registered feature, so a new one is covered automatically.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from gearing.features.feature import Feature
from gearing.market import MarketData

RELATIVE = 1e-10


def rewrite_future(market: MarketData, row: int, seed: int = 0) -> MarketData:
    """The market with everything after the close of bar ``row`` replaced at random.

    Prices, mark, volume, optional data and the settlements stamped at that close or later all change.
    """
    rng = np.random.default_rng(seed)
    ahead, n = slice(row + 1, None), market.n_bars - row - 1
    jump = np.exp(rng.normal(0.0, 0.1, (n, market.n_contracts)).cumsum(axis=0))
    changes: dict[str, Any] = {
        name: _rescaled(values, ahead, jump)
        for name in ("last", "mark", "index", "volume", "implied_volatility", "predicted_rate")
        if (values := getattr(market, name)) is not None
    }
    settlements = market.settlements.copy()
    later = settlements["time"] >= market.open_time[row] + market.bar
    settlements["rate"][later] = rng.normal(0.0, 0.01, later.sum())
    return replace(market, settlements=settlements, **changes)


def _rescaled(values: np.ndarray, ahead: slice, jump: np.ndarray) -> np.ndarray:
    changed = values.copy()
    changed[ahead] *= jump if values.ndim == 2 else jump[:, :, None]
    if values.ndim == 3:
        changed[ahead, :, 1] *= 1.03  # wider bars stay valid bars
        changed[ahead, :, 2] *= 0.96
    return changed


def check_no_future(feature: Feature, market: MarketData, row: int) -> None:
    """Raise if any bit of the rows up to ``row`` changes with the bars after it."""
    before = feature(market)[: row + 1]
    after = feature(rewrite_future(market, row))[: row + 1]
    if before.tobytes() != after.tobytes():
        changed = np.argwhere(~((before == after) | (np.isnan(before) & np.isnan(after))))
        first = market.open_time[changed[0][0]] if len(changed) else "the sign of a zero or NaN"
        raise AssertionError(
            f"feature {feature.name!r} uses future bars: its value at {first} changed with bars after "
            f"{market.open_time[row]}."
        )


def check_lookback(feature: Feature, market: MarketData) -> None:
    """Raise if the last row from the declared lookback alone differs from that of the full history."""
    needed = feature.lookback_bars(market.bar)
    if needed >= market.n_bars:
        raise ValueError(
            f"feature {feature.name!r} needs more than {needed} bars to be checked, given {market.n_bars}."
        )
    full = feature(market)[-1]
    short = feature(market.between(market.open_time[-needed], None))[-1]
    if not np.allclose(short, full, rtol=RELATIVE, atol=0.0, equal_nan=False):
        raise AssertionError(
            f"feature {feature.name!r} gives {short} from its declared lookback of {needed} bars but {full} "
            "from the whole history; declare a longer lookback or make its windows independent of history."
        )
