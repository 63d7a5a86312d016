"""Bybit's records of a scripted account, as its v5 interface answers and as its web page exports.

Fields, signs and printing follow the v5 documents (``execution/list``, ``account/transaction-log``,
``position/list``) and answers quoted in public repositories: times and numbers are texts, an absent number is an empty
text, ``execFee`` is positive where paid, ``funding`` positive where received, and for a short ``feeRate`` of a
settlement is the market's with the other sign. The web page's transaction log pads to 20 decimals and writes ``--`` for
an absent number; there ``Fee Paid`` is negative where paid. The web page's trade history prints minutes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from tests.evaluation.reconcile.scripted_account import Account, Event, Traded
from tests.evaluation.reconcile.statement_writer import Market, Row, Script, Table, fields, padded, trimmed

D = Decimal
MARKET = Market(
    btc=Traded("BTCUSDT", "BTC", "USDT", D("0.1"), D("0.001")),
    eth=Traded("ETHUSDT", "ETH", "USDT", D("0.01"), D("0.01")),
    sol=Traded("SOLUSDT", "SOL", "USDT", D("0.01"), D("0.1")),
    inverse=Traded("BTCUSD", "BTC", "BTC", D("0.5"), D("1"), inverse=True),
    fee_coin="MNT",
)
EXECUTED = {"fill": "Trade", "adl": "AdlTrade", "liquidation": "BustTrade", "funding": "Funding"}
LOGGED = {"fill": "TRADE", "adl": "ADL", "liquidation": "LIQUIDATION", "funding": "SETTLEMENT"}
EXECUTION_IGNORED = fields(
    "orderId orderLinkId orderPrice orderQty leavesQty createType orderType stopOrderType tradeIv markIv indexPrice "
    "underlyingPrice blockTradeId seq extraFees isLeverage execId marketUnit category markPrice"
)
LOG_IGNORED = fields("id orderId orderLinkId tradeId bonusChange extraFees transSubType category")
POSITION_IGNORED = fields(
    "riskId riskLimitValue positionStatus autoAddMargin adlRankIndicator tpslMode takeProfit stopLoss trailingStop "
    "sessionAvgPrice delta gamma vega theta curRealisedPnl cumRealisedPnl createdTime seq isReduceOnly tradeMode "
    "mmrSysUpdatedTime leverageSysUpdatedTime breakEvenPrice positionMM positionIM leverage positionMMByMp "
    "positionIMByMp"
)


def account() -> Account:
    return Account(taker=D("0.00055"), maker=D("0.0002"), digits=8, valued="entry")


def category(contract: Traded | None) -> str:
    return "inverse" if contract is not None and contract.inverse else "linear"


def side(number: int) -> str:
    return {1: "Buy", -1: "Sell", 0: "None"}[number]


def answer(kind: str = "linear"):  # type: ignore[no-untyped-def]
    def wrapped(rows: list[Row]) -> Row:
        result = {"nextPageCursor": "", "category": kind, "list": rows}
        return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": 1735900000000}

    return wrapped


def ids(e: Event) -> tuple[str, str]:
    return f"8c065341-{e.number:04d}-5a5a-8000-{e.time}", f"6b5a1d2e-{e.number:04d}-4b4b-9000-{e.time}"


def execution(e: Event) -> Row:
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


def web_log(e: Event) -> Row:
    """The web page's "Transaction Log" of a unified account."""
    trading = e.kind in ("fill", "adl", "liquidation")
    moved = {"transfer": "TRANSFER_IN" if e.amount > 0 else "TRANSFER_OUT", "bonus": "BONUS"}
    fee = e.fee if trading and e.fee_coin == e.coin else D(0)
    action = {"funding": "SETTLEMENT"}.get(e.kind, ("CLOSE" if e.closed else "OPEN") if e.contract else "--")
    cash = e.realised if trading else (D(0) if e.kind == "funding" else e.amount)
    stamp = datetime.fromtimestamp(e.time // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return {
        "Uid": "531298197", "Currency": e.coin, "Contract": e.contract.symbol if e.contract else "",
        "Type": LOGGED.get(e.kind) or moved[e.kind], "Direction": side(e.side).upper() if e.side else "--",
        "Quantity": padded(e.quantity, 20) if trading else "--",
        "Position": padded(e.after, 20) if e.contract else "0.00000000000000000000",
        "Filled Price": padded(e.price, 20) if trading else "--",
        "Funding": padded(e.amount if e.kind == "funding" else D(0), 20), "Fee Paid": padded(-fee, 20),
        "Cash Flow": padded(cash, 20), "Change": padded(e.amount, 20), "Wallet Balance": padded(e.balance, 20),
        "Action": action, "Time(UTC)": stamp,
    }  # fmt: skip


def web_trade(e: Event) -> Row:
    """The web page's "Trade History" of derivatives."""
    assert e.contract is not None
    order, trade = ids(e)
    funding = e.kind == "funding"
    fee, rate = (-e.amount, e.rate * e.side) if funding else (e.fee, e.rate)
    stamp = datetime.fromtimestamp(e.time // 1000, UTC).strftime("%H:%M %Y-%m-%d")
    return {
        "Market": e.contract.symbol, "Filled Type": EXECUTED[e.kind], "Filled Quantity": trimmed(e.quantity),
        "Filled Price": trimmed(e.price), "Order Price": "0" if funding else trimmed(e.price),
        "Fee Rate": trimmed(rate), "Trading Fee": trimmed(fee), "feeCoin": e.fee_coin or e.coin,
        "ExecFeeV2": trimmed(fee), "Direction": "Long" if e.side > 0 else "Short",
        "Order Type": "--" if funding else "Limit", "Trasaction ID": f" {trade}", "Order No.": f" {order}",
        "Transaction Time(UTC+0)": stamp,
    }  # fmt: skip


def executions(script: Script) -> Table:
    rows = [execution(e) for e in reversed(script.account.events) if e.kind in EXECUTED]
    return Table("execution-list", rows, EXECUTION_IGNORED, answer(category(script.contracts[0])))


def transaction_log(script: Script) -> Table:
    rows = [log(e) for e in reversed(script.account.events) if e.kind != "position"]
    return Table("transaction-log", rows, LOG_IGNORED, answer())


def positions(script: Script) -> Table:
    rows = [position(e) for e in script.account.events if e.kind == "position"]
    return Table("position-list", rows, POSITION_IGNORED, answer(category(script.contracts[0])))


def web_transaction_log(script: Script) -> Table:
    rows = [web_log(e) for e in reversed(script.account.events) if e.kind != "position"]
    head = "UID: 531298197,Company Name: ,Country: \n"
    return Table(
        "AssetChangeDetails_uta_531298197", rows, frozenset({"Uid", "Action"}), head=head, format="csv"
    )


def web_trade_history(script: Script) -> Table:
    rows = [web_trade(e) for e in reversed(script.account.events) if e.kind in EXECUTED]
    ignored = frozenset({"Order Price", "Order Type", "Trasaction ID", "Order No.", "ExecFeeV2"})
    return Table("Bybit-Derivatives-TradeHistory", rows, ignored, format="csv")
