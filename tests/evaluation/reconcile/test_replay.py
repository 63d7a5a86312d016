"""Statements of venues are replayed by the same rules, and what differs is found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gearing.contracts import Contract, MarginTier, TierSchedule, venue
from gearing.evaluation.reconcile.replay import reconcile
from gearing.evaluation.reconcile.statements import parse_records

CASES = {
    case["id"]: case
    for name in ("liquidation.json", "pnl.json")
    for case in json.loads((Path(__file__).parents[2] / "conformance" / name).read_text())["cases"]
}


def contract_of(case: dict) -> Contract:
    """The contract of a public case with its single tier."""
    inputs, given = case["inputs"], case["contract"]
    tier = (inputs.get("tiers") or [{"mmr": "0.004", "cum": "0"}])[0]
    # A record shows one tier with its amount; the floor that would make the amount continuous is not known.
    schedule = TierSchedule((MarginTier(0.0, 1e15, float(tier["mmr"]), 0.0, 0.5 / float(tier["mmr"])),))
    if float(tier.get("cum", "0")):
        floor = float(tier["cum"]) / (float(tier["mmr"]) / 2.0)
        schedule = TierSchedule(
            (
                MarginTier(0.0, floor, float(tier["mmr"]) / 2.0, 0.0, 1.0 / float(tier["mmr"])),
                MarginTier(floor, 1e15, float(tier["mmr"]), float(tier["cum"]), 0.5 / float(tier["mmr"])),
            )
        )
    return Contract(
        given["symbol"], kind=given["kind"], multiplier=float(given["multiplier"]), schedules=(schedule,),
        tick_size=float(inputs.get("tick", "0")),
    )  # fmt: skip


def binance_position(case: dict) -> dict[str, str]:
    x, wanted = case["inputs"], case["expected"]
    sign = "-" if x["side"] == "short" else ""
    name = {"liquidation_price": "liquidationPrice", "unrealized_pnl": "unRealizedProfit"}[wanted["quantity"]]
    record = {"symbol": case["contract"]["symbol"], "positionAmt": sign + x["qty"], "entryPrice": x["entry"]}
    for ours, theirs in (("mark", "markPrice"), ("wallet", "isolatedWallet"), ("leverage", "leverage")):
        if ours in x:
            record[theirs] = x[ours]
    return {**record, name: wanted["value"]}


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("bn-real-btc-long", "binance-usdm"), ("bn-real-gas", "binance-usdm"),
        ("bn-coinm-real-btc", "binance-coinm"), ("bn-coinm-unreal", "binance-coinm"),
        ("bn-usdtm-unreal", "binance-usdm"),
    ],
)  # fmt: skip
def test_a_position_that_binance_returned_reconciles(name, profile):
    lines = parse_records([binance_position(CASES[name])], profile)
    found = reconcile(lines, [contract_of(CASES[name])], venue(profile))
    assert found.checked >= 1
    assert found.differences.empty, str(found)


@pytest.mark.parametrize("name", ["by-real-eth-liq", "by-real-dgb-liq"])
def test_a_position_that_bybit_returned_reconciles(name):
    x = CASES[name]["inputs"]
    record = {
        "symbol": CASES[name]["contract"]["symbol"], "side": "Buy" if x["side"] == "long" else "Sell",
        "size": x["qty"], "avgPrice": x["entry"], "leverage": x["leverage"],
        "liqPrice": CASES[name]["expected"]["value"],
    }  # fmt: skip
    found = reconcile(parse_records([record], "bybit"), [contract_of(CASES[name])], venue("bybit"))
    assert found.checked == 1
    assert found.differences.empty, str(found)


def test_okx_fills_and_bills_are_read_with_their_signs():
    records = [
        {"instId": "X", "side": "buy", "fillSz": "2", "fillPx": "100", "fee": "-0.1", "fillPnl": "0",
         "execType": "T", "ts": "1700000000000"},
        {"instId": "X", "type": "8", "sz": "2", "px": "100", "pnl": "-0.02", "balChg": "-0.02", "ts": "1700000040000"},
        {"instId": "X", "side": "sell", "fillSz": "2", "fillPx": "110", "fee": "-0.11", "fillPnl": "20",
         "execType": "T", "ts": "1700000100000"},
    ]  # fmt: skip
    contract = Contract("X", schedules=(TierSchedule((MarginTier(0.0, 1e9, 0.005, 0.0, 100.0),)),))
    minute = np.datetime64(1700000040000, "ms").astype("datetime64[m]").astype("datetime64[ms]")
    known = {("X", minute): (0.0001, 100.0)}  # 2 x 100 x 0.01 % = 0.02 paid
    lines = parse_records(records, "okx")
    assert reconcile(lines, [contract], venue("okx"), known).differences.empty
    wrong = reconcile(lines, [contract], venue("okx"), {("X", minute): (0.0003, 100.0)}).differences
    assert wrong[["line", "field", "rule"]].to_numpy().tolist() == [[2, "funding", "funding"]]


def test_a_record_of_no_known_kind_is_refused_with_its_line():
    with pytest.raises(ValueError, match="line 1: the fields colour"):
        parse_records([{"colour": "red"}], "bybit")
    with pytest.raises(ValueError, match="no statements of 'kraken'"):
        parse_records([], "kraken")
