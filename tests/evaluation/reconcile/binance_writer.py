"""Binance's records of a scripted account, as its futures interface answers and as its web page exports.

Fields, signs and printing follow the documents of ``userTrades``, ``income``, ``positionRisk`` (v2 and v3) and
``forceOrders``, and exports quoted in public repositories. ``commission`` is positive where paid, ``income`` where
received. The web page prints two digits of the year and the coin behind the fee.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from tests.evaluation.reconcile.scripted_account import Account
from tests.evaluation.reconcile.statement_writer import Market, Script, Table, fields

from gearing.live.statements.binance import TRADING, forced, income, position, trade
from gearing.live.statements.events import Event, Row, Traded, padded, trimmed

D = Decimal
MARKET = Market(
    btc=Traded("BTCUSDT", "BTC", "USDT", D("0.1"), D("0.001")),
    eth=Traded("ETHUSDT", "ETH", "USDT", D("0.01"), D("0.001")),
    sol=Traded("SOLUSDT", "SOL", "USDT", D("0.01"), D("0.1")),
    inverse=Traded("BTCUSD_PERP", "BTC", "BTC", D("0.1"), D(1), inverse=True, size=D(100)),
    fee_coin="BNB",
)
TRADE_IGNORED = frozenset({"id", "orderId", "buyer", "marginAsset", "pair"})
INCOME_IGNORED = frozenset({"tranId", "tradeId", "info"})
POSITION_IGNORED = fields(
    "breakEvenPrice maxNotionalValue maxQty isAutoAddMargin isolatedMargin adl bidNotional askNotional initialMargin "
    "maintMargin positionInitialMargin openOrderInitialMargin marginAsset leverage notional notionalValue"
)
ORDER_IGNORED = fields(
    "orderId status clientOrderId timeInForce type reduceOnly closePosition stopPrice workingType origType updateTime "
    "origQty priceProtect"
)


def account() -> Account:
    return Account(taker=D("0.0005"), maker=D("0.0002"), digits=8, valued="mark")


def inverse_account() -> Account:
    return Account(taker=D("0.0005"), maker=D("0.0001"), digits=8, valued="mark")


def stamp(e: Event) -> str:
    return datetime.fromtimestamp(e.time // 1000, UTC).strftime("%y-%m-%d %H:%M:%S")


def web_trade(e: Event) -> Row:
    """The web page's "Futures Trade History"."""
    assert e.contract is not None
    return {
        "Uid": "862706699", "Time": stamp(e), "Symbol": e.contract.symbol, "Side": "BUY" if e.side > 0 else "SELL",
        "Price": trimmed(e.price), "Quantity": trimmed(e.quantity), "Amount": trimmed(e.value),
        "Fee": f"{padded(e.fee, 8)} {e.fee_coin}", "Realized Profit": trimmed(e.realised),
        "Buyer": str(e.side > 0).lower(), "Maker": str(e.maker).lower(), "Trade ID": str(698759000 + e.number),
        "Order ID": str(25851813000 + e.number),
    }  # fmt: skip


def web_income(e: Event) -> list[Row]:
    """The web page's "Futures Transaction History"."""
    return [
        {
            "Uid": "862706699", "Time": stamp(e), "Type": row["incomeType"], "Amount": row["income"],
            "Asset": row["asset"], "Symbol": row["symbol"], "Transaction ID": str(row["tranId"]),
        }
        for row in income(e)
    ]  # fmt: skip


def user_trades(script: Script) -> Table:
    return Table("userTrades", [trade(e) for e in script.account.events if e.kind in TRADING], TRADE_IGNORED)


def incomes(script: Script) -> Table:
    rows = [row for e in script.account.events if e.kind != "position" for row in income(e)]
    return Table("income", rows, INCOME_IGNORED)


def positions(script: Script, version: int = 2) -> Table:
    rows = [position(e, version) for e in script.account.events if e.kind == "position"]
    return Table(f"positionRisk-v{version}", rows, POSITION_IGNORED)


def force_orders(script: Script) -> Table:
    return Table(
        "forceOrders", [forced(e) for e in script.account.events if e.kind == "liquidation"], ORDER_IGNORED
    )


def web_trade_history(script: Script) -> Table:
    rows = [web_trade(e) for e in reversed(script.account.events) if e.kind in TRADING]
    ignored = frozenset({"Uid", "Buyer", "Trade ID", "Order ID"})
    return Table("Binance-Futures-Trade-History-202501020000(UTC+0)", rows, ignored, format="csv")


def web_transaction_history(script: Script) -> Table:
    rows = [row for e in reversed(script.account.events) if e.kind != "position" for row in web_income(e)]
    ignored = frozenset({"Uid", "Transaction ID"})
    return Table("Binance-Futures-Transaction-History-202501020000(UTC+0)", rows, ignored, format="csv")
