"""OKX's records of an account, as its v5 interface answers.

Fields, signs and printing follow the v5 documents (``trade/fills``, ``account/bills``, ``account/positions``):
quantities are counts of contracts, ``fee`` is negative where paid, a cross account's ``balChg`` is ``pnl + fee``, and
an isolated position's funding moves ``posBalChg`` while ``balChg`` is 0.
"""

from __future__ import annotations

from decimal import Decimal

from gearing.live.statements.events import Event, Row, padded, trimmed

D = Decimal


def answer(rows: list[Row]) -> Row:
    """What the interface puts around rows."""
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
    """A row of ``trade/fills``."""
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
    """A row of ``account/bills``."""
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
    """A row of ``account/positions``."""
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
