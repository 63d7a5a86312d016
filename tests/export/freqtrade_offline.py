"""Run a strategy in freqtrade's own backtester without a network; run in freqtrade's environment.

    python freqtrade_offline.py USER_DATA STRATEGY_FOLDER STRATEGY

The market is what an exchange would tell; candles, mark prices and funding are files in USER_DATA; margin tiers are
those that freqtrade ships. Prints its trades as JSON.
"""

import json
import sys
from pathlib import Path

from freqtrade.enums import CandleType, RunMode
from freqtrade.optimize.backtesting import Backtesting
from freqtrade.persistence import LocalTrade
from freqtrade.resolvers import ExchangeResolver

PAIR = "BTC/USDT:USDT"
MARKET = {
    "id": "BTCUSDT", "symbol": PAIR, "base": "BTC", "quote": "USDT", "settle": "USDT", "active": True, "swap": True,
    "type": "swap", "spot": False, "future": False, "linear": True, "inverse": False, "contract": True,
    "contractSize": 1.0, "margin": False, "option": False, "taker": 0.0005, "maker": 0.0002,
    "tierBased": False, "percentage": True,
    "precision": {"amount": 0.001, "price": 0.1}, "info": {},
    "limits": {"amount": {"min": 0.001, "max": 1000.0}, "cost": {"min": 5.0, "max": None},
               "price": {"min": 0.1, "max": None}, "leverage": {"min": 1.0, "max": 125.0}},
}  # fmt: skip


def config(user_data: Path, strategies: Path, strategy: str) -> dict:
    return {
        "runmode": RunMode.BACKTEST, "dry_run": True, "dry_run_wallet": 10_000.0, "stake_currency": "USDT",
        "stake_amount": 1000.0, "max_open_trades": 1, "tradable_balance_ratio": 0.99, "trading_mode": "futures",
        "margin_mode": "isolated", "candle_type_def": CandleType.FUTURES, "fee": 0.0005, "timeframe": "1h",
        "strategy": strategy, "strategy_path": str(strategies), "recursive_strategy_search": False,
        "user_data_dir": user_data, "datadir": user_data / "data" / "binance", "dataformat_ohlcv": "feather",
        "exchange": {"name": "binance", "key": "", "secret": "", "pair_whitelist": [PAIR], "pair_blacklist": []},
        "pairlists": [{"method": "StaticPairList"}], "exportfilename": user_data / "none", "export": "none",
        "backtest_cache": "none", "liquidation_buffer": 0.0, "entry_pricing": {"price_side": "same"},
        "exit_pricing": {"price_side": "same"},
        "unfilledtimeout": {"entry": 10, "exit": 10, "unit": "minutes"}, "internals": {}, "original_config": {},
    }  # fmt: skip


def main() -> None:
    settings = config(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
    exchange = ExchangeResolver.load_exchange(settings, validate=False)
    exchange._markets = {PAIR: MARKET}
    exchange._api.markets = exchange._api_async.markets = {PAIR: MARKET}
    exchange.fill_leverage_tiers()
    backtesting = Backtesting(settings, exchange)
    backtesting.start()
    names = (
        "open_date",
        "close_date",
        "open_rate",
        "leverage",
        "liquidation_price",
        "exit_reason",
        "amount",
        "stake_amount",
    )
    trades = [
        {name: getattr(trade, name) for name in names}
        | {"orders": [(order.ft_order_side, order.safe_filled) for order in trade.orders]}
        for trade in LocalTrade.bt_trades
    ]
    print("TRADES " + json.dumps(trades, default=str))


main()
