"""Calls of a decision: exact texts, in the order in which a venue takes them."""

import numpy as np
import pytest
from tests.export import cases

from gearing.contracts import venue
from gearing.export import BundleError, load_bundle
from gearing.export.calls import client_order_id
from gearing.policies.controls import StopLoss, TakeProfit, TrailingStop
from gearing.policies.rules import FixedLeverage

BARS = cases.bar_table(cases.market())
DUE = np.datetime64("2020-10-20T00:00", "ms")
KNOWN = BARS[BARS.open_time < DUE].tail(60)
PRICE = float(KNOWN.close.iloc[-1])
FLAT = {"wallet_balance": 10_000.0, "positions": {}}
CONTROLS = (StopLoss(distance=0.05), TakeProfit(distance=0.1), TrailingStop(distance=0.03))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    config = cases.SMALL.with_(controls=CONTROLS)
    folder = tmp_path_factory.mktemp("bundles") / "stopped"
    return load_bundle(cases.small_bundle(folder, FixedLeverage(3.3), config=config))


def listed(bundle, account, name):
    if name == "okx":  # the size of a contract comes from the venue
        contract = bundle.manifest.contracts[0]
        bundle = bundle.with_contracts([type(contract)(**(vars(contract) | {"multiplier": 0.01}))])
    return bundle.decide(KNOWN, account, now=DUE, venue=name)


def test_binance_gets_mode_setting_order_margin_and_stops_in_this_order(bundle):
    decision = listed(bundle, FLAT, "binance-usdm")
    order, calls = decision.orders[0], decision.calls
    paths = [call.path.removeprefix("/fapi/v1/") for call in calls]
    assert paths == [
        "marginType",
        "leverage",
        "order",
        "positionMargin",
        "algoOpenOrders",
        *["algoOrder"] * 3,
    ]
    assert calls[0].params == {"symbol": "BTC-SYN", "marginType": "ISOLATED"}
    assert calls[1].params["leverage"] == "4"  # 3.3x of the share: the next whole number
    sent = calls[2].params
    assert (sent["side"], sent["positionSide"], sent["reduceOnly"]) == ("BUY", "BOTH", "false")
    assert sent["quantity"] == order.exact_quantity
    # at most half a percent worse than the expected fill, on the tick, not above
    assert 0.0 <= 1.005 * order.price - float(sent["price"]) < 0.1 + 1e-6
    assert (sent["type"], sent["timeInForce"]) == ("LIMIT", "IOC")
    stop, profit, trailing = (call.params for call in calls[5:])
    assert (stop["type"], stop["side"], stop["closePosition"]) == ("STOP_MARKET", "SELL", "true")
    assert 0.0 <= float(stop["triggerPrice"]) - 0.95 * order.price < 0.1 + 1e-6  # towards the entry
    assert 0.0 <= 1.1 * order.price - float(profit["triggerPrice"]) < 0.1 + 1e-6
    assert (trailing["callbackRate"], trailing["quantity"]) == ("3", order.exact_quantity)
    # 3.3 x 2,500 of notional at a setting of 4 is margined with 2,062; the share is 2,500 less costs
    added = float(calls[3].params["amount"])
    assert (calls[3].params["type"], added) == ("1", pytest.approx(2_500.0 - order.notional / 4.0, abs=15.0))


def test_bybit_and_okx_get_the_same_in_their_words(bundle):
    order = listed(bundle, FLAT, "binance-usdm").orders[0]
    bybit = listed(bundle, FLAT, "bybit").calls
    paths = [call.path.removeprefix("/v5/") for call in bybit]
    assert paths == [
        "account/set-margin-mode", "position/set-leverage", "order/create", "position/add-margin",
        "position/trading-stop",
    ]  # fmt: skip
    assert bybit[2].params["qty"] == order.exact_quantity
    assert (bybit[2].params["side"], bybit[2].params["reduceOnly"]) == ("Buy", False)
    assert set(bybit[4].params) >= {"stopLoss", "takeProfit", "trailingStop"}
    okx = listed(bundle, FLAT, "okx").calls
    paths = [call.path.removeprefix("/api/v5/") for call in okx]
    assert paths == [
        "account/set-leverage", "trade/order", "account/position/margin-balance", "trade/order-algo",
        "trade/order-algo",
    ]  # fmt: skip
    # 0.01 of a coin each
    assert float(okx[1].params["sz"]) == pytest.approx(100.0 * order.quantity)
    assert okx[3].params["ordType"] == "oco"


def test_a_reduction_is_reduce_only_and_changes_no_setting(bundle):
    quantity = 2.0 * 8_250.0 / PRICE
    held = {"quantity": quantity, "entry_price": PRICE, "leverage": 4.0, "margin": 4_200.0}
    decision = listed(bundle, {"wallet_balance": 10_000.0, "positions": {"BTC-SYN": held}}, "binance-usdm")
    first = decision.calls[0]
    assert first.path.endswith("/order")
    assert (first.params["side"], first.params["reduceOnly"]) == ("SELL", "true")


def test_client_order_ids_are_of_bundle_contract_and_moment_and_fit_every_venue():
    one = client_order_id("ab", "BTCUSDT", DUE)
    assert one == client_order_id("ab", "BTCUSDT", DUE.astype("datetime64[s]"))
    assert one.isalnum()
    assert len(one) == 32  # OKX takes 32 letters and digits, Binance and Bybit 36
    others = [
        client_order_id("ac", "BTCUSDT", DUE), client_order_id("ab", "ETHUSDT", DUE),
        client_order_id("ab", "BTCUSDT", DUE + np.timedelta64(1, "h")), client_order_id("ab", "BTCUSDT", DUE, "stop"),
    ]  # fmt: skip
    assert len({one, *others}) == 5


def test_a_fallback_without_any_present_price_is_a_market_order_and_says_so(bundle):
    # Bought at twice the price of now. A limit order half a percent under the entry price would never fill.
    held = {"quantity": 0.1, "entry_price": 2.0 * PRICE, "leverage": 2.0, "margin": 0.15 * PRICE}
    account = {"wallet_balance": 10_000.0, "positions": {"BTC-SYN": held}}
    kept = {"bars": KNOWN.iloc[:-9], "now": DUE, "fallback": "flat"}  # stale
    contract = bundle.manifest.contracts[0]
    okx = bundle.with_contracts([type(contract)(**(vars(contract) | {"multiplier": 0.01}))])
    for one, name, kind in (
        (bundle, "binance-usdm", {"type": "MARKET"}),
        (bundle, "bybit", {"orderType": "Market"}),
        (okx, "okx", {"ordType": "market"}),
    ):
        decision = one.decide(account=account, venue=name, **kept)
        (call,) = [one for one in decision.calls if "order" in one.path]
        assert kind.items() <= call.params.items()
        assert not {"price", "px"} & call.params.keys()
        assert "no present price is known" in " ".join(decision.reasons)
    held["mark"] = PRICE
    decision = bundle.decide(account=account, venue="binance-usdm", **kept)
    (call,) = decision.calls
    assert call.params["type"] == "LIMIT"
    assert float(call.params["price"]) == pytest.approx(0.995 * PRICE, rel=1e-3)
    assert not decision.reasons


@pytest.mark.parametrize("pending", [[{"contract": "BTC-SYN", "quantity": float("nan")}], "x", ["x"]])
def test_pending_orders_that_are_none_are_refused_where_they_enter(bundle, pending):
    with pytest.raises(BundleError, match=r"^pending: .* is no"):
        bundle.decide(KNOWN, FLAT, now=DUE, pending=pending)


def test_orders_of_a_fallback_have_ids_of_their_own(bundle):
    quantity = 8_250.0 / PRICE
    held = {"quantity": quantity, "entry_price": PRICE, "leverage": 4.0, "margin": 2_100.0}
    account = {"wallet_balance": 10_000.0, "positions": {"BTC-SYN": held}}
    spike = KNOWN.copy()
    spike.loc[spike.index[-1], ["open", "high", "low", "close"]] *= 3.0
    refused = bundle.decide(spike, account, now=DUE, venue="binance-usdm", fallback="flat")
    sent = next(call for call in refused.calls if call.path.endswith("/order"))
    assert sent.params["newClientOrderId"] != client_order_id(bundle.digest, "BTC-SYN", DUE)


def test_calls_of_an_unknown_venue_are_refused(bundle):
    with pytest.raises(BundleError, match="venue is 'kraken'; calls are listed for binance-usdm, bybit, okx"):
        bundle.decide(KNOWN, FLAT, now=DUE, venue="kraken")
    assert bundle.decide(KNOWN, FLAT, now=DUE).calls == ()
    assert venue("okx").name == "okx"
