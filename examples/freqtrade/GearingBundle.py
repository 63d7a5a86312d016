"""A freqtrade strategy that holds what a gearing bundle decides; copy it to user_data/strategies, name the bundle.

    pip install "gearing[runtime]"            # into freqtrade's environment
    GEARING_BUNDLE=runs/demo-0123/bundle freqtrade backtesting --strategy GearingBundle --timerange 20230601-

freqtrade sets a trade's leverage when it opens and never changes it. So the leverage setting is LEVERAGE throughout,
and the size of the position follows the bundle: position adjustment buys or sells until notional over equity is what
the bundle decides. The bundle's risk controls are not used; freqtrade has stops of its own.
"""

from __future__ import annotations

import os
from datetime import datetime

import numpy as np
from freqtrade.persistence import Trade
from freqtrade.strategy import IStrategy
from pandas import DataFrame

from gearing.export import BundlePolicy, load_bundle
from gearing.export.freqtrade import candles_needed, leverage_at, pairs_needed, provided_leverage

BUNDLE = BundlePolicy(load_bundle(os.environ["GEARING_BUNDLE"]))
SHARE = float(BUNDLE.settings["margin_share"])  # the bundle's leverage is of this share of equity
LEVERAGE = 5.0  # setting of every trade: a larger one posts less margin for the same position
BAND = 0.1  # changes of a position by a smaller share are left out


class GearingBundle(IStrategy):
    """Holds what the bundle decides, in notional over equity, long or short."""

    INTERFACE_VERSION = 3
    timeframe = "1h"
    can_short = True
    position_adjustment_enable = True
    minimal_roi = {"0": 100.0}  # noqa: RUF012 - freqtrade reads a plain class attribute
    stoploss = -0.99
    startup_candle_count = candles_needed(BUNDLE, timeframe)

    def informative_pairs(self) -> list[tuple[str, str, str]]:
        return pairs_needed(self.dp)

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["gearing"] = SHARE * provided_leverage(BUNDLE, dataframe, self.dp, metadata["pair"])
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[dataframe["gearing"] > 0.0, "enter_long"] = 1
        dataframe.loc[dataframe["gearing"] < 0.0, "enter_short"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe.loc[dataframe["gearing"] <= 0.0, "exit_long"] = 1
        dataframe.loc[dataframe["gearing"] >= 0.0, "exit_short"] = 1
        return dataframe

    def leverage(
        self, pair: str, current_time: datetime, current_rate: float, proposed_leverage: float, max_leverage: float,
        entry_tag: str | None, side: str, **kwargs,
    ) -> float:  # fmt: skip
        return min(LEVERAGE, max_leverage)

    def custom_stake_amount(
        self, pair: str, current_time: datetime, current_rate: float, proposed_stake: float, min_stake: float | None,
        max_stake: float, leverage: float, entry_tag: str | None, side: str, **kwargs,
    ) -> float:  # fmt: skip
        decided = abs(leverage_at(self.dp, pair, self.timeframe, current_time))
        wanted = decided * self.wallets.get_total_stake_amount() / leverage
        return 0.0 if np.isnan(wanted) else min(wanted, max_stake)

    def adjust_trade_position(
        self, trade: Trade, current_time: datetime, current_rate: float, current_profit: float,
        min_stake: float | None, max_stake: float, *args, **kwargs,
    ) -> float | None:  # fmt: skip
        """Stake to add, or to take away where negative: the leverage setting stays, the size changes."""
        decided = leverage_at(self.dp, trade.pair, self.timeframe, current_time)
        if np.isnan(decided) or decided * (-1.0 if trade.is_short else 1.0) <= 0.0:
            return None  # the exit signal closes it
        equity = self.wallets.get_total_stake_amount()
        wanted = abs(decided) * equity / trade.leverage
        change = wanted - trade.amount * current_rate / trade.leverage
        return None if abs(change) < BAND * wanted else min(change, max_stake)
