"""Summaries of closed positions: Bybit's ``closed-pnl`` and OKX's ``positions-history``."""

from decimal import Decimal

from gearing.evaluation.reconcile.records.kind import Kind, compared, irrelevant, meaning, used
from gearing.evaluation.reconcile.records.line import Line
from gearing.evaluation.reconcile.records.okx_bills import instrument_of, skipped_type
from gearing.evaluation.reconcile.records.row import Row

SIZE_CHANGED = (
    "closed in part, or size was added afterwards: the profit need not follow from the average prices"
)


def bybit(row: Row) -> Line:
    """``position/closed-pnl``: an order that closed; its profit is after the fees of opening and closing."""
    given = row.sizes({"quantity": "closedSize", "entry": "avgEntryPrice", "price": "avgExitPrice"})
    row.check_trade(given)
    printed = row.numbers({"net": "closedPnl", "entry_value": "cumEntryValue", "exit_value": "cumExitValue"})
    unread = {}
    if "openFee" in row and "closeFee" in row:
        given["fees"] = format(Decimal(row.number("openFee")) + Decimal(row.number("closeFee")), "f")
    else:
        unread["net"] = "closedPnl is after fees, which the record does not print"
    return Line(
        row.line, row.time(row.first("updatedTime", "createdTime")), "closed", row.text("symbol"), -row.side(),
        given, printed, row.file, "closed position", order=row.text("orderId", ""), unread=unread,
    )  # fmt: skip


def okx(row: Row) -> Line:
    """``account/positions-history``: a position that was closed, or a part of it."""
    symbol, directions = row.text("instId"), {"long": 1, "short": -1, "net": 0}
    side = int(row.choice(row.first("direction", "posSide"), directions))
    given = row.sizes({"quantity": "closeTotalPos", "entry": "openAvgPx", "price": "closeAvgPx"})
    row.check_trade(given)
    names = {name: name for name in ("pnl", "fee", "fundingFee", "liqPenalty", "settledPnl")}
    amounts = row.numbers(names)
    printed = row.numbers({"realised": "pnl", "change": "realizedPnl"})
    unread = {}
    whole = "openMaxPos" in row and Decimal(row.number("openMaxPos")) == Decimal(given["quantity"])
    if not side or not whole:
        unread["realised"] = SIZE_CHANGED if side else "whether it was long or short is not in the record"
    if "pnl" in amounts and "fee" in amounts:
        given["parts"] = format(sum(map(Decimal, amounts.values()), Decimal(0)), "f")
    coin = row.text("ccy", "").upper()
    line = Line(
        row.line, row.time("uTime"), "closed", symbol, side, given, printed, row.file, "closed position",
        coins={"realised": coin, "change": coin}, unread=unread,
    )  # fmt: skip
    return skipped_type(line, row.text("instType", instrument_of(symbol)))


_ORDER, _TIME = irrelevant("how it was ordered"), used("order of the rows")
BYBIT = Kind(
    "closed position", "GET /v5/position/closed-pnl", ("symbol", "closedSize", "avgEntryPrice", "avgExitPrice", "side"),
    {
        "symbol": used("contract"), "side": meaning("of the order that closed"), "closedSize": used("size"),
        "avgEntryPrice": used("average price"), "avgExitPrice": used("average price"), "category": meaning("perpetual"),
        "closedPnl": compared("profit after fees"), "cumEntryValue": compared("size at the entry price"),
        "cumExitValue": compared("size at the exit price"), "openFee": used("fee"), "closeFee": used("fee"),
        "createdTime": _TIME, "updatedTime": _TIME, "orderId": irrelevant("an id"), "qty": _ORDER,
        "orderPrice": _ORDER, "orderType": _ORDER, "execType": irrelevant("see side"), "fillCount": _ORDER,
        "leverage": irrelevant("no margin is printed"),
    },
    bybit,
)  # fmt: skip
_SUM = used("part of realizedPnl")
OKX = Kind(
    "closed position", "GET /api/v5/account/positions-history", ("instId", "closeTotalPos", "openAvgPx", "closeAvgPx"),
    {
        "instType": meaning("contract, spot or option"), "instId": used("contract"), "uTime": _TIME,
        "direction": meaning("long or short"), "posSide": meaning("position"), "closeTotalPos": used("contracts"),
        "openAvgPx": used("average price"), "closeAvgPx": used("average price"),
        "pnl": compared("profit before fees"),
        "openMaxPos": meaning("whether size was added after a part was closed"),
        "realizedPnl": compared("pnl + fee + fundingFee + liqPenalty + settledPnl"), "fee": _SUM, "fundingFee": _SUM,
        "liqPenalty": _SUM, "settledPnl": _SUM, "ccy": meaning("coin of the amounts"),
        "cTime": irrelevant("its executions have times"), "lever": irrelevant("no margin is printed"),
        "mgnMode": irrelevant("no margin is printed"), "pnlRatio": irrelevant("pnl over margin"),
        "posId": irrelevant("an id"), "triggerPx": irrelevant("how it was closed"),
        "type": irrelevant("how it was closed"), "uly": irrelevant("part of instId"),
        "nonSettleAvgPx": irrelevant("without settlements"),
    },
    okx,
)  # fmt: skip
