"""Leverage of a rule for freqtrade's candles.

freqtrade decides when to trade, a gearing rule how large; a bundle decides both. ``examples/freqtrade`` has a strategy
of each kind. This module works on pandas tables and does not import freqtrade.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.contracts import Contract, MarginTier, TierSchedule
from gearing.exchange.observing import ACCOUNT_COLUMNS, POSITION_COLUMNS
from gearing.features import FeatureSet, parse_duration
from gearing.market.history.frames import market_from_frames
from gearing.market.timing import stamps
from gearing.simulation.hooks import hooks_of
from gearing.simulation.observation import Observation, ObservationLayout

if TYPE_CHECKING:
    import pandas as pd


def leverage_by_candle(
    rule: Any, candles: pd.DataFrame, *, mark: pd.DataFrame | None = None, funding: pd.DataFrame | None = None
) -> pd.Series:
    """Target leverage of a rule at the close of every candle; NaN while its columns warm up.

    Parameters
    ----------
    rule : Policy
        A registered rule, or any policy that reads features of the market, such as
        :class:`gearing.export.BundlePolicy`, whose leverage is signed. It sees an account without a position.
    candles : DataFrame
        In freqtrade's format: ``date`` (opening, UTC), open, high, low, close, volume.
    mark : DataFrame, optional
        Candles of the mark price (``candle_type="mark"``); default: the last price.
    funding : DataFrame, optional
        Funding rates in freqtrade's format (``candle_type="funding_rate"``: the rate in the column ``open``);
        needed by rules that read funding.

    Returns
    -------
    Series
        On the index of ``candles``. Row k is known when candle k closes, so it belongs to a trade that opens with
        candle k + 1.

    Raises
    ------
    ValueError
        If the rule reads data that candles do not hold: its account, a forecast, funding that was not given.
    """
    import pandas as pd

    columns = _columns(rule, funding is not None)
    names = {"date": "time", "open": "rate"}
    market = market_from_frames(
        candles.rename(columns={"date": "open_time"}),
        None if mark is None or mark.empty else mark.rename(columns={"date": "open_time"}),
        None if funding is None or funding.empty else funding.rename(columns=names)[["time", "rate"]],
        contract=_CONTRACT,
        missing_mark="last",
        missing_funding="zero",
    )
    table = FeatureSet(columns or ["log_return"]).compute(market)
    join = hooks_of(rule).join
    table = table if join is None else join(table)
    layout = ObservationLayout.of(table, market.symbols)
    known = np.isfinite(table.values).all(axis=(1, 2))
    array = np.zeros((int(known.sum()), layout.size), np.float32)
    array[:, : table.values.shape[2]] = table.values[known, 0]
    for name in _FLAT:  # what an account without a position observes; everything else is zero
        array[:, layout.locate(name)] = 1.0
    targets, _ = rule.predict(Observation(layout, array), deterministic=True)
    leverage = pd.Series(np.asarray(targets, np.float64)[:, 0], pd.DatetimeIndex(market.open_time[known]))
    moments = pd.DatetimeIndex(stamps(candles["date"], "candles: date"))
    return pd.Series(leverage.reindex(moments).to_numpy(), candles.index)


def pairs_needed(provider: Any) -> list[tuple[str, str, str]]:
    """Pairs, timeframes and candle types that a strategy asks of freqtrade: marks and funding of all its pairs."""
    pairs = provider.current_whitelist() if provider else []
    return [(pair, "1h", kind) for pair in pairs for kind in ("mark", "funding_rate")]


def provided_leverage(rule: Any, candles: pd.DataFrame, provider: Any, pair: str) -> pd.Series:
    """`leverage_by_candle` with the marks and the funding of freqtrade's data provider."""
    mark, funding = (
        provider.get_pair_dataframe(pair, "1h", candle_type=kind) for kind in ("mark", "funding_rate")
    )
    return leverage_by_candle(rule, candles, mark=mark, funding=funding)


def leverage_at(provider: Any, pair: str, timeframe: str, moment: Any) -> float:
    """Column ``gearing`` of a strategy's last candle that has closed by a moment; NaN if there is none."""
    known, _ = provider.get_analyzed_dataframe(pair, timeframe)
    closed = known[known["date"] + parse_duration(timeframe) <= moment]
    return float(closed["gearing"].iloc[-1]) if len(closed) else math.nan


def candles_needed(rule: Any, timeframe: str = "1h") -> int:
    """Candles before the first leverage: the minimum of ``startup_candle_count``."""
    columns = _columns(rule, True) or ["log_return"]
    return int(FeatureSet(columns).lookback(parse_duration(timeframe).astype("timedelta64[ms]")))


_FLAT = ("liquidation_distance", "free_share")
# Features do not look at tiers; freqtrade has its own.
_CONTRACT = Contract(
    "PAIR",
    schedules=(TierSchedule((MarginTier(0.0, math.inf, 0.004, 0.0, 125.0),), source="freqtrade's own"),),
)


def _columns(rule: Any, has_funding: bool) -> list[str]:
    """Features that the rule reads."""
    if getattr(rule, "recurrent", False):
        raise ValueError(f"{rule!r} has a memory, which candles cannot carry; choose a bundle without one.")
    own = [name for name in rule.required_columns if name in (*POSITION_COLUMNS, *ACCOUNT_COLUMNS)]
    if set(own) - {"effective_leverage"}:
        raise ValueError(
            f"{type(rule).__name__} reads {', '.join(own)} of its account, which candles do not hold; choose a "
            "rule of the market only, or use freqtrade's protections for the limit."
        )
    columns = [name for name in rule.required_columns if name not in own]
    try:
        FeatureSet(columns or ["log_return"])
    except ValueError as error:
        raise ValueError(f"{type(rule).__name__}: {error} freqtrade's candles give features only.") from None
    costly = [name for name in columns if name.startswith("funding")]
    if costly and not has_funding:
        raise ValueError(
            f"{type(rule).__name__} reads {', '.join(costly)}: pass funding=, the candles of type 'funding_rate' "
            "(freqtrade downloads them in futures mode)."
        )
    return columns
