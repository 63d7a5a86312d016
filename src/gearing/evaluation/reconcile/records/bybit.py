"""Records of Bybit's interface, version 5."""

from gearing.evaluation.reconcile.records.kind import Kind, compared, meaning, used
from gearing.evaluation.reconcile.records.line import NO_TIME, Line
from gearing.evaluation.reconcile.records.row import Row


def execution(row: Row) -> Line:
    """``execution/list``: trades, funding and liquidations."""
    time, side, symbol = row.time("execTime"), row.side(), row.text("symbol")
    given = row.numbers({"quantity": "execQty", "price": "execPrice", "rate": "feeRate"})
    kind = row.text("execType")
    if kind == "Funding":
        printed = {"funding_paid": row.number("execFee"), **row.numbers({"quantity": "execQty"})}
        return Line(row.line, time, "funding", symbol, side, given, printed, file=row.file, label="funding")
    if kind == "BustTrade":
        printed = row.numbers(
            {"execution_price": "execPrice", "quantity": "execQty", "trigger_mark": "markPrice"}
        )
        printed |= row.numbers({"value": "execValue", "realised": "execPnl"})
        return Line(
            row.line, time, "liquidation", symbol, side, given, printed, file=row.file, label="liquidation"
        )
    given["maker"] = str(row.flag("isMaker")).lower()
    printed = row.numbers({"fee": "execFee", "realised": "execPnl", "value": "execValue"})
    return Line(row.line, time, "fill", symbol, side, given, printed, file=row.file, label="execution")


def position(row: Row) -> Line:
    """``position/list``: a position with its margin, profit and liquidation price."""
    given = row.numbers({"quantity": "size", "entry": "avgPrice", "mark": "markPrice"})
    given |= row.numbers({"wallet": "positionBalance", "leverage": "leverage"})
    printed = row.numbers({"unrealised": "unrealisedPnl", "liquidation_price": "liqPrice"})
    printed |= {"quantity": given["quantity"].removeprefix("-"), "entry": given["entry"]}
    time = row.time("updatedTime") if "updatedTime" in row else NO_TIME
    return Line(row.line, time, "position", row.text("symbol"), row.side(), given, printed, file=row.file)


_SYMBOL, _TIME, _SIDE = used("contract"), used("order of the rows"), meaning("buy or sell")
EXECUTION = Kind(
    "execution", "GET /v5/execution/list", ("execType", "execTime", "symbol"),
    {
        "symbol": _SYMBOL, "execTime": _TIME, "side": _SIDE, "execType": meaning("trade, funding or liquidation"),
        "execQty": used("size"), "execPrice": used("price"), "feeRate": used("rate"), "execFee": compared("fee"),
        "isMaker": meaning("rate of the fee"), "execPnl": compared("profit"), "execValue": compared("value"),
        "markPrice": compared("where the mark triggered"),
    },
    execution,
)  # fmt: skip
POSITION = Kind(
    "position", "GET /v5/position/list", ("symbol", "size", "avgPrice"),
    {
        "symbol": _SYMBOL, "size": compared("size"), "avgPrice": compared("average price"), "side": _SIDE,
        "markPrice": used("mark"), "positionBalance": used("margin"), "leverage": used("margin"),
        "unrealisedPnl": compared("profit at mark"), "liqPrice": compared("liquidation price"), "updatedTime": _TIME,
    },
    position,
)  # fmt: skip

KINDS = (EXECUTION, POSITION)
