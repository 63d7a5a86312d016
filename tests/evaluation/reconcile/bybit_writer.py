"""Bybit's records of a scripted account, as its v5 interface answers and as its web page exports.

Fields, signs and printing follow the v5 documents (``execution/list``, ``account/transaction-log``,
``position/list``) and answers quoted in public repositories: times and numbers are texts, an absent number is an empty
text, ``execFee`` is positive where paid, ``funding`` positive where received, and for a short ``feeRate`` of a
settlement is the market's with the other sign. The web page's transaction log pads to 20 decimals and writes ``--`` for
an absent number; there ``Fee Paid`` is negative where paid. The web page's trade history prints minutes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from tests.evaluation.reconcile.scripted_account import Account
from tests.evaluation.reconcile.statement_writer import Market, Script, Table, fields

from gearing.live.statements.bybit import (
    EXECUTED,
    LOGGED,
    answer,
    category,
    execution,
    ids,
    log,
    position,
    side,
)
from gearing.live.statements.events import Event, Row, Traded, padded, trimmed

D = Decimal
MARKET = Market(
    btc=Traded("BTCUSDT", "BTC", "USDT", D("0.1"), D("0.001")),
    eth=Traded("ETHUSDT", "ETH", "USDT", D("0.01"), D("0.01")),
    sol=Traded("SOLUSDT", "SOL", "USDT", D("0.01"), D("0.1")),
    inverse=Traded("BTCUSD", "BTC", "BTC", D("0.5"), D("1"), inverse=True),
    fee_coin="MNT",
)
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
