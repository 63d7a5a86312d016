"""OKX's fills."""

from gearing.contracts import Contract, TierSchedule, venue
from gearing.evaluation.reconcile.outcome import Reconciliation
from gearing.evaluation.reconcile.replay import reconcile
from gearing.evaluation.reconcile.statements import parse_records


def checked(**changes: str) -> Reconciliation:
    """A fill of 1 contract of 0.01 BTC at 94 000: value 940."""
    row = {
        "instType": "SWAP", "instId": "BTC-USDT-SWAP", "side": "sell", "posSide": "net", "fillSz": "1",
        "fillPx": "94000", "execType": "T", "fee": "-0.47", "feeCcy": "USDT", "tradeId": "1", "ts": "1735689600000",
    }  # fmt: skip
    contract = Contract(
        "BTC-USDT-SWAP",
        schedules=(TierSchedule.flat(0.005),),
        multiplier=0.01,
        settle="USDT",
        lot_size=0.0001,
    )
    return reconcile(parse_records([row | changes], "okx"), [contract], venue("okx"))


def test_a_fill_that_prints_its_rate_is_checked_at_it():
    assert checked(feeRate="-0.0004", fee="-0.376").exit_code == 0  # 940 x 0.04 %; negative where paid
    assert checked(feeRate="0.00005", fee="0.047", execType="M").exit_code == 0  # a rebate of 0.005 %
    assert checked(feeRate="-0.0004").differences["field"].tolist() == ["fee_change"]


def test_a_liquidation_of_a_position_from_before_the_statement_is_not_wrong():
    found = checked(subType="104", fillPnl="-20", posSide="long", fee="0")
    assert found.differences.empty, str(found)
    assert any("begins with an open position" in reason for reason in found.unchecked)
