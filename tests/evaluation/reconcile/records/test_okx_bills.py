"""OKX's bills and fills: signs, modes and types, with rows quoted in public repositories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gearing.contracts import Contract, TierSchedule, venue
from gearing.evaluation.reconcile.replay import Reconciliation, reconcile
from gearing.evaluation.reconcile.statements import parse_records

Row = dict[str, Any]
ETH = Contract("ETH-USDT-SWAP", multiplier=0.1, schedules=(TierSchedule.flat(0.005),))
AT = 1_700_006_400_000  # 2023-11-15 00:00 UTC


def bill(sub: str, at: int, change: str, balance: str, **more: str) -> Row:
    """A bill of a cross account."""
    types = {"173": "8", "174": "8", "11": "1", "12": "1"}
    row = {
        "billId": str(at), "ccy": "USDT", "instId": "ETH-USDT-SWAP", "instType": "SWAP", "mgnMode": "cross",
        "type": types.get(sub, "2"), "subType": sub, "balChg": change, "bal": balance, "pnl": "0", "fee": "0",
        "interest": "0", "posBal": "0", "posBalChg": "0", "ts": str(at), "execType": "T",
    }  # fmt: skip
    return row | more


TRADES = [
    # 6 contracts of 0.1 at 3000: 1800 x 0.05 % = 0.9 paid
    bill("3", AT - 60_000, "-0.9", "999.1", sz="6", px="3000", fee="-0.9"),
    # a long of 0.6 pays 0.01 % of 0.6 x 3010 = 1806: 0.1806
    bill("173", AT, "-0.1806", "998.9194", sz="6", px="3010", pnl="-0.1806", execType=""),
    # 0.6 x (3050 - 3000) = 30, less 1830 x 0.05 % = 0.915
    bill("5", AT + 60_000, "29.085", "1028.0044", sz="6", px="3050", pnl="30", fee="-0.915"),
]
SETTLEMENTS = {("ETH-USDT-SWAP", np.datetime64(AT, "ms")): (0.0001, 3010.0)}


def checked(rows: list[Row]) -> Reconciliation:
    return reconcile(parse_records(rows, "okx"), [ETH], venue("okx"), SETTLEMENTS)


def test_bills_of_trades_are_checked_in_fee_profit_sum_and_balance():
    found = checked(TRADES)
    assert found.differences.empty, str(found)
    assert found.checked == 6  # fee and profit of two trades, size and payment of the settlement
    assert found.sums == 5  # three sums of a row, two balances


@pytest.mark.parametrize(
    ("place", "name", "wrong", "fields"),
    [
        (0, "fee", "-1.0", {"fee_change", "change"}),
        (2, "pnl", "31", {"realised", "change"}),
        (2, "balChg", "29.185", {"change", "balance"}),
        (1, "bal", "998.5", {"balance"}),
        (1, "sz", "5", {"quantity"}),
    ],
)
def test_a_wrong_number_of_a_bill_is_found(place: int, name: str, wrong: str, fields: set[str]):
    rows = [dict(row) for row in TRADES]
    rows[place][name] = wrong
    assert fields <= set(checked(rows).differences["field"])


def test_a_bill_left_out_breaks_the_chain_of_balances():
    found = checked([TRADES[0], TRADES[2]])
    assert "balance" in found.differences["field"].tolist()


def test_funding_of_an_isolated_position_moves_its_margin_and_not_the_balance():
    # As returned: balChg 0, the payment in pnl and posBalChg.
    paid = {"mgnMode": "isolated", "balChg": "0.0000000000000000", "bal": "999.1", "posBalChg": "-0.1806"}
    closed = {"balChg": "29.085", "bal": "1028.185"}
    rows = [TRADES[0], TRADES[1] | paid, TRADES[2] | closed]
    assert checked(rows).differences.empty
    wrong = [TRADES[0], TRADES[1] | paid | {"posBalChg": "-0.2"}, TRADES[2] | closed]
    assert checked(wrong).differences["field"].tolist() == ["change"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subType": "174"}, "funding fee income of -0.1806: an expense is negative"),
        ({"type": "2"}, "subType 173 is of type 8, not 2"),
        ({"sz": "-6"}, "sz is -6; a quantity is not negative"),
    ],
)
def test_a_bill_that_contradicts_itself_is_refused_with_file_and_line(change: Row, message: str):
    with pytest.raises(ValueError, match=message) as refused:
        parse_records([TRADES[1] | change], "okx", "bills.json")
    assert str(refused.value).startswith("bills.json, line 1: ")


def test_fills_and_bills_of_the_same_trade_are_one_trade():
    fills = [
        {"instType": "SWAP", "instId": "ETH-USDT-SWAP", "tradeId": "7", "billId": row["billId"], "fillPx": row["px"],
         "fillSz": row["sz"], "fillPnl": row["pnl"], "side": side, "posSide": "long", "execType": "T", "feeCcy": "USDT",
         "fee": row["fee"], "ts": row["ts"]}
        for row, side in ((TRADES[0], "buy"), (TRADES[2], "sell"))
    ]  # fmt: skip
    lines = parse_records(fills, "okx", "fills.json") + parse_records(TRADES, "okx", "bills.json")
    found = reconcile(lines, [ETH], venue("okx"), SETTLEMENTS)
    assert found.differences.empty, str(found)
    other = [*fills[:1], {**fills[1], "fillPx": "3051"}]
    lines = parse_records(other, "okx", "fills.json") + parse_records(TRADES, "okx", "bills.json")
    fields = reconcile(lines, [ETH], venue("okx"), SETTLEMENTS).differences["field"].tolist()
    assert "price" in fields


def test_transfers_are_skipped_by_kind_and_types_that_nobody_documents_are_not_checked():
    rows = [
        bill("11", AT - 120_000, "1000", "1000", sz="1000", instId="", instType=""),
        bill("999", AT, "5", "1005", type="77", instId="", instType=""),
    ]
    found = checked(rows)
    assert found.skipped == {"bill (transfer)": 1}
    assert "subType 999 is not documented" in found.unchecked[0]


def test_bills_of_the_spot_market_are_skipped():
    rows = [
        bill("1", AT, "0.0219338", "8694.2", sz="0.0219", px="27105.9", instId="BTC-USDT", instType="SPOT")
    ]
    assert checked(rows).skipped == {"bill (trade) of SPOT": 1}


def test_a_liquidation_in_two_executions_closes_the_position_together():
    # 0.4 x (2800 - 3000) = -80 and 0.2 x (2800 - 3000) = -40 of the 0.6 bought at 3000; 999.1 - 80 - 40 = 879.1
    forced = {"type": "5", "px": "2800", "ordId": "77"}
    rows = [
        TRADES[0],
        bill("104", AT, "-80", "919.1", sz="4", pnl="-80", **forced),
        bill("104", AT, "-40", "879.1", sz="2", pnl="-40", **forced) | {"billId": "9"},
    ]
    found = checked(rows)
    assert found.differences.empty, str(found)
    rows[2] |= {"sz": "1", "pnl": "-20", "balChg": "-20", "bal": "899.1"}
    assert "quantity" in checked(rows).differences["field"].tolist()
