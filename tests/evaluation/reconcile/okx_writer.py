"""OKX's records of a scripted account, as its v5 interface answers and as its web page exports.

Fields, signs and printing follow the v5 documents (``trade/fills``, ``account/bills``, ``account/positions``) and bills
quoted in public repositories: quantities are counts of contracts, ``fee`` is negative where paid, a cross account's
``balChg`` is ``pnl + fee``, and an isolated position's funding moves ``posBalChg`` while ``balChg`` is 0. The web page
puts a byte order mark before every line, names the time zone above the header and prints that zone's times.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.evaluation.reconcile.scripted_account import Account, Event, Traded
from tests.evaluation.reconcile.statement_writer import Market, Row, Script, Table, fields, padded, trimmed

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


def answer(rows: list[Row]) -> Row:
    return {"code": "0", "msg": "", "data": rows}


def kind(e: Event) -> tuple[str, str]:
    """Type and subtype of a bill."""
    long = e.before > 0
    if e.kind == "transfer":
        return "1", "11" if e.amount > 0 else "12"
    if e.kind == "funding":
        return "8", "174" if e.amount > 0 else "173"
    if e.kind == "liquidation":
        return "5", "104" if long else "105"
    if e.kind == "adl":
        return "9", "125" if long else "126"
    if e.leg == "net":
        return "2", "1" if e.side > 0 else "2"
    return "2", {("long", 1): "3", ("short", -1): "4", ("long", -1): "5", ("short", 1): "6"}[e.leg, e.side]


def fill(e: Event) -> Row:
    assert e.contract is not None
    return {
        "instType": "SWAP", "instId": e.contract.symbol, "tradeId": str(744876980 + e.number),
        "ordId": str(680800019749904384 + e.number), "clOrdId": "", "billId": str(680800019754098688 + e.number),
        "subType": kind(e)[1], "tag": "", "fillPx": trimmed(e.price), "fillSz": trimmed(e.quantity),
        "fillIdxPx": trimmed(e.price), "fillPnl": trimmed(e.realised), "fillPxVol": "", "fillPxUsd": "",
        "fillMarkVol": "", "fillFwdPx": "", "fillMarkPx": trimmed(e.price), "side": "buy" if e.side > 0 else "sell",
        "posSide": e.leg, "execType": "M" if e.maker else "T", "feeCcy": e.fee_coin, "fee": trimmed(-e.fee),
        "ts": str(e.time + 7), "fillTime": str(e.time), "feeRate": "", "tradeQuoteCcy": e.coin,
    }  # fmt: skip


def bill(e: Event, isolated: bool = False) -> Row:
    group, sub = kind(e)
    trading = e.kind in ("fill", "adl", "liquidation")
    fee = -e.fee if trading and e.fee_coin == e.coin else D(0)
    pnl = e.realised if trading else (e.amount if e.kind == "funding" else D(0))
    moved = e.amount if isolated and e.kind == "funding" else D(0)
    return {
        "bal": padded(e.balance, 16), "balChg": padded(e.amount - moved, 16),
        "billId": str(680800019754098688 + e.number),
        "ccy": e.coin, "clOrdId": "", "earnAmt": "", "earnApr": "",
        "execType": ("M" if e.maker else "T") if trading else "",
        "fee": trimmed(fee), "fillFwdPx": "", "fillIdxPx": "", "fillMarkPx": "", "fillMarkVol": "", "fillPxUsd": "",
        "fillPxVol": "", "fillTime": str(e.time) if trading else "", "from": "",
        "instId": e.contract.symbol if e.contract else "",
        "instType": "SWAP" if e.contract else "", "interest": "0",
        "mgnMode": ("isolated" if isolated else "cross") if e.contract else "", "notes": "",
        "ordId": str(680800019749904384 + e.number) if trading else "", "pnl": trimmed(pnl), "posBal": "0",
        "posBalChg": trimmed(moved), "px": trimmed(e.price) if e.contract else "", "subType": sub,
        "sz": trimmed(e.quantity) if e.contract else trimmed(abs(e.amount)), "tag": "", "to": "",
        "tradeId": str(744876980 + e.number) if trading else "", "ts": str(e.time), "type": group,
    }  # fmt: skip


def position(e: Event) -> Row:
    assert e.contract is not None
    signed = e.after if e.leg == "net" else abs(e.after)
    blank = dict.fromkeys(
        ("liab", "liabCcy", "optVal", "interest", "closeOrderAlgo", "settledPnl", "nonSettleAvgPx"), ""
    )
    return {
        "adl": "1", "availPos": trimmed(signed), "avgPx": trimmed(e.entry.quantize(D("1e-12"))),
        "cTime": "1619507758793", "ccy": e.coin, "fee": "0", "fundingFee": "0", "idxPx": trimmed(e.mark),
        "imr": "", "instId": e.contract.symbol, "instType": "SWAP", "last": trimmed(e.mark),
        "lever": trimmed(e.leverage), "liqPenalty": "0", "liqPx": trimmed(e.liquidation_price.quantize(D("1e-10"))),
        "margin": trimmed(e.margin), "markPx": trimmed(e.mark), "mgnMode": "isolated", "mgnRatio": "11.73",
        "mmr": "0.0003", "notionalUsd": trimmed(e.value), "pnl": "0", "pos": trimmed(signed), "posCcy": "",
        "posId": "307173036051017730", "posSide": e.leg, "realizedPnl": "0", "tradeId": "109844",
        "uTime": str(e.time), "upl": trimmed(e.realised), "uplLastPx": "", "uplRatio": "0.1", "uplRatioLastPx": "",
        "usdPx": "", "bePx": trimmed(e.entry.quantize(D("1e-6"))), **blank,
    }  # fmt: skip


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
