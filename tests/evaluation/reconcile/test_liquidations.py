"""Prices of a record whose margin was added by hand, as the venue's documents print them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gearing.contracts import Contract, TierSchedule, venue
from gearing.evaluation.reconcile.replay import reconcile
from gearing.evaluation.reconcile.statements import read_statement
from gearing.exchange.rules import bankruptcy_price, margin_with_addition, round_price

# The answer to "add margin" in Bybit's v5 documents; 0.01 ETH was added.
ANSWER = {
    "retCode": 0, "retMsg": "OK", "time": 1684234363789, "retExtInfo": {},
    "result": {
        "category": "inverse", "symbol": "ETHUSD", "positionIdx": 0, "riskId": 11, "riskLimitValue": "500",
        "size": "200", "positionValue": "0.11033265", "avgPrice": "1812.70004844", "liqPrice": "1550.80",
        "bustPrice": "1544.20", "markPrice": "1812.90", "leverage": "12", "autoAddMargin": 0,
        "positionStatus": "Normal", "positionIM": "0.01926611", "positionMM": "0", "unrealisedPnl": "0.00001217",
        "cumRealisedPnl": "-0.04618929", "stopLoss": "0.00", "takeProfit": "0.00", "trailingStop": "0.00",
        "createdTime": "1672737740039", "updatedTime": "1684234363788",
    },
}  # fmt: skip
CONTRACT = Contract(
    "ETHUSD",
    kind="inverse",
    settle="ETH",
    tick_size=0.05,
    lot_size=1.0,
    schedules=(TierSchedule.flat(0.005),),
)


def found_in(tmp_path: Path, **changes: str):
    answer = {**ANSWER, "result": {**ANSWER["result"], **changes}}
    path = tmp_path / "position.json"
    path.write_text(json.dumps(answer))
    return reconcile(read_statement(path, "bybit"), [CONTRACT], venue("bybit"))


def test_margin_added_to_an_inverse_position_counts_without_the_fee_of_closing_it():
    # W = 200 / 1812.70004844 / 12 + 0.01 / 1.0006 = 0.01918839; 200 / (0.11033265 + W) = 1544.1507, up to 1544.20
    backing = margin_with_addition(200.0, 200.0 / 1812.70004844 / 12.0, 0.01, 0.0006)
    assert backing == pytest.approx(0.01918839, abs=5e-9)
    bust = bankruptcy_price(200.0, 1812.70004844, backing, True)
    assert round_price(bust, 0.05, 1.0) == pytest.approx(1544.20)


def test_the_venue_s_answer_about_added_margin_reconciles_with_both_of_its_prices(tmp_path):
    found = found_in(tmp_path)
    assert found.differences.empty, str(found)
    assert (found.checked, found.unchecked) == (3, ())  # profit, bankruptcy price, liquidation price


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("bustPrice", "1545.20", "bankruptcy_price"),
        ("liqPrice", "1550.70", "liquidation_price"),
        ("unrealisedPnl", "0.0000122", "unrealised"),
    ],
)
def test_each_number_of_it_that_is_changed_is_found(tmp_path, field, value, name):
    assert found_in(tmp_path, **{field: value}).differences["field"].tolist() == [name]
