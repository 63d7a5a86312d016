"""Binance's records of an account, as its futures interface answers.

Fields, signs and printing follow the documents of ``userTrades``, ``income``, ``positionRisk`` (v2 and v3) and
``forceOrders``. ``commission`` is positive where paid, ``income`` where received.
"""

from __future__ import annotations

from decimal import Decimal

from gearing.live.statements.events import Event, Row, padded, trimmed

D = Decimal
TRADING = ("fill", "adl", "liquidation")
MOVED = {"funding": "FUNDING_FEE", "insurance": "INSURANCE_CLEAR"}


def leg(e: Event) -> str:
    """Side of a position in the venue's words."""
    return {"net": "BOTH", "long": "LONG", "short": "SHORT"}[e.leg]


def trade(e: Event) -> Row:
    """A row of ``userTrades``."""
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
    """Rows of ``income``, one for each change of a coin; trades change it twice."""
    amounts = {MOVED.get(e.kind, "TRANSFER"): e.amount}
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
    """A row of ``positionRisk``."""
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
        zeros = (
            "initialMargin maintMargin positionInitialMargin openOrderInitialMargin bidNotional askNotional"
        )
        return row | dict.fromkeys(sorted(zeros.split()), "0") | {"marginAsset": e.coin, "adl": 2}
    more: Row = {"leverage": trimmed(e.leverage), "marginType": "isolated", "isAutoAddMargin": "false"}
    return row | more | {"maxQty" if e.contract.inverse else "maxNotionalValue": "5000000"}


def forced(e: Event) -> Row:
    """A row of ``forceOrders``."""
    assert e.contract is not None
    return {
        "orderId": 25851813000 + e.number, "symbol": e.contract.symbol, "status": "FILLED",
        "clientOrderId": f"autoclose-{e.time}", "price": trimmed(e.mark), "avgPrice": trimmed(e.price),
        "origQty": trimmed(e.quantity), "executedQty": trimmed(e.quantity), "cumQuote": trimmed(e.value),
        "timeInForce": "IOC", "type": "LIMIT", "reduceOnly": False, "closePosition": False,
        "side": "BUY" if e.side > 0 else "SELL", "positionSide": leg(e), "stopPrice": "0",
        "workingType": "CONTRACT_PRICE", "origType": "LIMIT", "time": e.time, "updateTime": e.time,
    }  # fmt: skip
