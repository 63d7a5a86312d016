"""Records of Binance's futures interfaces: USD-M (``/fapi``) and COIN-M (``/dapi``)."""

import re
from decimal import Decimal
from typing import Any

from gearing.evaluation.reconcile.records.kind import Kind, compared, irrelevant, meaning, used
from gearing.evaluation.reconcile.records.line import NO_TIME, Line
from gearing.evaluation.reconcile.records.row import Row

LEGS = {"both": "", "long": "long", "short": "short"}
MONEY_MOVES = {
    "TRANSFER", "WELCOME_BONUS", "REFERRAL_KICKBACK", "COMMISSION_REBATE", "API_REBATE", "CONTEST_REWARD",
    "CROSS_COLLATERAL_TRANSFER", "INTERNAL_TRANSFER", "AUTO_EXCHANGE", "COIN_SWAP_DEPOSIT", "COIN_SWAP_WITHDRAW",
    "POSITION_LIMIT_INCREASE_FEE", "STRATEGY_UMFUTURES_TRANSFER", "FEE_RETURN", "BFUSD_REWARD",
    "OPTIONS_PREMIUM_FEE", "OPTIONS_SETTLE_PROFIT",
}  # fmt: skip
FORCED, DELEVERAGED = "autoclose-", "adl_autoclose"  # how client ids of forced orders begin


def maker(row: Row, name: str) -> dict[str, str]:
    """Whether the order waited in the book, where the record says so."""
    return {"maker": str(row.flag(name)).lower()} if name in row else {}


def user_trade(row: Row) -> Line:
    """``userTrades``: an execution with its fee and realised profit."""
    fee_coin = row.text("commissionAsset", "").upper()
    side, leg = row.side(), str(row.choice("positionSide", LEGS, "both"))
    printed = row.numbers({"fee": "commission", "realised": "realizedPnl"})
    printed |= row.numbers({"value": "baseQty" if "baseQty" in row else "quoteQty"})
    trade, symbol = row.text("id", ""), row.text("symbol")
    return Line(
        row.line, row.time("time"), "fill", symbol, side,
        given=row.sizes({"quantity": "qty", "price": "price"}) | maker(row, "maker"),
        printed=printed, file=row.file, label="user trade", leg=leg, trade=trade, order=row.text("orderId", ""),
        coins={"fee": fee_coin, "realised": row.text("marginAsset", "").upper()},
        identity=("trade", symbol, trade, str(side)) if trade else (), sequence=int(trade) if trade.isdigit() else -1,
    )  # fmt: skip


def income_line(row: Row, time: str, amount: str, kind: str, identifier: str) -> Line:
    """An entry of the income history, from the interface or the page."""
    income_type, symbol = re.sub(r"[\s-]+", "_", row.text(kind).upper()), row.text("symbol", "")
    value, coin = row.amount(amount)
    coin = row.text("asset", coin).upper()
    number = row.text(identifier, "")
    common: dict[str, Any] = {
        "file": row.file, "label": f"income {income_type}", "trade": row.text("tradeId", ""),
        "identity": ("income", income_type, number, symbol, coin) if number else (),
    }  # fmt: skip
    names = {"FUNDING_FEE": "funding", "COMMISSION": "fee_change", "REALIZED_PNL": "realised"}
    if income_type not in names or not symbol:
        reasons = {
            "INSURANCE_CLEAR": "liquidation clearance fee: its rate is not in the record",
            "DELIVERED_SETTELMENT": "delivery of a dated contract",
        }
        unread = {"income": reasons[income_type]} if income_type in reasons else {}
        if income_type not in MONEY_MOVES and not unread:
            unread = {"income": f"incomeType {income_type} is not documented"}
        if income_type in names:
            unread = {"income": "no contract is stated"}
        return Line(row.line, row.time(time), "skipped", symbol, unread=unread, **common)
    what = "funding" if income_type == "FUNDING_FEE" else "entry"
    printed, coins = {names[income_type]: value}, {names[income_type]: coin}
    return Line(row.line, row.time(time), what, symbol, printed=printed, coins=coins, **common)


def income(row: Row) -> Line:
    """``income``: funding, fees, profits and other changes of the wallet."""
    return income_line(row, "time", "income", "incomeType", "tranId")


def order(row: Row) -> Line:
    """``forceOrders`` and ``allOrders``: a liquidation, or an order, which is no execution."""
    client, executed = row.text("clientOrderId", FORCED), row.number("executedQty")
    common: dict[str, Any] = {
        "file": row.file, "leg": str(row.choice("positionSide", LEGS, "both")), "order": row.text("orderId", ""),
        "identity": ("order", row.text("symbol"), row.text("orderId")) if "orderId" in row else (),
    }  # fmt: skip
    time, side = row.time(row.first("time", "updateTime")), row.side()
    if float(executed) == 0.0 or not client.startswith((FORCED, DELEVERAGED)):
        label = "order" if float(executed) else f"order {row.text('status', 'without execution')}"
        return Line(row.line, time, "skipped", row.text("symbol"), side, label=label, **common)
    given = {"quantity": executed, "price": row.number("avgPrice")}
    value = row.numbers({"value": "cumBase" if "cumBase" in row else "cumQuote"})
    if client.startswith(DELEVERAGED):
        given["maker"] = "true"
        return Line(
            row.line,
            time,
            "fill",
            row.text("symbol"),
            side,
            given,
            value,
            label="auto-deleveraging",
            **common,
        )
    printed = {"execution_price": given["price"], "quantity": executed}
    printed |= row.numbers({"limit_price": "price"}) | value
    return Line(
        row.line,
        time,
        "liquidation",
        row.text("symbol"),
        side,
        given,
        printed,
        label="forced order",
        **common,
    )


def position(row: Row) -> Line:
    """``positionRisk``: a position with its margin, profit and liquidation price."""
    amount = row.number("positionAmt")
    time = row.time("updateTime") if row.text("updateTime", "0") != "0" else NO_TIME
    side = -1 if amount.startswith("-") else 1
    leg = str(row.choice("positionSide", LEGS, "both"))
    given = row.numbers({"quantity": "positionAmt", "mark": "markPrice"})
    given["entry"] = row.number("entryPrice") if float(amount) or "entryPrice" in row else "0"
    unread = {}
    if _is_cross(row) and float(amount):
        unread["liquidation_price"] = (
            "cross margin: the wallet and the other positions that back it are not in the record"
        )
    elif not _is_cross(row):
        given |= _margin(row)
    printed = row.numbers({"unrealised": "unRealizedProfit", "liquidation_price": "liquidationPrice"})
    printed |= {"quantity": amount.removeprefix("-"), "entry": given["entry"]}
    printed |= {name: text.removeprefix("-") for name, text in row.numbers(_sums(row)).items()}
    return Line(
        row.line, time, "position", row.text("symbol"), side, given, printed,
        file=row.file, label="position", leg=leg, unread=unread,
    )  # fmt: skip


def _sums(row: Row) -> dict[str, str]:
    """Sums of other fields; the margin balance of a cross position is not its own."""
    value = row.first("notional", "notionalValue")
    return {"value": value} if _is_cross(row) else {"value": value, "margin_balance": "isolatedMargin"}


def _is_cross(row: Row) -> bool:
    """Whether the wallet backs the position; where the record does not say so (v3), it has no margin of its own."""
    if "isolated" in row:
        return not row.flag("isolated")
    if "marginType" in row:
        return row.choice("marginType", {"cross": 1, "crossed": 1, "isolated": 0}) == 1
    return "isolatedWallet" in row and float(row.number("isolatedWallet")) == 0.0


def _margin(row: Row) -> dict[str, str]:
    """Margin of an isolated position; version 1 prints it with the profit."""
    if "isolatedWallet" not in row and "isolatedMargin" in row and "unRealizedProfit" in row:
        wallet = Decimal(row.number("isolatedMargin")) - Decimal(row.number("unRealizedProfit"))
        return {"wallet": format(wallet, "f")}
    return row.numbers({"wallet": "isolatedWallet", "leverage": "leverage"})


_SIDE = meaning("buy or sell")
_LEG = meaning("position of hedge mode that the row belongs to")
_COIN = meaning("coin of the amounts")
_SYMBOL = used("contract")
_TIME = used("order of the rows")

USER_TRADE = Kind(
    "user trade", "GET /fapi/v1/userTrades, /dapi/v1/userTrades", ("symbol", "price", "qty", "side", "time"),
    {
        "symbol": _SYMBOL, "id": meaning("the same id is the same execution"), "side": _SIDE, "price": used("price"),
        "orderId": meaning("executions of a forced order"), "qty": used("size"), "time": _TIME,
        "realizedPnl": compared("profit before fees"), "quoteQty": compared("value"), "baseQty": compared("value"),
        "commission": compared("fee"), "commissionAsset": meaning("coin of the fee"), "positionSide": _LEG,
        "maker": meaning("rate of the fee"), "buyer": irrelevant("repeats side"), "marginAsset": _COIN,
        "pair": irrelevant("part of symbol"),
    },
    user_trade,
)  # fmt: skip
INCOME = Kind(
    "income", "GET /fapi/v1/income, /dapi/v1/income", ("incomeType", "income", "time"),
    {
        "symbol": _SYMBOL, "incomeType": meaning("what the amount is"), "income": compared("funding, fee or profit"),
        "asset": _COIN, "time": _TIME, "info": irrelevant("repeats incomeType or an id"),
        "tranId": meaning("the same id is the same entry"), "tradeId": meaning("execution it belongs to"),
    },
    income,
)  # fmt: skip
ORDER = Kind(
    "order", "GET /fapi/v1/forceOrders, allOrders, /dapi/v1/...", ("symbol", "executedQty", "avgPrice", "side"),
    {
        "symbol": _SYMBOL, "orderId": meaning("its executions"), "clientOrderId": meaning("forced or not"),
        "status": meaning("executed or not"), "side": _SIDE, "positionSide": _LEG,
        "price": compared("bankruptcy price"),
        "avgPrice": compared("where the mark triggered"), "executedQty": compared("size of the position"),
        "cumQuote": compared("value"), "cumBase": compared("value"), "time": _TIME, "updateTime": _TIME,
        "origQty": irrelevant("ordered, not executed"), "timeInForce": irrelevant("how it was ordered"),
        "type": irrelevant("how it was ordered"), "origType": irrelevant("how it was ordered"),
        "reduceOnly": irrelevant("a forced order closes"), "closePosition": irrelevant("a forced order closes"),
        "stopPrice": irrelevant("how it was ordered"), "workingType": irrelevant("how it was ordered"),
        "priceProtect": irrelevant("how it was ordered"), "activatePrice": irrelevant("how it was ordered"),
        "priceRate": irrelevant("how it was ordered"), "priceMatch": irrelevant("how it was ordered"),
        "selfTradePreventionMode": irrelevant("how it was ordered"), "goodTillDate": irrelevant("how it was ordered"),
        "pair": irrelevant("part of symbol"),
    },
    order,
)  # fmt: skip
POSITION = Kind(
    "position", "GET /fapi/v1, v2, v3/positionRisk, account, /dapi/v1/...", ("symbol", "positionAmt", "entryPrice"),
    {
        "symbol": _SYMBOL, "positionAmt": compared("size, signed"), "entryPrice": compared("average price"),
        "markPrice": used("mark"), "unRealizedProfit": compared("profit at mark"),
        "liquidationPrice": compared("liquidation price"), "leverage": used("margin where none is printed"),
        "marginType": meaning("what backs the position"), "isolatedMargin": compared("wallet and profit"),
        "isolatedWallet": used("margin"), "positionSide": _LEG, "updateTime": _TIME, "marginAsset": _COIN,
        "breakEvenPrice": irrelevant("the venue's own accounting of fees"), "notional": compared("size times mark"),
        "maxNotionalValue": irrelevant("limit of the leverage setting"), "maxQty": irrelevant("limit of the setting"),
        "isAutoAddMargin": irrelevant("a setting"), "notionalValue": compared("size times mark"),
        "initialMargin": irrelevant("of open orders, too"), "maintMargin": irrelevant("see liquidationPrice"),
        "positionInitialMargin": irrelevant("of the leverage setting"), "adl": irrelevant("place in a queue"),
        "openOrderInitialMargin": irrelevant("of open orders"), "adlQuantile": irrelevant("place in a queue"),
        "bidNotional": irrelevant("of open orders"), "askNotional": irrelevant("of open orders"),
        "bustPrice": irrelevant("empty on this venue"), "isolated": meaning("what backs the position"),
        "maxNotional": irrelevant("limit of the leverage setting"),
    },
    position,
)  # fmt: skip

KINDS = (USER_TRADE, INCOME, ORDER, POSITION)
