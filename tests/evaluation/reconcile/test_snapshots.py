"""Positions: values without a mark, and flat ones."""

import pytest

from gearing.contracts import Contract, TierSchedule, venue
from gearing.evaluation.reconcile.outcome import Reconciliation
from gearing.evaluation.reconcile.replay import reconcile
from gearing.evaluation.reconcile.statements import parse_records


def checked(**changes: object) -> Reconciliation:
    """A position as Binance's account prints it: no mark, the value at it. 0.01 x 94 000 = 940; 940 + 1 = 941."""
    row = {
        "symbol": "BTCUSDT", "positionAmt": "0.010", "entryPrice": "94000.0", "unrealizedProfit": "1.0",
        "notional": "941.0", "isolated": True, "isolatedWallet": "94.0", "leverage": "10", "updateTime": 1735689600000,
    }  # fmt: skip
    contract = Contract("BTCUSDT", schedules=(TierSchedule.flat(0.005),), lot_size=0.001)
    return reconcile(parse_records([row | changes], "binance-usdm"), [contract], venue("binance-usdm"))


@pytest.mark.parametrize(
    ("amount", "profit", "value", "differs"),
    [
        ("0.010", "1.0", "941.0", []),
        ("0.010", "1.0", "950.41", ["value"]),
        ("-0.010", "-1.0", "-941.0", []),  # a short loses where the mark rises
        ("-0.010", "1.0", "-941.0", ["value"]),
    ],
)
def test_without_a_mark_the_value_is_that_at_entry_and_the_profit(amount, profit, value, differs):
    found = checked(positionAmt=amount, unrealizedProfit=profit, notional=value)
    assert found.differences["field"].tolist() == differs, str(found)


def test_flat_positions_of_cross_margin_are_skipped():
    found = checked(positionAmt="0", entryPrice="0", unrealizedProfit="0", notional="0", isolated=False)
    assert (dict(found.skipped), found.unchecked) == ({"position": 1}, ())


def test_a_position_without_its_average_price_is_refused_and_a_flat_one_needs_none():
    with pytest.raises(ValueError, match=r"^statement, line 1: no entryPrice, or an empty one"):
        checked(entryPrice="")
    assert checked(entryPrice="", positionAmt="0", isolated=False).skipped == {"position": 1}
