"""Calls of Binance USD-M futures: ``/fapi``, one-way mode.

Conditional orders are algo orders since 2025-12-09. The order is a limit order that fills at once up to its bound or is
cancelled (IOC). ``marginType`` answers -4046 where nothing is to change; that is no failure.
"""

from typing import Any

from gearing.export.calls.call import Task, plain
from gearing.export.deciding.decision import Call


def binance_calls(task: Task) -> list[Call]:
    """Calls of one contract, in order."""
    return [*_settings(task), *_order(task), *_margin(task), *_resting(task)]


def _call(method: str, path: str, purpose: str, **params: Any) -> Call:
    return Call("binance-usdm", method, f"/fapi/v1/{path}", params, purpose)


def _settings(task: Task) -> list[Call]:
    order, symbol, calls = task.order, task.order.contract, list[Call]()
    if order.side == "none" or order.reduces:
        return calls
    if task.held == 0.0:  # an open position keeps its mode
        mode = "ISOLATED" if task.isolated else "CROSSED"
        calls.append(_call("POST", "marginType", "margin mode", symbol=symbol, marginType=mode))
    if order.leverage_setting != task.setting:
        setting = plain(order.leverage_setting)
        calls.append(_call("POST", "leverage", "leverage setting", symbol=symbol, leverage=setting))
    return calls


def _order(task: Task) -> list[Call]:
    order = task.order
    if order.side == "none":
        return []
    kind = (
        {"type": "LIMIT", "timeInForce": "IOC", "price": task.bound()}
        if task.has_price
        else {"type": "MARKET"}
    )
    return [
        _call(
            "POST", "order", f"{order.side} {order.exact_quantity}",
            symbol=order.contract, side=order.side.upper(), positionSide="BOTH", **kind,
            quantity=order.exact_quantity, reduceOnly="true" if order.reduces else "false",
            newClientOrderId=task.id_of("order"), newOrderRespType="RESULT", recvWindow="5000",
        )
    ]  # fmt: skip


def _margin(task: Task) -> list[Call]:
    amount = task.change_of_margin()
    if amount is None:
        return []
    add = task.added_margin > 0.0
    return [
        _call(
            "POST", "positionMargin", "add margin" if add else "remove margin",
            symbol=task.order.contract, positionSide="BOTH", amount=amount, type="1" if add else "2",
        )
    ]  # fmt: skip


def _resting(task: Task) -> list[Call]:
    order, calls = task.order, list[Call]()
    resting = (order.stop, order.take_profit, order.trailing)
    if task.after == 0.0 or all(one is None for one in resting):
        return calls
    calls.append(_call("DELETE", "algoOpenOrders", "cancel the stops of before", symbol=order.contract))
    shared = {
        "algoType": "CONDITIONAL", "symbol": order.contract, "side": "SELL" if task.is_long else "BUY",
        "positionSide": "BOTH", "workingType": "MARK_PRICE",
    }  # fmt: skip
    for kind, distance, purpose, adverse in (
        ("STOP_MARKET", order.stop, "stop", True),
        ("TAKE_PROFIT_MARKET", order.take_profit, "take profit", False),
    ):
        if distance is not None:
            price = task.at_distance(distance, adverse)
            given = {
                "type": kind,
                "triggerPrice": price,
                "closePosition": "true",
                "clientAlgoId": task.id_of(purpose),
            }
            calls.append(_call("POST", "algoOrder", purpose, **shared, **given))
    if order.trailing is not None:
        size, rate = plain(abs(task.after)), plain(round(100.0 * order.trailing, 1))
        given = {"type": "TRAILING_STOP_MARKET", "callbackRate": rate, "quantity": size, "reduceOnly": "true"}
        calls.append(
            _call(
                "POST", "algoOrder", "trailing stop", **shared, **given, clientAlgoId=task.id_of("trailing")
            )
        )
    return calls
