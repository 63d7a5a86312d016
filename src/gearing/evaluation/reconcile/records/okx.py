"""Records of OKX's interface, version 5."""

from gearing.evaluation.reconcile.records.kind import Kind, compared, meaning, used
from gearing.evaluation.reconcile.records.line import NO_TIME, Line
from gearing.evaluation.reconcile.records.row import Row

LEGS = {"net": "", "": "", "long": "long", "short": "short"}
_BILLS = {"8": "funding", "5": "liquidation"}


def fill(row: Row) -> Line:
    """``trade/fills``: an execution with its fee and profit."""
    given = row.numbers({"quantity": "fillSz", "price": "fillPx"})
    given["maker"] = str(row.text("execType", "") == "M").lower()
    return Line(
        row.line, row.time("ts"), "fill", row.text("instId"), row.side(), given,
        row.numbers({"fee_change": "fee", "realised": "fillPnl"}), file=row.file, label="fill",
    )  # fmt: skip


def bill(row: Row) -> Line:
    """``account/bills``: an entry of the account's ledger."""
    kind = _BILLS.get(row.text("type"), "skipped")
    given, printed = row.numbers({"quantity": "sz", "price": "px"}), {}
    if kind == "funding":
        printed = row.numbers({"funding": row.first("pnl", "balChg"), "quantity": "sz"})
    if kind == "liquidation":
        printed = row.numbers({"execution_price": "px", "quantity": "sz", "realised": "pnl"})
    label, symbol = f"bill of type {row.text('type')}", row.text("instId", "")
    return Line(row.line, row.time("ts"), kind, symbol, 0, given, printed, file=row.file, label=label)


def position(row: Row) -> Line:
    """``account/positions``: a position with its margin, profit and liquidation price."""
    given = row.numbers(
        {"quantity": "pos", "entry": "avgPx", "mark": "markPx", "wallet": "margin", "leverage": "lever"}
    )
    printed = row.numbers({"unrealised": "upl", "liquidation_price": "liqPx"})
    printed |= {"quantity": given["quantity"].removeprefix("-"), "entry": given["entry"]}
    leg = str(row.choice("posSide", LEGS, "net"))
    side = {"long": 1, "short": -1}.get(leg) or (-1 if given["quantity"].startswith("-") else 1)
    time = row.time("uTime") if "uTime" in row else NO_TIME
    return Line(
        row.line,
        time,
        "position",
        row.text("instId"),
        side,
        given,
        printed,
        file=row.file,
        label="position",
        leg=leg,
    )


_SYMBOL, _TIME, _SIDE = used("contract"), used("order of the rows"), meaning("buy or sell")
FILL = Kind(
    "fill", "GET /api/v5/trade/fills", ("instId", "fillSz", "fillPx"),
    {
        "instId": _SYMBOL, "ts": _TIME, "side": _SIDE, "fillSz": used("contracts"), "fillPx": used("price"),
        "fee": compared("fee"), "fillPnl": compared("profit"), "execType": meaning("rate of the fee"),
    },
    fill,
)  # fmt: skip
BILL = Kind(
    "bill", "GET /api/v5/account/bills", ("balChg", "type", "ts"),
    {
        "instId": _SYMBOL, "ts": _TIME, "type": meaning("what the amount is"), "sz": compared("contracts"),
        "px": used("mark"), "pnl": compared("funding or profit"), "balChg": compared("funding"),
    },
    bill,
)  # fmt: skip
POSITION = Kind(
    "position", "GET /api/v5/account/positions", ("instId", "pos", "avgPx"),
    {
        "instId": _SYMBOL, "uTime": _TIME, "pos": compared("contracts"), "avgPx": compared("average price"),
        "posSide": meaning("position of hedge mode"), "markPx": used("mark"), "margin": used("margin"),
        "lever": used("margin"), "upl": compared("profit at mark"), "liqPx": compared("liquidation price"),
    },
    position,
)  # fmt: skip

KINDS = (FILL, BILL, POSITION)
