"""Records of OKX's interface, version 5: fills and positions. Quantities are counts of contracts."""

from dataclasses import replace
from decimal import Decimal

from gearing.evaluation.reconcile.records.kind import Kind, compared, irrelevant, meaning, used
from gearing.evaluation.reconcile.records.line import NO_TIME, Line
from gearing.evaluation.reconcile.records.okx_bills import BILL, PAGE_BILL, check_side, skipped_type
from gearing.evaluation.reconcile.records.row import Row

LEGS: dict[str, str | int] = {"net": "", "long": "long", "short": "short"}
LIQUIDATIONS = {"104", "105", "106", "107"}
FORCED = {*LIQUIDATIONS, "100", "101", "102", "103", "125", "126", "127", "128"}


def fill(row: Row) -> Line:
    """``trade/fills`` and ``fills-history``: an execution with its fee and profit."""
    symbol, side, leg = row.text("instId"), row.side(), str(row.choice("posSide", LEGS, "net"))
    coin, trade, identifier = row.text("feeCcy", "").upper(), row.text("tradeId", ""), row.text("billId", "")
    given = row.sizes({"quantity": "fillSz", "price": "fillPx"})
    row.check_trade(given)
    check_side(row, row.text("subType", ""), side)
    given["maker"] = str(row.choice("execType", {"m": "true", "t": "false"}, "t"))
    if "feeRate" in row:  # negative where paid, as the fee
        given["rate"] = format(-Decimal(row.number("feeRate")), "f")
    printed = row.numbers({"fee_change": "fee", "realised": "fillPnl"})
    line = Line(
        row.line, row.time("ts"), "fill", symbol, side, given, printed, file=row.file, label="fill", leg=leg,
        trade=identifier or trade, order=row.text("ordId", ""), coins={"fee_change": coin},
        identity=("fill", symbol, identifier or trade, str(side)) if identifier or trade else (),
        forced=row.text("subType", "") in FORCED,
    )  # fmt: skip
    if row.text("subType", "") in LIQUIDATIONS:
        printed |= {"execution_price": given["price"], "quantity": given["quantity"]}
        line = replace(line, kind="liquidation", printed=printed)
    return skipped_type(line, row.text("instType", "SWAP"))


def position(row: Row) -> Line:
    """``account/positions``: a position with its margin, profit and liquidation price."""
    quantity, leg = row.number("pos"), str(row.choice("posSide", LEGS, "net"))
    time = row.time("uTime") if row.text("uTime", "0") != "0" else NO_TIME
    line = Line(
        row.line, time, "position", row.text("instId"), 0, {"quantity": "0", "entry": "0"}, file=row.file,
        label="position", leg=leg,
    )  # fmt: skip
    if Decimal(quantity) == 0:
        return skipped_type(line, row.text("instType", "SWAP"))
    side = {"long": 1, "short": -1}.get(leg) or (-1 if Decimal(quantity) < 0 else 1)
    if leg and Decimal(quantity) < 0:
        raise row.error(f"pos is {quantity} of a {leg}; in long/short mode it is positive.")
    size, isolated = quantity.removeprefix("-"), row.text("mgnMode", "isolated").lower() != "cross"
    given = {"quantity": size, "entry": row.number("avgPx"), **row.nonzero({"mark": "markPx"})}
    row.check_trade({"quantity": size, "price": given["entry"]})
    if isolated:
        given |= row.numbers({"wallet": "margin"}) | row.nonzero({"leverage": "lever"})
    printed = {"quantity": size, "entry": given["entry"], **row.numbers({"unrealised": "upl"})}
    printed |= row.numbers({"liquidation_price": "liqPx"})
    unread = {}
    if not isolated and "liquidation_price" in printed:
        unread["liquidation_price"] = "cross margin: it depends on the whole account"
    line = replace(
        line,
        side=side,
        given=given,
        printed=printed,
        unread=unread,
        coins={"unrealised": row.text("ccy", "").upper()},
    )
    return skipped_type(line, row.text("instType", "SWAP"))


_ID, _SYMBOL = irrelevant("an id"), used("contract")
_TIME, _OPTION, _EMPTY = (
    used("order of the rows"),
    irrelevant("of options"),
    irrelevant("without effect on any number"),
)
_TYPE, _SUM = meaning("contract, spot or option"), irrelevant("sum of rows that need not be in the statement")
FILL = Kind(
    "fill", "GET /api/v5/trade/fills, fills-history", ("instId", "fillSz", "fillPx", "side"),
    {
        "instType": _TYPE, "instId": _SYMBOL, "ts": _TIME, "side": meaning("buy or sell"),
        "posSide": meaning("position"),
        "fillSz": used("contracts"), "fillPx": used("price"), "fee": compared("fee"),
        "feeCcy": meaning("coin of the fee"),
        "fillPnl": compared("profit before fees"), "execType": meaning("rate of the fee"),
        "fillTime": irrelevant("see ts"),
        "billId": meaning("the bill of the same execution"), "tradeId": meaning("the same id is the same execution"),
        "subType": meaning("liquidation or auto-deleveraging"), "ordId": _ID, "clOrdId": _ID, "tag": _ID,
        "fillIdxPx": _EMPTY, "fillMarkPx": irrelevant("mark at the execution, at which nothing is booked"),
        "fillPxVol": _OPTION, "fillPxUsd": _OPTION, "fillMarkVol": _OPTION, "fillFwdPx": _OPTION,
        "feeRate": used("rate of the fee"), "tradeQuoteCcy": _EMPTY,
    },
    fill,
)  # fmt: skip
POSITION = Kind(
    "position", "GET /api/v5/account/positions", ("instId", "pos", "avgPx|posSide"),
    {
        "instType": _TYPE, "instId": _SYMBOL, "uTime": _TIME, "posSide": meaning("position"),
        "pos": compared("contracts"),
        "mgnMode": meaning("what backs the position"), "ccy": meaning("coin of the amounts"),
        "avgPx": compared("average"),
        "markPx": used("mark"), "upl": compared("profit at mark"), "margin": used("margin"),
        "lever": used("margin where none is printed"), "liqPx": compared("liquidation price"), "posId": _ID,
        "tradeId": _ID,
        "posCcy": irrelevant("of spot margin"), "liab": irrelevant("of spot margin"),
        "liabCcy": irrelevant("of spot margin"),
        "availPos": irrelevant("less what open orders close"), "uplRatio": irrelevant("upl over margin"),
        "cTime": _EMPTY,
        "uplLastPx": irrelevant("at the last price"), "uplRatioLastPx": irrelevant("at the last price"),
        "last": _EMPTY,
        "imr": irrelevant("of the leverage setting"), "mmr": irrelevant("see liqPx"),
        "mgnRatio": irrelevant("see liqPx"),
        "notionalUsd": irrelevant("in dollars, at their index"), "adl": _EMPTY, "bePx": _SUM, "idxPx": _EMPTY,
        "usdPx": _EMPTY,
        "fee": _SUM, "fundingFee": _SUM, "pnl": _SUM, "realizedPnl": _SUM, "settledPnl": _SUM, "liqPenalty": _SUM,
        "interest": irrelevant("of spot margin"), "nonSettleAvgPx": _EMPTY, "closeOrderAlgo": irrelevant("orders"),
        "optVal": _OPTION, "deltaBS": _OPTION, "deltaPA": _OPTION, "gammaBS": _OPTION, "gammaPA": _OPTION,
        "vegaBS": _OPTION,
        "vegaPA": _OPTION, "thetaBS": _OPTION, "thetaPA": _OPTION, "spotInUseAmt": _EMPTY, "spotInUseCcy": _EMPTY,
        "clSpotInUseAmt": _EMPTY, "maxSpotInUseAmt": _EMPTY, "bizRefId": _ID, "bizRefType": _ID,
        "pendingCloseOrdLiabVal": _EMPTY,
        "baseBal": irrelevant("of spot margin"), "quoteBal": irrelevant("of spot margin"), "hedgedPos": _EMPTY,
        "baseBorrowed": irrelevant("of spot margin"), "baseInterest": irrelevant("of spot margin"),
        "quoteBorrowed": irrelevant("of spot margin"), "quoteInterest": irrelevant("of spot margin"),
    },
    position,
)  # fmt: skip

KINDS = (FILL, BILL, PAGE_BILL, POSITION)
