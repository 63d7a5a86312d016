"""Records of Bybit's interface, version 5: executions, positions and the transaction log."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from gearing.evaluation.reconcile.records.kind import Kind, compared, irrelevant, meaning, used
from gearing.evaluation.reconcile.records.line import NO_TIME, Line
from gearing.evaluation.reconcile.records.row import Row

LEGS = {"0": "", "1": "long", "2": "short"}
SIDES: dict[str, str | int] = {"buy": 1, "long": 1, "sell": -1, "short": -1, "none": 0}
PERPETUAL = {"linear", "inverse"}
FILLS = {"Trade", "AdlTrade", "BlockTrade", "MovePosition"}
LIQUIDATIONS = {"BustTrade", "Liquidation"}
INTERFACE = {
    "kind": "execType", "symbol": "symbol", "side": "side", "time": "execTime", "trade": "execId", "order": "orderId",
    "quantity": "execQty", "price": "execPrice", "rate": "feeRate", "fee": "execFee", "coin": "feeCurrency",
    "value": "execValue", "realised": "execPnl", "closed": "closedSize", "trigger_mark": "markPrice",
    "maker": "isMaker",
}  # fmt: skip
NOT_READ = {
    "Delivery": "delivery of a dated contract",
    "Settle": "settlement of a dated contract or a session",
    "FutureSpread": "leg of a spread",
    "SessionSettlePnL": "profit of a session of a contract in USDC",
}


def funding_rate(row: Row, name: str, fee: str, side: int) -> dict[str, str]:
    """The market's rate. On a short's row Bybit prints it with the other sign, so that the fee is value times rate, or
    as it is: the fee says which, a long pays a positive rate."""
    if name not in row:
        return {}
    rate = abs(Decimal(row.number(name)))
    return {"rate": format(rate if Decimal(fee) * side >= 0 else -rate, "f")}


def execution(row: Row) -> Line:
    """``execution/list`` and the stream ``execution``: trades, funding and liquidations."""
    return execution_line(row, INTERFACE)


def execution_line(row: Row, names: Mapping[str, str]) -> Line:
    """An execution, whose fields the interface and the page name differently."""
    kind = row.text(names["kind"], "Trade")
    side, trade = int(row.choice(names["side"], SIDES)), row.text(names["trade"], "")
    coin = row.text(names["coin"], "").upper()
    line = Line(
        row.line, row.time(names["time"]), "skipped", row.text(names["symbol"]), side, file=row.file, trade=trade,
        order=row.text(names["order"], ""), label=f"execution {kind}", by_side=True,
        given=row.sizes({name: names[name] for name in ("quantity", "price")}),
        coins={"fee": coin, "funding_paid": coin}, leg=str(row.choice("positionIdx", LEGS, "0")),
        identity=("execution", row.text(names["symbol"]), trade) if trade else (),
    )  # fmt: skip
    category = row.text("category", "linear").lower()
    if category not in PERPETUAL:
        return replace(line, label=f"execution of category {category}")
    if kind in NOT_READ:
        return replace(line, unread={"execution": NOT_READ[kind]})
    if kind == "Funding":
        line = replace(line, given=row.nonzero({name: names[name] for name in ("quantity", "price")}))
        given = {**line.given, **funding_rate(row, names["rate"], row.number(names["fee"]), side)}
        printed = {"funding_paid": row.number(names["fee"])}
        printed |= _pick(row, names, ("quantity", "value", "closed", "realised"))
        return replace(line, kind="funding", given=given, printed=printed)
    row.check_trade(line.given)
    given = {**line.given, **_pick(row, names, ("rate",)), "maker": str(row.flag(names["maker"])).lower()}
    printed = _pick(row, names, ("fee", "realised", "value", "closed"))
    if kind in LIQUIDATIONS:
        printed |= _pick(row, names, ("quantity", "trigger_mark")) | {"execution_price": given["price"]}
        return replace(line, kind="liquidation", given=given, printed=printed)
    unread = {} if kind in FILLS else {"execution": f"type {kind} is not documented; read as a trade"}
    return replace(line, kind="fill", given=given, printed=printed, unread=unread)


def _pick(row: Row, names: Mapping[str, str], wanted: tuple[str, ...]) -> dict[str, str]:
    return row.numbers({name: names[name] for name in wanted if name in names})


def position(row: Row) -> Line:
    """``position/list``: a position with its margin, profit and liquidation price."""
    quantity = row.number("size") if "size" in row else "0"
    side = int(row.choice("side", SIDES, "none"))
    leg = str(row.choice("positionIdx", LEGS, "0"))
    time = row.time("updatedTime") if row.text("updatedTime", "0") != "0" else NO_TIME
    if Decimal(quantity) == 0:
        given = {"quantity": "0", "entry": "0"}
        return Line(
            row.line,
            time,
            "position",
            row.text("symbol"),
            0,
            given,
            file=row.file,
            label="position",
            leg=leg,
            by_side=True,
        )
    side = side or _side_of_prices(row)
    if side == 0:
        raise row.error(f"side is {row.text('side', '')!r} for a position of {quantity}; it is Buy or Sell.")
    if leg and side != {"long": 1, "short": -1}[leg]:
        raise row.error(
            f"positionIdx {row.text('positionIdx')} is the {leg} of hedge mode, side {row.text('side')} is not."
        )
    row.sizes({"size": "size"})
    given = {"quantity": quantity, "entry": row.number(row.first("avgPrice", "entryPrice"))}
    row.check_trade({"quantity": quantity, "price": given["entry"]})
    given |= row.nonzero({"mark": "markPrice", "leverage": "leverage"}) | row.numbers(
        {"wallet": "positionBalance"}
    )
    printed = row.numbers(
        {"unrealised": "unrealisedPnl", "liquidation_price": "liqPrice", "value": "positionValue"}
    )
    printed |= {"quantity": given["quantity"], "entry": given["entry"]}
    if (
        "bustPrice" in row and "positionIM" in row
    ):  # classic accounts; the margin holds what was added by hand
        printed |= row.numbers({"bankruptcy_price": "bustPrice"})
        given |= row.numbers({"posted": "positionIM"})
    unread = {}
    if row.text("tradeMode", "1") == "0" and "liquidation_price" in printed:
        unread["liquidation_price"] = "cross margin (tradeMode 0): it depends on the whole account"
        del printed["liquidation_price"]
        given = {name: value for name, value in given.items() if name not in ("wallet", "leverage")}
    return Line(
        row.line, time, "position", row.text("symbol"), side, given, printed,
        file=row.file, label="position", leg=leg, unread=unread, by_side=True,
    )  # fmt: skip


def _side_of_prices(row: Row) -> int:
    """Side of a record that prints none (answers about added margin): a long is liquidated below its entry price."""
    name = row.first("bustPrice", "liqPrice")
    if name not in row or "avgPrice" not in row:
        return 0
    return 1 if Decimal(row.number(name)) < Decimal(row.number("avgPrice")) else -1


_ID, _SIDE, _SYMBOL = irrelevant("an id"), meaning("buy or sell"), used("contract")
_TIME, _ORDER, _SETTING = used("order of the rows"), irrelevant("how it was ordered"), irrelevant("a setting")
_OPTION, _EMPTY = irrelevant("of options"), irrelevant("without effect on any number")
EXECUTION = Kind(
    "execution", "GET /v5/execution/list", ("symbol", "execQty", "execPrice", "execTime"),
    {
        "symbol": _SYMBOL, "category": meaning("perpetual, spot or option"), "side": _SIDE, "execTime": _TIME,
        "execType": meaning("trade, funding, liquidation or other"), "execQty": used("size"),
        "execPrice": used("price"),
        "execValue": compared("value"), "execFee": compared("fee or funding"), "feeRate": used("rate of the fee"),
        "feeCurrency": meaning("coin of the fee"), "isMaker": meaning("rate of the fee where none is printed"),
        "closedSize": compared("size that closed a position, and which one in hedge mode"),
        "positionIdx": meaning("position of hedge mode, where a stream or a client adds it"),
        "execPnl": compared("profit before fees"), "markPrice": compared("mark that triggered a liquidation"),
        "execId": meaning("the same id is the same execution"), "orderId": _ID, "orderLinkId": _ID,
        "blockTradeId": _ID,
        "execFeeV2": irrelevant("fee of spot trades"), "extraFees": irrelevant("taxes and levies of some countries"),
        "orderPrice": _ORDER, "orderQty": _ORDER, "leavesQty": _ORDER, "createType": _ORDER, "orderType": _ORDER,
        "stopOrderType": _ORDER, "isLeverage": _ORDER, "marketUnit": _ORDER, "tradeIv": _OPTION, "markIv": _OPTION,
        "indexPrice": _OPTION, "underlyingPrice": _OPTION, "seq": irrelevant("order of the venue's messages"),
    },
    execution,
)  # fmt: skip
POSITION = Kind(
    "position", "GET /v5/position/list", ("symbol", "size", "avgPrice|entryPrice"),
    {
        "symbol": _SYMBOL, "positionIdx": meaning("position of hedge mode"), "side": _SIDE, "size": compared("size"),
        "avgPrice": compared("average price"), "entryPrice": compared("average price"), "markPrice": used("mark"),
        "positionValue": compared("value at the average price"), "tradeMode": meaning("what backs the position"),
        "leverage": used("margin where none is printed"), "positionBalance": used("margin"), "updatedTime": _TIME,
        "liqPrice": compared("liquidation price"), "unrealisedPnl": compared("profit at mark"),
        "category": meaning("perpetual or other"), "createdTime": _EMPTY, "seq": _EMPTY, "adlRankIndicator": _EMPTY,
        "riskId": irrelevant("of the tier"), "riskLimitValue": irrelevant("of the tier"), "tpslMode": _SETTING,
        "bustPrice": compared("bankruptcy price, of classic accounts"), "autoAddMargin": _SETTING, "takeProfit": _ORDER,
        "stopLoss": _ORDER, "trailingStop": _ORDER, "activePrice": _ORDER, "isReduceOnly": _SETTING,
        "positionIM": irrelevant("of the leverage setting, with the fee of closing"), "positionIMByMp": _EMPTY,
        "positionMM": irrelevant("see liqPrice"), "positionMMByMp": _EMPTY, "occClosingFee": _EMPTY,
        "curRealisedPnl": irrelevant("sum of fees, funding and profits of rows that need not be in the statement"),
        "cumRealisedPnl": irrelevant("sum of fees, funding and profits of rows that need not be in the statement"),
        "sessionAvgPrice": irrelevant("of USDC contracts"), "breakEvenPrice": irrelevant("sum of such rows"),
        "positionStatus": _EMPTY, "mmrSysUpdatedTime": _EMPTY, "leverageSysUpdatedTime": _EMPTY, "delta": _OPTION,
        "gamma": _OPTION, "vega": _OPTION, "theta": _OPTION,
    },
    position,
)  # fmt: skip
