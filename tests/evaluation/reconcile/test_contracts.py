"""Contracts and tiers of a statement: the venue's own answers, the project's files, names in every spelling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gearing.contracts import Contract, TierSchedule, venue
from gearing.evaluation.reconcile.contracts import find_contracts
from gearing.evaluation.reconcile.settlements import read_settlements

EXCHANGE_INFO = {
    "symbols": [
        {"symbol": "ADAUSDT", "marginAsset": "USDT", "contractType": "PERPETUAL", "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.00010"}, {"filterType": "LOT_SIZE", "stepSize": "1"}]},
        {"symbol": "ETHUSD_PERP", "marginAsset": "ETH", "contractSize": 10, "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01"}, {"filterType": "LOT_SIZE", "stepSize": "1"}]},
    ],
}  # fmt: skip
BRACKETS = [
    {"symbol": "ADAUSDT", "brackets": [
        {"bracket": 1, "initialLeverage": 75, "notionalCap": 10000, "notionalFloor": 0, "maintMarginRatio": 0.005,
         "cum": 0.0},
        {"bracket": 2, "initialLeverage": 50, "notionalCap": 50000, "notionalFloor": 10000, "maintMarginRatio": 0.01,
         "cum": 50.0},
    ]},
]  # fmt: skip
INSTRUMENTS = {"retCode": 0, "result": {"category": "inverse", "list": [
    {"symbol": "ETHUSD", "contractType": "InversePerpetual", "settleCoin": "ETH", "priceFilter": {"tickSize": "0.05"},
     "lotSizeFilter": {"qtyStep": "1"}}]}}  # fmt: skip
RISK = {"retCode": 0, "result": {"category": "inverse", "list": [
    {"symbol": "ETHUSD", "riskLimitValue": "1000", "maintenanceMargin": "0.01", "maxLeverage": "50"},
    {"symbol": "ETHUSD", "riskLimitValue": "500", "maintenanceMargin": "0.005", "maxLeverage": "100"}]}}  # fmt: skip
SWAPS = {"code": "0", "data": [
    {"instId": "DOGE-USDT-SWAP", "ctType": "linear", "ctVal": "1000", "ctMult": "1", "settleCcy": "USDT",
     "tickSz": "0.00001", "lotSz": "0.01"}]}  # fmt: skip
POSITION_TIERS = {"code": "0", "data": [
    {"instFamily": "DOGE-USDT", "minSz": "0", "maxSz": "100", "mmr": "0.005", "maxLever": "75", "tier": "1"},
    {"instFamily": "DOGE-USDT", "minSz": "100", "maxSz": "500", "mmr": "0.01", "maxLever": "50", "tier": "2"},
]}  # fmt: skip


def found(
    tmp_path: Path, symbol: str, venue_name: str, *answers: Any, **options: Any
) -> tuple[Contract, bool]:
    paths = []
    for number, answer in enumerate(answers):
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_text(json.dumps(answer))
    (contract,), tierless = find_contracts([symbol], venue(venue_name), paths, **options)
    return contract, symbol in tierless


def test_binance_s_exchange_info_and_leverage_brackets_make_a_contract(tmp_path):
    contract, tierless = found(tmp_path, "ADAUSDT", "binance-usdm", EXCHANGE_INFO, BRACKETS)
    assert (contract.tick_size, contract.lot_size, contract.settle, tierless) == (0.0001, 1.0, "USDT", False)
    assert [(t.floor, t.rate, t.amount) for t in contract.schedules[0].tiers] == [
        (0, 0.005, 0),
        (10_000, 0.01, 50),
    ]


def test_a_coin_margined_contract_has_its_size_and_coin(tmp_path):
    contract, tierless = found(tmp_path, "ETHUSD_PERP", "binance-coinm", EXCHANGE_INFO)
    assert (contract.kind, contract.multiplier, contract.settle, tierless) == ("inverse", 10.0, "ETH", True)
    by_name, _ = found(tmp_path, "BTCUSD_PERP", "binance-coinm")
    assert (by_name.kind, by_name.multiplier, by_name.settle) == ("inverse", 100.0, "BTC")


def test_bybit_s_instruments_and_risk_limits_make_a_contract(tmp_path):
    contract, tierless = found(tmp_path, "ETHUSD", "bybit", INSTRUMENTS, RISK)
    assert (contract.kind, contract.tick_size, contract.settle, tierless) == ("inverse", 0.05, "ETH", False)
    # up to 500 ETH 0.5 %, from there 1 %: the amount that keeps the schedule continuous is 500 x 0.5 % = 2.5
    assert [(t.floor, t.rate, t.amount) for t in contract.schedules[0].tiers] == [
        (0, 0.005, 0),
        (500, 0.01, 2.5),
    ]


def test_okx_s_tiers_count_contracts_at_a_price_of_the_statement(tmp_path):
    prices = {"DOGE-USDT-SWAP": 0.2}
    contract, tierless = found(tmp_path, "DOGE-USDT-SWAP", "okx", SWAPS, POSITION_TIERS, prices=prices)
    assert (contract.multiplier, contract.lot_size, tierless) == (1000.0, 10.0, False)
    assert contract.schedules[0].tiers[1].floor == pytest.approx(20_000.0)  # 100 contracts x 1000 DOGE x 0.2
    assert not contract.schedules[0].marginal


def test_a_swap_of_unknown_size_is_left_out_and_one_of_the_large_coins_is_known(tmp_path):
    assert find_contracts(["DOGE-USDT-SWAP"], venue("okx")) == ([], set())
    contract, tierless = found(tmp_path, "BTC-USDT-SWAP", "okx")
    assert (contract.multiplier, contract.tick_size, tierless) == (0.01, 0.1, True)


def test_tiers_come_from_the_data_folder_else_from_the_package_for_their_own_venue_only(tmp_path):
    row = {
        "min_notional": 0,
        "max_notional": 1e6,
        "max_leverage": 25,
        "maintenance_margin_rate": 0.02,
        "maintenance_amount": 0,
    }
    (tmp_path / "brackets.json").write_text(json.dumps({"PEPEUSDT": [row]}))
    contract, tierless = found(tmp_path, "PEPEUSDT", "binance-usdm", data=tmp_path)
    assert (contract.schedules[0].tiers[0].rate, tierless) == (0.02, False)
    assert found(tmp_path, "BTCUSDT", "binance-usdm")[1] is False
    assert found(tmp_path, "BTCUSDT", "bybit")[1] is True  # the shipped tiers are Binance's


def test_the_project_s_own_contracts_are_read(tmp_path):
    own = Contract("X", tick_size=0.5, schedules=(TierSchedule.flat(0.01),))
    assert found(tmp_path, "X", "bybit", [own.to_dict()])[0] == own


UNREADABLE = [
    [{"colour": 1}], {"symbols": [{"symbol": "X"}]}, {"code": "50011", "msg": "Too Many Requests"},
    [{"symbol": "X", "schedules": [1]}], {}, 3, [{"symbol": "X", "brackets": [{"bracket": "a"}]}],
]  # fmt: skip


@pytest.mark.parametrize("answer", UNREADABLE)
def test_a_file_of_contracts_that_cannot_be_read_is_named(tmp_path, answer):
    path = tmp_path / "contracts.json"
    path.write_text(json.dumps(answer))
    with pytest.raises(ValueError, match=r"contracts\.json"):
        find_contracts(["X"], venue("bybit"), [path])


def test_settlements_are_read_from_the_project_s_file_the_venue_s_answer_and_a_folder(tmp_path):
    time = pd.date_range("2025-01-01 08:00", periods=2, freq="8h", tz="UTC").as_unit("ms")
    own = tmp_path / "okx-swap" / "BTCUSDT"
    own.mkdir(parents=True)
    pd.DataFrame({"time": time, "rate": [1e-4, -2e-4]}).to_parquet(own / "funding.parquet")
    for path in (own / "funding.parquet", tmp_path):
        rows = read_settlements(path, ["BTC-USDT-SWAP"], "okx-swap")
        assert [(name, str(at), rate) for (name, at), (rate, _) in rows.items()] == [
            ("BTC-USDT-SWAP", "2025-01-01T08:00:00.000", 1e-4), ("BTC-USDT-SWAP", "2025-01-01T16:00:00.000", -2e-4),
        ]  # fmt: skip
    answer = [
        {
            "symbol": "BTCUSDT",
            "fundingTime": 1735718400000,
            "fundingRate": "0.00010000",
            "markPrice": "94000.5",
        }
    ]
    path = tmp_path / "rates.json"
    path.write_text(json.dumps(answer))
    assert list(read_settlements(path, ["BTCUSDT", "ETHUSDT"], "binance-um").values()) == [(1e-4, 94000.5)]
    pd.DataFrame({"time": time, "rate": [1e-4, 1e-4]}).to_csv(tmp_path / "r.csv", index=False)
    with pytest.raises(ValueError, match="2 contracts; give a column 'symbol', or a data folder"):
        read_settlements(tmp_path / "r.csv", ["BTCUSDT", "ETHUSDT"], "binance-um")
