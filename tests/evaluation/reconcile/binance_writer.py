"""Binance's records of a scripted account, as its futures interface answers and as its web page exports.

Fields, signs and printing follow the documents of ``userTrades``, ``income``, ``positionRisk`` (v2 and v3) and
``forceOrders``, and exports quoted in public repositories. ``commission`` is positive where paid, ``income`` where
received. The web page prints two digits of the year and the coin behind the fee.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from tests.evaluation.reconcile.scripted_account import Account, Event, Traded
from tests.evaluation.reconcile.statement_writer import Market, Row, Script, Table, fields, padded, trimmed

D = Decimal
MARKET = Market(
    btc=Traded("BTCUSDT", "BTC", "USDT", D("0.1"), D("0.001")),
    eth=Traded("ETHUSDT", "ETH", "USDT", D("0.01"), D("0.001")),
    sol=Traded("SOLUSDT", "SOL", "USDT", D("0.01"), D("0.1")),
    inverse=Traded("BTCUSD_PERP", "BTC", "BTC", D("0.1"), D(1), inverse=True, size=D(100)),
    fee_coin="BNB",
)
TRADING = ("fill", "adl", "liquidation")
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


def leg(e: Event) -> str:
    return {"net": "BOTH", "long": "LONG", "short": "SHORT"}[e.leg]


def trade(e: Event) -> Row:
    assert e.contract is not None
    row: Row = {
        "symbol": e.contract.symbol, "id": 698759000 + e.number, "orderId": 25851813000 + e.number,
        "side": "BUY" if e.side > 0 else "SELL", "price": trimmed(e.price), "qty": trimmed(e.quantity),
        "realizedPnl": padded(e.realised, 8),
    }  # fmt: skip
    if e.contract.inverse:
        row |= {"pair": "BTCUSD", "baseQty": padded(e.value, 8), "marginAsset": e.coin}
    else:
        row |= {"quoteQty": padded(e.value, 8)}
    return row | {
        "commission": padded(e.fee, 8), "commissionAsset": e.fee_coin, "time": e.time, "positionSide": leg(e),
        "buyer": e.side > 0, "maker": e.maker,
    }  # fmt: skip


def income(e: Event) -> list[Row]:
    """One row for each change of a coin; trades change it twice."""
    amounts = {"FUNDING_FEE": e.amount} if e.kind == "funding" else {"TRANSFER": e.amount}
    if e.kind in TRADING:
        amounts = {"COMMISSION": -e.fee, "REALIZED_PNL": e.realised}
    traded = str(698759000 + e.number) if e.kind in TRADING else ""
    return [
        {
            "symbol": e.contract.symbol if e.contract else "", "incomeType": name, "income": padded(amount, 8),
            "asset": e.fee_coin if name == "COMMISSION" else e.coin, "time": e.time, "info": traded or name,
            "tranId": 9689322000 + 10 * e.number + k, "tradeId": traded,
        }
        for k, (name, amount) in enumerate(amounts.items())
        if amount
    ]  # fmt: skip


def position(e: Event, version: int = 2) -> Row:
    assert e.contract is not None
    worth = padded(e.value * e.side, 8)
    row: Row = {
        "symbol": e.contract.symbol, "positionAmt": trimmed(e.after),
        "entryPrice": trimmed(e.entry.quantize(D("1e-8"))),
        "breakEvenPrice": trimmed(e.entry.quantize(D("1e-8"))), "markPrice": padded(e.mark, 8),
        "unRealizedProfit": padded(e.realised, 8), "liquidationPrice": trimmed(e.liquidation_price.quantize(D("1e-8"))),
        "isolatedMargin": padded(e.margin + e.realised, 8), "positionSide": leg(e),
        "notionalValue" if e.contract.inverse else "notional": worth, "isolatedWallet": padded(e.margin, 8),
        "updateTime": e.time,
    }  # fmt: skip
    if version == 3:
        zeros = fields(
            "initialMargin maintMargin positionInitialMargin openOrderInitialMargin bidNotional askNotional"
        )
        return row | dict.fromkeys(sorted(zeros), "0") | {"marginAsset": e.coin, "adl": 2}
    more: Row = {"leverage": trimmed(e.leverage), "marginType": "isolated", "isAutoAddMargin": "false"}
    return row | more | {"maxQty" if e.contract.inverse else "maxNotionalValue": "5000000"}


def forced(e: Event) -> Row:
    assert e.contract is not None
    return {
        "orderId": 25851813000 + e.number, "symbol": e.contract.symbol, "status": "FILLED",
        "clientOrderId": f"autoclose-{e.time}", "price": trimmed(e.mark), "avgPrice": trimmed(e.price),
        "origQty": trimmed(e.quantity), "executedQty": trimmed(e.quantity), "cumQuote": trimmed(e.value),
        "timeInForce": "IOC", "type": "LIMIT", "reduceOnly": False, "closePosition": False,
        "side": "BUY" if e.side > 0 else "SELL", "positionSide": leg(e), "stopPrice": "0",
        "workingType": "CONTRACT_PRICE", "origType": "LIMIT", "time": e.time, "updateTime": e.time,
    }  # fmt: skip


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
