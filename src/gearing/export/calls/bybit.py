"""Calls of Bybit's version 5 interface: linear perpetuals, one-way mode.

The margin mode is a setting of a unified account, of all its positions.
"""

from typing import Any

from gearing.export.calls.call import Task, plain
from gearing.export.deciding.decision import Call


def bybit_calls(task: Task) -> list[Call]:
    """Calls of one contract, in order."""
    return [*_settings(task), *_order(task), *_margin(task), *_resting(task)]


def _call(path: str, purpose: str, **params: Any) -> Call:
    return Call("bybit", "POST", f"/v5/{path}", params, purpose)


def _of(task: Task) -> dict[str, Any]:
    return {
        "category": "inverse" if task.contract.kind == "inverse" else "linear",
        "symbol": task.order.contract,
    }


def _settings(task: Task) -> list[Call]:
    order, calls = task.order, list[Call]()
    if order.side == "none" or order.reduces:
        return calls
    if task.held == 0.0:
        mode = "ISOLATED_MARGIN" if task.isolated else "REGULAR_MARGIN"
        calls.append(_call("account/set-margin-mode", "margin mode", setMarginMode=mode))
    if order.leverage_setting != task.setting:
        setting = plain(order.leverage_setting)
        given = {**_of(task), "buyLeverage": setting, "sellLeverage": setting}
        calls.append(_call("position/set-leverage", "leverage setting", **given))
    return calls


def _order(task: Task) -> list[Call]:
    order = task.order
    if order.side == "none":
        return []
    kind = {"orderType": "Limit", "price": task.bound()} if task.has_price else {"orderType": "Market"}
    given = {
        **_of(task), "side": order.side.capitalize(), **kind, "timeInForce": "IOC",
        "qty": order.exact_quantity, "reduceOnly": order.reduces, "positionIdx": 0,
        "orderLinkId": task.id_of("order"),
    }  # fmt: skip
    return [_call("order/create", f"{order.side} {order.exact_quantity}", **given)]


def _margin(task: Task) -> list[Call]:
    amount = task.change_of_margin()
    if amount is None:
        return []
    add = task.added_margin > 0.0
    signed = amount if add else f"-{amount}"
    purpose = "add margin" if add else "remove margin"
    return [_call("position/add-margin", purpose, **_of(task), margin=signed, positionIdx=0)]


def _resting(task: Task) -> list[Call]:
    order = task.order
    given: dict[str, Any] = {}
    if order.stop is not None:
        given |= {"stopLoss": task.at_distance(order.stop, True), "slTriggerBy": "MarkPrice"}
    if order.take_profit is not None:
        given |= {"takeProfit": task.at_distance(order.take_profit, False), "tpTriggerBy": "MarkPrice"}
    if order.trailing is not None:
        given |= {"trailingStop": task.distance_in_price(order.trailing)}
    if task.after == 0.0 or not given:
        return []
    return [_call("position/trading-stop", "stops", **_of(task), tpslMode="Full", positionIdx=0, **given)]
