"""OKX's records of a scripted account, as its v5 interface answers and as its web page exports.

Fields, signs and printing follow the v5 documents (``trade/fills``, ``account/bills``, ``account/positions``) and bills
quoted in public repositories: quantities are counts of contracts, ``fee`` is negative where paid, a cross account's
``balChg`` is ``pnl + fee``, and an isolated position's funding moves ``posBalChg`` while ``balChg`` is 0. The web page
puts a byte order mark before every line, names the time zone above the header and prints that zone's times.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.evaluation.reconcile.scripted_account import Account
from tests.evaluation.reconcile.statement_writer import Market, Script, Table, fields

from gearing.live.statements.events import Event, Row, Traded, padded, trimmed
from gearing.live.statements.okx import answer, bill, fill, kind, position

D = Decimal
ZONE = 8  # hours of the web page's clock before UTC
MARKET = Market(
    btc=Traded("BTC-USDT-SWAP", "BTC", "USDT", D("0.1"), D("0.01"), size=D("0.01")),
    eth=Traded("ETH-USDT-SWAP", "ETH", "USDT", D("0.01"), D("0.01"), size=D("0.1")),
    sol=Traded("SOL-USDT-SWAP", "SOL", "USDT", D("0.01"), D("0.01"), size=D(1)),
    inverse=Traded("BTC-USD-SWAP", "BTC", "BTC", D("0.1"), D("0.1"), inverse=True, size=D(100)),
    fee_coin="OKB",
)
ACTIONS = {
    "1": "Buy", "2": "Sell", "3": "Open long", "4": "Open short", "5": "Close long", "6": "Close short",
    "11": "Transfer in", "12": "Transfer out", "104": "Liquidation long", "105": "Liquidation short",
    "125": "ADL close long", "126": "ADL close short", "173": "Funding fee expense", "174": "Funding fee income",
}  # fmt: skip
FILL_IGNORED = fields(
    "tradeId ordId clOrdId billId tag fillIdxPx fillPxVol fillPxUsd fillMarkVol fillFwdPx fillMarkPx instType ts "
    "tradeQuoteCcy"
)
BILL_IGNORED = fields(
    "billId ordId clOrdId tag tradeId notes from to fillIdxPx fillMarkPx fillPxVol fillPxUsd fillMarkVol fillFwdPx "
    "fillTime earnAmt earnApr posBal posBalChg instType"
)
POSITION_IGNORED = fields(
    "adl availPos bePx cTime usdPx idxPx last mgnRatio mmr imr notionalUsd uplLastPx uplRatio uplRatioLastPx tradeId "
    "posId optVal interest liab liabCcy fee fundingFee pnl realizedPnl liqPenalty instType lever settledPnl "
    "nonSettleAvgPx closeOrderAlgo"
)


def account() -> Account:
    return Account(
        taker=D("0.0005"), maker=D("0.0002"), digits=10, valued="mark_plus_fee", free=("liquidation", "adl")
    )


def web_bill(e: Event) -> Row:
    """The web page's "Trading history"."""
    trading = e.kind in ("fill", "adl", "liquidation")
    pnl = e.realised if trading else (e.amount if e.kind == "funding" else D(0))
    fee = -e.fee if trading and e.fee_coin == e.coin else D(0)
    local = datetime.fromtimestamp(e.time // 1000, UTC) + timedelta(hours=ZONE)
    return {
        "\ufeffid": f"\ufeff{680800019754098688 + e.number}", "Order id": str(680800019749904384 + e.number),
        "Time": local.strftime("%Y-%m-%d %H:%M:%S"), "Trade Type": "Swap" if e.contract else "Transfer",
        "Symbol": e.contract.symbol if e.contract else "", "Action": ACTIONS[kind(e)[1]],
        "Amount": trimmed(e.quantity) if e.contract else "0", "Trading Unit": "cont",
        "Filled Price": padded(e.price, 8), "PnL": padded(pnl, 10), "Fee": padded(fee, 10), "Fee Unit": e.coin,
        "Position Change": "0.00000000", "Position Balance": "0.00000000", "Balance Change": padded(e.amount, 10),
        "Balance": padded(e.balance, 10), "Balance Unit": e.coin,
    }  # fmt: skip


def fills(script: Script) -> Table:
    rows = [fill(e) for e in reversed(script.account.events) if e.kind in ("fill", "adl", "liquidation")]
    return Table("fills-history", rows, FILL_IGNORED, answer)


def bills(script: Script) -> Table:
    rows = [bill(e) for e in reversed(script.account.events) if e.kind != "position"]
    return Table("account-bills", rows, BILL_IGNORED, answer)


def isolated_bills(script: Script) -> Table:
    """Funding of an isolated position moves its margin, not the balance of the account."""
    rows, kept = [], D(0)
    for e in (e for e in script.account.events if e.kind != "position"):
        row = bill(e, isolated=True)
        kept += D(row["posBalChg"])
        rows.append(row | {"bal": padded(e.balance - kept, 16)})
    return Table("account-bills", rows[::-1], BILL_IGNORED - {"posBalChg"}, answer)


def positions(script: Script) -> Table:
    rows = [position(e) for e in script.account.events if e.kind == "position"]
    return Table("account-positions", rows, POSITION_IGNORED, answer)


def web_trading_history(script: Script) -> Table:
    rows = [web_bill(e) for e in reversed(script.account.events) if e.kind != "position"]
    head = f"\ufeffUID:187310626144690176,\ufeffAccount Type:Main,\ufeffTime Zone:UTC+{ZONE}\n"
    ignored = frozenset({"\ufeffid", "Order id", "Trade Type", "Position Change", "Position Balance"})
    return Table("OKX Trading History", rows, ignored, head=head, format="csv")
