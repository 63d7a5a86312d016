"""A freqtrade strategy whose leverage is chosen by a gearing rule; copy it to user_data/strategies and change it.

    pip install gearing                       # into freqtrade's environment
    freqtrade download-data --trading-mode futures --timeframe 1h --pairs BTC/USDT:USDT --timerange 20230101-
    freqtrade backtesting --strategy GearingLeverage --timerange 20230601-

The entry is only an example (price above its weekly mean). gearing provides ``leverage``: at the close of the candle
that gives the entry signal, the rule below sets the leverage from mark prices, funding and candles.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
from freqtrade.strategy import IStrategy
from pandas import DataFrame

from gearing.export.freqtrade import candles_needed, leverage_at, pairs_needed, provided_leverage
from gearing.policies.rules import VolatilityWeighted

# Any rule of `gearing.rules` that reads the market: Tiered(), VolatilityTarget(column="realized_volatility_24h"), ...
RULE = VolatilityWeighted(low=3, high=8, column="volatility_percentile_30d")


class GearingLeverage(IStrategy):
    """Enters with the weekly trend, sized by RULE; leverage is fixed from entry to exit, as in freqtrade."""

    INTERFACE_VERSION = 3
    timeframe = "1h"
    can_short = False
    minimal_roi = {"0": 100.0}  # noqa: RUF012 - freqtrade reads a plain class attribute
    # Below the liquidation price; freqtrade reports a candle that passes both as a stop.
    stoploss = -0.99
    startup_candle_count = max(168, candles_needed(RULE, timeframe))

    def informative_pairs(self) -> list[tuple[str, str, str]]:
        return pairs_needed(self.dp)

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["gearing"] = provided_leverage(RULE, dataframe, self.dp, metadata["pair"])
        dataframe["trend"] = dataframe["close"] / dataframe["close"].rolling(168).mean() - 1.0
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[(dataframe["trend"] > 0.0) & dataframe["gearing"].notna(), "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[dataframe["trend"] < 0.0, "exit_long"] = 1
        return dataframe

    def leverage(
        self, pair: str, current_time: datetime, current_rate: float, proposed_leverage: float, max_leverage: float,
        entry_tag: str | None, side: str, **kwargs,
    ) -> float:  # fmt: skip
        target = leverage_at(self.dp, pair, self.timeframe, current_time)
        return 1.0 if np.isnan(target) else float(np.clip(target, 1.0, max_leverage))

    def custom_stake_amount(
        self, pair: str, current_time: datetime, current_rate: float, proposed_stake: float, min_stake: float | None,
        max_stake: float, leverage: float, entry_tag: str | None, side: str, **kwargs,
    ) -> float:  # fmt: skip
        """Less than 1x is a smaller stake, since no exchange sets leverage below 1."""
        target = leverage_at(self.dp, pair, self.timeframe, current_time)
        return proposed_stake * (1.0 if np.isnan(target) else min(1.0, target))
