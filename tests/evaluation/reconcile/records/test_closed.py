"""Summaries of closed positions, with the answer of Bybit's documentation."""

from __future__ import annotations

from typing import Any

from gearing.contracts import Contract, TierSchedule, venue
from gearing.evaluation.reconcile.outcome import Reconciliation
from gearing.evaluation.reconcile.replay import reconcile
from gearing.evaluation.reconcile.statements import parse_records

# Bybit's documented answer. A long: 3541.795 - 3584.9255 = -43.1305; both fees at 0.06 %: 0.0006 x (3584.9255 +
# 3541.795) = 2.1509553 + 2.125077 = 4.2760323; together -47.4065323.
BYBIT = {
    "symbol": "ETHUSDT", "side": "Sell", "closedPnl": "-47.4065323", "avgEntryPrice": "1194.97516667", "qty": "3",
    "cumEntryValue": "3584.9255", "cumExitValue": "3541.795", "closedSize": "3", "avgExitPrice": "1180.59833333",
    "openFee": "2.1509553", "closeFee": "2.125077", "updatedTime": "1672214887236", "execType": "Trade",
}  # fmt: skip
# A long of 10 contracts of 0.01 BTC: 0.1 x (51 500 - 50 000) = 150; 150 - 5.075 - 2 = 142.925.
OKX = {
    "instType": "SWAP", "instId": "BTC-USDT-SWAP", "direction": "long", "posSide": "net", "openAvgPx": "50000",
    "closeAvgPx": "51500", "openMaxPos": "10", "closeTotalPos": "10", "pnl": "150", "fee": "-5.075",
    "fundingFee": "-2", "liqPenalty": "0", "realizedPnl": "142.925", "ccy": "USDT", "uTime": "1695190491421",
    "type": "2",
}  # fmt: skip


def checked(row: dict[str, Any], venue_name: str) -> Reconciliation:
    tiers = (TierSchedule.flat(0.005),)
    contracts = [
        Contract("ETHUSDT", schedules=tiers, tick_size=0.01, settle="USDT"),
        Contract("BTC-USDT-SWAP", schedules=tiers, multiplier=0.01, settle="USDT"),
    ]
    return reconcile(parse_records([row], venue_name), contracts, venue(venue_name))


def test_bybit_s_closed_profit_is_after_the_fees_of_opening_and_closing():
    found = checked(BYBIT, "bybit")
    assert (found.exit_code, found.checked, found.sums) == (0, 1, 2), str(found)
    for name, field in (
        ("closedPnl", "net"),
        ("cumEntryValue", "entry_value"),
        ("cumExitValue", "exit_value"),
    ):
        wrong = BYBIT | {name: str(float(BYBIT[name]) * 1.01)}
        assert checked(wrong, "bybit").differences["field"].tolist() == [field]
    assert not checked(BYBIT | {"side": "Buy"}, "bybit").differences.empty


def test_bybit_s_closed_profit_without_its_fees_is_listed_as_not_checked():
    row = {name: text for name, text in BYBIT.items() if not name.endswith("Fee")}
    found = checked(row, "bybit")
    assert found.exit_code == 0
    assert "closedPnl is after fees" in found.unchecked[0]


def test_okx_s_closed_profit_follows_from_the_average_prices_and_the_realised_one_is_the_sum():
    found = checked(OKX, "okx")
    assert (found.exit_code, found.checked, found.sums) == (0, 1, 1), str(found)
    assert checked(OKX | {"pnl": "151.5"}, "okx").differences["field"].tolist() == ["realised", "change"]
    assert checked(OKX | {"realizedPnl": "144"}, "okx").differences["field"].tolist() == ["change"]
    assert not checked(OKX | {"direction": "short"}, "okx").differences.empty


def test_okx_s_profit_of_a_position_that_grew_after_a_part_was_closed_is_not_checked():
    found = checked(OKX | {"closeTotalPos": "12"}, "okx")
    assert found.differences.empty
    assert "closed in part, or size was added" in found.unchecked[0]


def test_okx_s_own_numbers_of_closed_positions_come_out():
    # An inverse long of 1 contract of 100 USD: 100 / 29783.8999999995535 - 100 / 29786.5999999789081 = 3.0434156e-7.
    coin = OKX | {
        "instId": "BTC-USD-SWAP", "ccy": "BTC", "openAvgPx": "29783.8999999995535393", "openMaxPos": "1",
        "closeAvgPx": "29786.5999999789081085", "closeTotalPos": "1", "pnl": "0.00000030434156",
    }  # fmt: skip
    # A long of 3148 contracts of 0.1: 314.8 x (1.576 - 1.589) = -4.0924; with fee and funding -4.61542446.
    trump = OKX | {
        "instId": "TRUMP-USDT-SWAP", "openAvgPx": "1.589", "closeAvgPx": "1.576", "openMaxPos": "3148",
        "closeTotalPos": "3148", "pnl": "-4.0924", "fee": "-0.498171", "fundingFee": "-0.02485346",
        "realizedPnl": "-4.61542446",
    }  # fmt: skip
    tiers = (TierSchedule.flat(0.005),)
    contracts = [
        Contract("BTC-USD-SWAP", schedules=tiers, multiplier=100, kind="inverse", settle="BTC"),
        Contract("TRUMP-USDT-SWAP", schedules=tiers, multiplier=0.1, settle="USDT"),
    ]
    del coin["fee"], coin["realizedPnl"]
    found = reconcile(parse_records([coin, trump], "okx"), contracts, venue("okx"))
    assert (found.exit_code, found.checked, found.sums, found.unchecked) == (0, 2, 1, ()), str(found)
