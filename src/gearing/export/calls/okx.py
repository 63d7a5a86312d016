"""Calls of OKX's version 5 interface: swaps, net mode; sizes are numbers of contracts."""

from typing import Any

from gearing.export.account.answers import okx_contract_value
from gearing.export.calls.call import Task, plain
from gearing.export.deciding.decision import Call
from gearing.export.deciding.exact import on_grid


def okx_calls(task: Task) -> list[Call]:
    """Calls of one contract, in order."""
    return [*_settings(task), *_order(task), *_margin(task), *_resting(task)]


def instrument_of(symbol: str) -> str:
    """OKX's name of a swap: BTCUSDT is BTC-USDT-SWAP."""
    for coin in ("USDT", "USDC", "USD"):
        if symbol.endswith(coin) and len(symbol) > len(coin):
            return f"{symbol.removesuffix(coin)}-{coin}-SWAP"
    return symbol


def _call(path: str, purpose: str, **params: Any) -> Call:
    return Call("okx", "POST", f"/api/v5/{path}", params, purpose)


def _mode(task: Task) -> str:
    return "isolated" if task.isolated else "cross"


def _contracts(task: Task, quantity: float) -> str:
    """A quantity of coins as a number of contracts."""
    value = okx_contract_value(task.contract)
    return plain(float(on_grid(abs(quantity) / value, task.contract.lot_size / value)[0]))


def _settings(task: Task) -> list[Call]:
    order = task.order
    if order.side == "none" or order.reduces or order.leverage_setting == task.setting:
        return []
    given = {
        "instId": instrument_of(order.contract),
        "lever": plain(order.leverage_setting),
        "mgnMode": _mode(task),
    }
    return [_call("account/set-leverage", "margin mode and leverage setting", **given)]


def _order(task: Task) -> list[Call]:
    order = task.order
    if order.side == "none":
        return []
    kind = {"ordType": "ioc", "px": task.bound()} if task.has_price else {"ordType": "market"}
    given = {
        "instId": instrument_of(order.contract), "tdMode": _mode(task), "side": order.side, "posSide": "net",
        **kind, "sz": _contracts(task, order.quantity), "reduceOnly": order.reduces,
        "clOrdId": task.id_of("order"),
    }  # fmt: skip
    return [_call("trade/order", f"{order.side} {order.exact_quantity}", **given)]


def _margin(task: Task) -> list[Call]:
    amount = task.change_of_margin()
    if amount is None:
        return []
    kind = "add" if task.added_margin > 0.0 else "reduce"
    given = {"instId": instrument_of(task.order.contract), "posSide": "net", "type": kind, "amt": amount}
    return [_call("account/position/margin-balance", f"{kind} margin", **given)]


def _resting(task: Task) -> list[Call]:
    order, calls = task.order, list[Call]()
    if task.after == 0.0:
        return calls
    shared = {
        "instId": instrument_of(order.contract), "tdMode": _mode(task), "side": "sell" if task.is_long else "buy",
        "posSide": "net", "reduceOnly": True, "cxlOnClosePos": True,
    }  # fmt: skip
    given: dict[str, Any] = {}
    if order.stop is not None:
        price = task.at_distance(order.stop, True)
        given |= {"slTriggerPx": price, "slOrdPx": "-1", "slTriggerPxType": "mark"}
    if order.take_profit is not None:
        price = task.at_distance(order.take_profit, False)
        given |= {"tpTriggerPx": price, "tpOrdPx": "-1", "tpTriggerPxType": "mark"}
    if given:
        kind = "oco" if len(given) == 6 else "conditional"
        given |= {"ordType": kind, "closeFraction": "1", "algoClOrdId": task.id_of("stops")}
        calls.append(_call("trade/order-algo", "stops", **shared, **given))
    if order.trailing is not None:
        own = {
            "ordType": "move_order_stop",
            "callbackRatio": plain(order.trailing),
            "algoClOrdId": task.id_of("trailing"),
        }
        calls.append(
            _call("trade/order-algo", "trailing stop", **shared, **own, sz=_contracts(task, task.after))
        )
    return calls
