"""The example strategy for nautilus_trader keeps the data contract of docs/bundle.md.

nautilus_trader is not needed: its classes are replaced by ones that hold what the strategy calls. The strategy itself
was run in version 1.221.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from tests.export import cases

from gearing.export import load_bundle
from gearing.policies.rules import VolatilityTarget

EXAMPLE = Path(__file__).parents[2] / "examples" / "nautilus" / "gearing_strategy.py"
MODULES = {
    "config": ["StrategyConfig"],
    "model": [],
    "model.data": ["Bar", "BarType"],
    "model.enums": [],
    "model.identifiers": ["InstrumentId"],
    "trading": [],
    "trading.strategy": [],
}
MORE, LEVERAGE = 60, 7.0  # bars after the look-back; the account's leverage at the venue


class StrategyConfig:
    """Fields are given by name, as msgspec's."""

    def __init_subclass__(cls, **options):
        super().__init_subclass__()

    def __init__(self, **given):
        for name, value in given.items():
            setattr(self, name, value)


class Strategy:
    """Fills every market order at the close of its bar, without fees."""

    def __init__(self, config):
        self.config, self.sent, self.quantity, self.price, self.wallet = config, [], 0.0, 0.0, 10_000.0
        self.log = SimpleNamespace(info=lambda text: None)
        self.order_factory = SimpleNamespace(market=lambda **order: order)
        instrument = SimpleNamespace(make_qty=lambda quantity: quantity, settlement_currency="USDT")
        self.cache = SimpleNamespace(
            instrument=lambda name: instrument, positions_open=lambda instrument_id: self._open()
        )
        account = SimpleNamespace(
            leverage=lambda name: LEVERAGE,
            balance_total=lambda currency: SimpleNamespace(as_double=lambda: self.wallet),
        )
        self.portfolio = SimpleNamespace(account=lambda venue: account)

    def subscribe_bars(self, kind):
        self.subscribed = kind

    def submit_order(self, order):
        self.sent.append(order)

    def _open(self):
        if not self.quantity:
            return []
        return [SimpleNamespace(signed_qty=self.quantity, avg_px_open=self.price)]


@pytest.fixture
def example(monkeypatch):
    """The example as a module, with stand-ins for what it imports."""
    made = {"nautilus_trader": ModuleType("nautilus_trader")}
    for name, classes in MODULES.items():
        made[f"nautilus_trader.{name}"] = module = ModuleType(f"nautilus_trader.{name}")
        for one in classes:
            setattr(module, one, StrategyConfig if one == "StrategyConfig" else object)
    made["nautilus_trader.model.enums"].OrderSide = SimpleNamespace(BUY="buy", SELL="sell")
    made["nautilus_trader.trading.strategy"].Strategy = Strategy
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("nautilus_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_strategy_sends_at_each_due_close_the_order_that_the_bundle_decides_on_the_bars_so_far(
    example, tmp_path
):
    rule = VolatilityTarget(target=0.3, column="realized_volatility_24h")
    config = cases.SMALL.with_(decision_interval="4h")
    folder = cases.small_bundle(tmp_path / "b", rule, config, ("realized_volatility_24h",))
    bundle = load_bundle(folder)
    bars = cases.bar_table(cases.market(), mark=False).head(bundle.lookback_bars + MORE)
    named = {"instrument_id": SimpleNamespace(venue="BINANCE"), "bar_type": "1h"}
    strategy = example.GearingStrategy(example.GearingConfig(bundle=str(folder), fallback="hold", **named))
    strategy.on_start()
    assert strategy.subscribed == "1h"
    orders = 0
    for k, row in enumerate(bars.itertuples(index=False), start=1):
        closed = np.datetime64(row.open_time, "ms") + bundle.manifest.bar
        bar = SimpleNamespace(
            ts_event=int(closed.astype("datetime64[ns]").astype(np.int64)),
            **dict(zip(bars.columns, row, strict=True)),
        )
        account = strategy.account() if k > 1 else {"wallet_balance": 10_000.0, "positions": {}}
        strategy.on_bar(bar)
        due = k >= bundle.lookback_bars and closed.astype("datetime64[h]").astype(int) % 4 == 0
        if not due:
            assert not strategy.sent
            continue
        (expected,) = bundle.decide(bars.head(k), account, now=closed, fallback="hold").orders
        assert len(strategy.sent) == (expected.side != "none")
        for order in strategy.sent:
            assert (order["order_side"], order["quantity"]) == (expected.side, expected.quantity)
            assert order["reduce_only"] == expected.reduces
            filled(strategy, order, row.close)
            orders += 1
        strategy.sent = []
    assert orders >= 5  # of 15 due closes: a change below the smallest order is none


def filled(strategy, order, price):
    """Net position and wallet after the fill."""
    signed = order["quantity"] if order["order_side"] == "buy" else -order["quantity"]
    before, after = strategy.quantity, strategy.quantity + signed
    if before * signed < 0.0:
        strategy.wallet += (price - strategy.price) * min(abs(signed), abs(before)) * np.sign(before)
    else:
        strategy.price = (strategy.price * abs(before) + price * abs(signed)) / abs(after)
    strategy.quantity = after if abs(after) > 1e-12 else 0.0
