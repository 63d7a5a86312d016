"""A nautilus_trader strategy that holds what a gearing bundle decides.

    pip install nautilus_trader onnxruntime && pip install --no-deps gearing

Add it to a `BacktestEngine` or a `TradingNode`, with bars of the bundle's length (data contract: docs/bundle.md):

    strategy = GearingStrategy(GearingConfig(bundle="runs/btc/bundle", instrument_id=instrument.id, bar_type=bar_type))

At each bar's close the strategy pushes the bar into the bundle's stream, and at a due close it sends the order of the
decision. It trades one instrument in netting mode; set the account's leverage for it beforehand. A bundle that reads
funding needs the settlements of each bar, from `settled`.
"""

from __future__ import annotations

import numpy as np
from nautilus_trader.config import StrategyConfig
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.trading.strategy import Strategy

from gearing.export import load_bundle


class GearingConfig(StrategyConfig, frozen=True):
    """Settings: the bundle's folder, what it trades, and what a refused decision does."""

    bundle: str
    instrument_id: InstrumentId
    bar_type: BarType
    fallback: str = "hold"


class GearingStrategy(Strategy):
    """Holds the target of a bundle of one contract."""

    def __init__(self, config: GearingConfig) -> None:
        super().__init__(config)
        self.bundle = load_bundle(config.bundle)
        (self.symbol,) = self.bundle.manifest.symbols
        self.bar = self.bundle.manifest.bar
        self.rows: list[dict] = []  # bars until the look-back is whole
        self.cash: list[dict] = []
        self.stream = None

    def on_start(self) -> None:
        self.instrument = self.cache.instrument(self.config.instrument_id)
        self.subscribe_bars(self.config.bar_type)

    def settled(self, row: dict) -> list[dict]:
        """Settlements stamped in the bar, ``time`` and ``rate``; override it for a bundle that reads funding."""
        return []

    def on_bar(self, bar: Bar) -> None:
        opened = np.datetime64(bar.ts_event, "ns").astype("datetime64[ms]") - self.bar
        prices = {name: float(getattr(bar, name)) for name in ("open", "high", "low", "close", "volume")}
        row = {"open_time": opened, **prices}
        if self.stream is None:
            self.rows.append(row)
            self.cash += self.settled(row)
            if len(self.rows) < self.bundle.lookback_bars:
                return
            self.stream = self.bundle.stream(self.rows, self.cash or None)
        else:
            self.stream.push(row, self.settled(row))
        closed = opened + self.bar
        if self.stream.perceive(closed).time == closed:
            self.follow(self.stream.decide(self.account(), now=closed, fallback=self.config.fallback))

    def account(self) -> dict:
        """The account as the bundle reads it: the wallet without unrealised profit, and the net position."""
        account = self.portfolio.account(self.config.instrument_id.venue)
        positions = {}
        for one in self.cache.positions_open(instrument_id=self.config.instrument_id):
            positions[self.symbol] = {
                "quantity": float(one.signed_qty),
                "entry_price": float(one.avg_px_open),
                "leverage": float(account.leverage(self.config.instrument_id)),
            }
        balance = account.balance_total(self.instrument.settlement_currency)
        return {"wallet_balance": balance.as_double(), "positions": positions}

    def follow(self, decision) -> None:
        """Send the decision's order."""
        for reason in (*(one.reason for one in decision.refusals), *decision.reasons):
            self.log.info(reason)
        (order,) = decision.orders
        if order.side == "none":
            return
        self.submit_order(
            self.order_factory.market(
                instrument_id=self.config.instrument_id,
                order_side=OrderSide.BUY if order.side == "buy" else OrderSide.SELL,
                quantity=self.instrument.make_qty(order.quantity),
                reduce_only=order.reduces,
            )
        )
