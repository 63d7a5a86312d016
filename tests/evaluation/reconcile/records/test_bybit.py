"""Bybit's executions and positions, with answers quoted in public repositories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gearing.contracts import Contract, TierSchedule, venue
from gearing.evaluation.reconcile.replay import Reconciliation, reconcile
from gearing.evaluation.reconcile.statements import parse_records

Row = dict[str, Any]


def contract(symbol: str, **terms: Any) -> Contract:
    return Contract(symbol, schedules=(TierSchedule.flat(0.005),), **terms)


def checked(rows: list[Row], *contracts: Contract) -> Reconciliation:
    return reconcile(parse_records(rows, "bybit"), contracts, venue("bybit"))


def trade(side: str, quantity: str, price: str, **more: str) -> Row:
    """A trade whose fee is 0.055 % of its value."""
    value = float(quantity) * float(price)
    row = {
        "symbol": "ETHUSDT", "side": side, "execType": "Trade", "execQty": quantity, "execPrice": price,
        "execValue": f"{value:.8f}", "execFee": f"{value * 0.00055:.8f}", "feeRate": "0.00055", "isMaker": False,
        "execTime": more.pop("at"), "execId": more.pop("id"),
    }  # fmt: skip
    return row | more


def funding_of_a_short(fee: str) -> Row:
    """A settlement as the venue returned it in March 2024: a short receives; its rate has the other sign."""
    return {
        "symbol": "XMRUSDT", "orderType": "UNKNOWN", "orderId": "a11e5fe2", "execTime": "1710950400000",
        "feeRate": "-0.000761", "markPrice": "136.79", "execPrice": "137.11", "orderQty": "0", "orderPrice": "0",
        "execValue": "134.3678", "closedSize": "0", "execType": "Funding", "seq": "28097658790", "side": "Sell",
        "isMaker": False, "execFee": fee, "execId": "8d1ef156", "execQty": "0.98", "feeCurrency": "",
    }  # fmt: skip


def test_a_rate_that_is_cut_off_after_six_decimals_moves_the_payment_by_what_is_cut_off():
    # 0.98 x 137.11 = 134.3678; x 0.000761 = 0.10225390. The venue received for 0.00076153: 0.10232512, which is
    # 0.00007122 more, and one unit of the sixth decimal is worth 134.3678 x 0.000001 = 0.00013437.
    found = checked([funding_of_a_short("-0.10232512")], contract("XMRUSDT"))
    assert found.differences.empty, str(found)
    assert found.checked >= 2
    wrong = checked([funding_of_a_short("-0.10240000")], contract("XMRUSDT"))  # 0.00014610 more
    assert wrong.differences["field"].tolist() == ["funding_paid"]


def test_with_the_venue_s_rates_a_payment_of_the_wrong_sign_is_found():
    settled = {("XMRUSDT", np.datetime64(1710950400000, "ms")): (0.00076153, 137.11)}
    for fee, fields in (("-0.10232512", []), ("0.10232512", ["funding_paid"])):
        lines = parse_records([funding_of_a_short(fee)], "bybit")
        found = reconcile(lines, [contract("XMRUSDT")], venue("bybit"), settled)
        assert found.differences["field"].tolist() == fields


def test_without_a_list_of_positions_hedge_mode_shows_in_what_executions_closed():
    rows = [
        trade("Buy", "2", "3000", at="1700000000000", id="1", closedSize="0", execPnl="0"),
        trade("Sell", "1", "3010", at="1700000001000", id="2", closedSize="0", execPnl="0"),  # opens a short
        trade(
            "Sell", "2", "3050", at="1700000002000", id="3", closedSize="2", execPnl="100"
        ),  # 2 x (3050 - 3000)
        trade(
            "Buy", "1", "2990", at="1700000003000", id="4", closedSize="1", execPnl="20"
        ),  # 1 x (3010 - 2990)
    ]
    found = checked(rows, contract("ETHUSDT"))
    assert found.differences.empty, str(found)
    assert found.checked == 16  # fee, value, closed size and profit of each


def test_an_execution_that_states_its_position_of_hedge_mode_belongs_to_it():
    rows = [
        trade("Buy", "2", "3000", at="1700000000000", id="1", positionIdx="1", execPnl="0"),
        trade("Sell", "1", "3010", at="1700000001000", id="2", positionIdx="2", execPnl="0"),
        trade("Sell", "2", "3050", at="1700000002000", id="3", positionIdx="1", execPnl="100"),
        trade("Buy", "1", "2990", at="1700000003000", id="4", positionIdx="2", execPnl="20"),
    ]
    found = checked(rows, contract("ETHUSDT"))
    assert found.differences.empty, str(found)
    assert found.checked == 12


def test_executions_of_the_spot_market_are_no_trades_of_the_perpetual_with_the_same_name():
    rows = [trade("Buy", "2", "3000", at="1700000000000", id="1", category="spot")]
    found = checked(rows, contract("ETHUSDT"))
    assert found.checked == 0
    assert found.skipped == {"execution of category spot": 1}


@pytest.mark.parametrize("side", ["", "None"])
def test_a_flat_position_has_no_side_and_needs_no_contract(side: str):
    row = {
        "symbol": "ZILUSDT",
        "positionIdx": 0,
        "side": side,
        "size": "0",
        "avgPrice": "0",
        "updatedTime": "0",
    }
    found = checked([row])
    assert found.differences.empty
    assert found.skipped == {"position": 1}


def test_the_liquidation_price_of_a_cross_position_is_listed_as_not_checked():
    row = {
        "symbol": "ETHUSDT", "positionIdx": 0, "tradeMode": 0, "side": "Buy", "size": "2", "avgPrice": "3000",
        "markPrice": "3010", "unrealisedPnl": "20", "liqPrice": "1234.5", "leverage": "10", "positionValue": "6000",
        "positionBalance": "600", "updatedTime": "1700000000000",
    }  # fmt: skip
    found = checked([row], contract("ETHUSDT", tick_size=0.01))
    assert found.differences.empty, str(found)
    assert "cross margin" in found.unchecked[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"execQty": "-2"}, "execQty is -2; a quantity is not negative"),
        ({"side": "Bought"}, "side is one of"),
        ({"execTime": "yesterday"}, "yesterday"),
        ({"execPrice": "12..3"}, "execPrice is '12..3', which is not a number"),
    ],
)
def test_what_cannot_be_read_is_refused_with_file_and_line(change: Row, message: str):
    rows = [trade("Buy", "2", "3000", at="1700000000000", id="1") | change]
    with pytest.raises(ValueError, match=message) as refused:
        parse_records(rows, "bybit", "executions.json")
    assert str(refused.value).startswith("executions.json, line 1")


def test_a_position_without_its_average_price_is_refused_by_that_name():
    row = {"symbol": "ETHUSDT", "side": "Buy", "size": "2", "avgPrice": None, "updatedTime": "1700000000000"}
    with pytest.raises(ValueError, match=r"positions.json, line 1.*avgPrice"):
        parse_records([row], "bybit", "positions.json")


def test_a_first_execution_that_closed_something_shows_a_position_from_before_the_statement():
    rows = [trade("Sell", "1", "3010", at="1700000000000", id="1", closedSize="1")]
    found = checked(rows, contract("ETHUSDT"))
    assert found.differences.empty, str(found)
    assert ["begins with an open position" in reason for reason in found.unchecked] == [True]
    wrong = checked([rows[0] | {"closedSize": "2"}], contract("ETHUSDT"))  # more than it traded
    assert wrong.differences["field"].tolist() == ["closed"]


def test_a_session_s_profit_of_a_contract_in_usdc_is_no_trade():
    rows = [
        trade("Buy", "2", "3000", at="1700000000000", id="1", closedSize="0"),
        trade("Sell", "2", "3000", at="1700000001000", id="2", execType="SessionSettlePnL"),
        trade("Sell", "2", "3050", at="1700000002000", id="3", closedSize="2"),
    ]
    found = checked(rows, contract("ETHUSDT"))
    assert found.differences.empty, str(found)
    assert len(found.unchecked) == 1
