"""Bybit's records of an account, as its v5 interface answers.

Fields, signs and printing follow the v5 documents (``execution/list``, ``account/transaction-log``,
``position/list``) and answers quoted in public repositories: times and numbers are texts, an absent number is an empty
text, ``execFee`` is positive where paid, ``funding`` positive where received, and for a short ``feeRate`` of a
settlement is the market's with the other sign.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from gearing.live.statements.events import Event, Row, Traded, padded, trimmed

D = Decimal
EXECUTED = {"fill": "Trade", "adl": "AdlTrade", "liquidation": "BustTrade", "funding": "Funding"}
LOGGED = {"fill": "TRADE", "adl": "ADL", "liquidation": "LIQUIDATION", "funding": "SETTLEMENT"}


def category(contract: Traded | None) -> str:
    """Product category."""
    return "inverse" if contract is not None and contract.inverse else "linear"


def side(number: int) -> str:
    """Side in the venue's words."""
    return {1: "Buy", -1: "Sell", 0: "None"}[number]


def answer(kind: str = "linear") -> Callable[[list[Row]], Row]:
    """What the interface puts around rows."""

    def wrapped(rows: list[Row]) -> Row:
        result = {"nextPageCursor": "", "category": kind, "list": rows}
        return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": 1735900000000}

    return wrapped


def ids(e: Event) -> tuple[str, str]:
    """Ids of the order and the execution."""
    return f"8c065341-{e.number:04d}-5a5a-8000-{e.time}", f"6b5a1d2e-{e.number:04d}-4b4b-9000-{e.time}"


def execution(e: Event) -> Row:
    """A row of ``execution/list``."""
    assert e.contract is not None
    order, trade = ids(e)
    funding = e.kind == "funding"
    rate = e.rate * e.side if funding else e.rate
    return {
        "symbol": e.contract.symbol, "orderType": "UNKNOWN" if funding else "Limit", "underlyingPrice": "",
        "orderLinkId": "", "side": side(e.side), "indexPrice": "", "orderId": order, "stopOrderType": "UNKNOWN",
        "leavesQty": "0", "execTime": str(e.time), "feeCurrency": e.fee_coin if e.fee_coin != e.coin else "",
        "isMaker": e.maker, "execFee": trimmed(-e.amount if funding else e.fee), "feeRate": trimmed(rate),
        "execId": trade, "tradeIv": "", "blockTradeId": "", "markPrice": trimmed(e.mark or e.price),
        "execPrice": trimmed(e.price), "markIv": "", "orderQty": "0" if funding else trimmed(e.quantity),
        "orderPrice": "0" if funding else trimmed(e.price), "execValue": trimmed(e.value),
        "execType": EXECUTED[e.kind], "execQty": trimmed(e.quantity), "closedSize": trimmed(e.closed),
        "execPnl": trimmed(e.realised), "seq": 140710000 + e.number, "createType": "CreateByUser", "extraFees": "",
    }  # fmt: skip


def log(e: Event) -> Row:
    """A row of the transaction log."""
    order, trade = ids(e)
    trading = e.kind in ("fill", "adl", "liquidation")
    moved = {"transfer": "TRANSFER_IN" if e.amount > 0 else "TRANSFER_OUT", "bonus": "BONUS"}
    fee = e.fee if trading and e.fee_coin == e.coin else D(0)
    cash = e.realised if trading else (D(0) if e.kind == "funding" else e.amount)
    return {
        "transSubType": "", "id": f"592324_{e.contract.symbol if e.contract else e.coin}_{161440249321 + e.number}",
        "symbol": e.contract.symbol if e.contract else "", "category": category(e.contract) if e.contract else "",
        "side": side(e.side), "funding": trimmed(e.amount) if e.kind == "funding" else "", "orderLinkId": "",
        "orderId": order if e.contract else "", "fee": padded(fee, 8) if e.contract else "0",
        "change": trimmed(e.amount), "cashFlow": trimmed(cash), "transactionTime": str(e.time),
        "type": LOGGED.get(e.kind) or moved[e.kind],
        "feeRate": trimmed(e.rate * e.side if e.kind == "funding" else e.rate) if e.contract else "",
        "bonusChange": "", "size": trimmed(e.after) if e.contract else "0",
        "qty": trimmed(e.quantity) if e.contract else trimmed(abs(e.amount)), "cashBalance": trimmed(e.balance),
        "currency": e.coin, "tradePrice": trimmed(e.price) if e.contract else "",
        "tradeId": trade if e.contract else "", "extraFees": "",
    }  # fmt: skip


def position(e: Event) -> Row:
    """A row of ``position/list``."""
    assert e.contract is not None
    tick, long = e.contract.tick, e.side > 0
    liquidation = (e.liquidation_price / tick).quantize(D(1), ROUND_CEILING if long else ROUND_FLOOR) * tick
    return {
        "positionIdx": {"net": 0, "long": 1, "short": 2}[e.leg], "riskId": 1, "riskLimitValue": "2000000",
        "symbol": e.contract.symbol, "side": side(e.side), "size": trimmed(e.quantity),
        "avgPrice": trimmed(e.entry.quantize(D("1e-8"))),
        "positionValue": trimmed((e.quantity * e.contract.size / e.entry if e.contract.inverse
                                  else e.quantity * e.contract.size * e.entry).quantize(D("1e-8"))),
        "tradeMode": 1, "positionStatus": "Normal", "autoAddMargin": 0, "adlRankIndicator": 2,
        "leverage": trimmed(e.leverage), "positionBalance": trimmed(e.margin), "markPrice": trimmed(e.mark),
        "liqPrice": trimmed(liquidation), "positionMM": "", "positionIM": "", "tpslMode": "Full",
        "takeProfit": "", "stopLoss": "", "trailingStop": "0", "unrealisedPnl": trimmed(e.realised),
        "curRealisedPnl": "0", "cumRealisedPnl": "0", "seq": 5723621632, "isReduceOnly": False,
        "mmrSysUpdatedTime": "", "leverageSysUpdatedTime": "", "sessionAvgPrice": "", "createdTime": "1676538056258",
        "updatedTime": str(e.time),
    }  # fmt: skip
