"""Fees at the account's rates: other levels, rebates, and contracts that the venue's table does not hold."""

from __future__ import annotations

from typing import Any

import pytest

from gearing.contracts import Contract, TierSchedule, venue
from gearing.evaluation.reconcile.outcome import Reconciliation
from gearing.evaluation.reconcile.replay import reconcile
from gearing.evaluation.reconcile.statements import parse_records


def fill(number: int, fee: str, maker: bool = False, symbol: str = "BTCUSDT", **more: Any) -> dict[str, Any]:
    """An execution of 0.01 BTC at 94 000: value 940; at regular rates a taker pays 0.47, a maker 0.188."""
    return {
        "symbol": symbol, "id": number, "side": "BUY", "price": "94000", "qty": "0.01", "commission": fee,
        "commissionAsset": symbol[3:], "maker": maker, "time": 1_735_689_600_000 + number, **more,
    }  # fmt: skip


def checked(rows: list[dict[str, Any]], fee_level: str | None = None) -> Reconciliation:
    lines = parse_records(rows, "binance-usdm")
    contracts = [
        Contract(name, schedules=(TierSchedule.flat(0.005),), settle=name[3:])
        for name in ("BTCUSDT", "BTCUSDC")
    ]
    return reconcile(lines, contracts, venue("binance-usdm"), fee_level=fee_level)


def test_fees_that_are_all_of_one_other_level_differ_and_the_level_is_named():
    profile = venue("binance-usdm")
    name, taker, maker = profile.fee_levels[1]
    rows = [fill(1, f"{940 * taker:.8f}"), fill(2, f"{940 * maker:.8f}", maker=True)]
    found = checked(rows)
    assert found.differences["field"].tolist() == ["fee", "fee"]
    assert found.notes == (f"all 2 fees are those of level {name}: give --fee-level {name!r}",)
    assert checked(rows, fee_level=name).exit_code == 0


def test_one_wrong_fee_among_right_ones_names_no_level():
    found = checked([fill(1, "0.47"), fill(2, "0.376")])  # 0.04 % is a level's rate, 0.05 % the regular one
    assert found.differences["line"].tolist() == [2]
    assert not found.notes


def test_fees_with_one_common_discount_are_said_to_be_so():
    found = checked([fill(1, "0.423"), fill(2, "0.1692", maker=True)])  # 0.9 x 0.47, 0.9 x 0.188
    assert found.notes == ("all 2 fees are 0.9 times ours: the account's rates may be others",)


def test_a_maker_s_rebate_of_no_level_is_listed_as_not_checked_and_a_turned_sign_differs():
    rebate = checked([fill(1, "-0.047", maker=True)])  # 0.005 %
    assert rebate.differences.empty
    assert "a rebate for makers" in rebate.unchecked[0]
    for row in (fill(1, "-0.188", maker=True), fill(1, "-0.047")):
        assert checked([row]).differences["field"].tolist() == ["fee"]


@pytest.mark.parametrize(("fee", "unchecked"), [("0.47", 0), ("0.376", 1)])
def test_contracts_in_another_coin_have_fees_that_are_not_in_the_table(fee: str, unchecked: int):
    found = checked([fill(1, fee, symbol="BTCUSDC")])
    assert (len(found.differences), len(found.unchecked)) == (0, unchecked)


def test_our_number_is_printed_with_the_digits_that_differ():
    assert " 0.47 " in str(checked([fill(1, "0.47000002")]))
    small = fill(1, "0.00000454", price="0.00113636", qty="10")  # 0.0113636 x 0.05 % = 0.0000056818
    assert " 5.6818e-06 " in str(checked([small]))
