"""With the venue's mark prices, the moment of a liquidation is checked: gaps, late, missing and unexplained ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from gearing.cli import app
from gearing.contracts import Contract, MarginTier, TierSchedule, venue
from gearing.evaluation.reconcile.mark_path import read_marks
from gearing.evaluation.reconcile.replay import reconcile
from gearing.evaluation.reconcile.statements import parse_records

START = np.datetime64("2024-01-01T00:00", "ms")
HOUR = np.timedelta64(1, "h")
CONTRACT = Contract("X", schedules=(TierSchedule((MarginTier(0.0, 1e9, 0.005, 0.0, 100.0),)),))
# 10 coins bought at 100 with 100 of margin: (100 - 1000) / (10 x (0.005 - 1)) = 90.4522613; bankrupt at 90.
LEVEL = 900.0 / 9.95


def milliseconds(hours: float) -> str:
    return str(int(START.astype("int64") + hours * 3_600_000))


def statement(liquidated: float | None, price: float = LEVEL, after: bool = True) -> list[dict[str, str]]:
    """A long opened at 00:00, liquidated some hours later, or held on; a fill of another day ends the statement."""
    bought = {
        "symbol": "X", "side": "BUY", "price": "100", "qty": "10", "maker": "false", "commission": "0.5",
        "realizedPnl": "0", "quoteQty": "1000", "time": milliseconds(0),
    }  # fmt: skip
    held = {
        "symbol": "X", "positionAmt": "10", "entryPrice": "100.00000000", "isolatedWallet": "100.00000000",
        "liquidationPrice": f"{LEVEL:.8f}", "updateTime": milliseconds(0.001),
    }  # fmt: skip
    lines = [bought, held]
    if liquidated is not None:
        lines.append({
            "symbol": "X", "side": "SELL", "status": "FILLED", "executedQty": "10", "avgPrice": f"{price:.8f}",
            "price": "90.00000000", "cumQuote": f"{10 * float(f'{price:.8f}'):.8f}", "time": milliseconds(liquidated),
        })  # fmt: skip
    elif after:
        lines.append({**bought, "side": "SELL", "time": milliseconds(8)} | {"realizedPnl": "0"})
    return lines


def hourly(path: Path, opens: list[float], lows: dict[int, float] | None = None) -> Path:
    """Bars from 00:00; each closes where the next opens."""
    closes = [*opens[1:], opens[-1]]
    table = pd.DataFrame({"open_time": START + HOUR * np.arange(len(opens)), "open": opens, "close": closes})
    table["high"], table["low"] = table[["open", "close"]].max(axis=1), table[["open", "close"]].min(axis=1)
    for k, low in (lows or {}).items():
        table.loc[k, "low"] = low
    table.to_csv(path, index=False)
    return path


def differences(records: list[dict[str, str]], marks: Path | None) -> list[tuple[str, str]]:
    paths = None if marks is None else read_marks(marks, ["X"])
    found = reconcile(parse_records(records, "binance-usdm"), [CONTRACT], venue("binance-usdm"), marks=paths)
    return list(zip(found.differences["field"], found.differences["rule"], strict=True))


def test_a_gap_is_filled_at_its_first_mark_and_only_marks_show_it(tmp_path):
    path = hourly(tmp_path / "marks.csv", [100.0, 98.0, 96.0, 88.0, 88.0])
    path.write_text(path.read_text().replace("96.0,88.0,96.0,88.0", "96.0,95.0,96.0,95.0"))
    records = statement(3.0, price=88.0)
    assert differences(records, path) == []
    assert [field for field, _ in differences(records, None)] == ["execution_price"]


def test_a_liquidation_at_its_price_needs_a_mark_that_reaches_it(tmp_path):
    reached = hourly(tmp_path / "reached.csv", [100.0, 98.0, 96.0, 95.0, 95.0], {3: 90.0})
    assert differences(statement(3.5), reached) == []
    calm = hourly(tmp_path / "calm.csv", [100.0, 98.0, 96.0, 95.0, 95.0])
    assert differences(statement(3.5), calm) == [
        ("trigger_mark", "liq.linear.mm_at_mark: no mark reaches it")
    ]


def test_a_late_liquidation_is_reported_with_the_moment_it_was_due(tmp_path):
    path = hourly(tmp_path / "marks.csv", [100.0, 98.0, 96.0, 95.0, 95.0, 95.0, 95.0], {1: 90.0})
    assert differences(statement(2.5), path) == []  # within a bar of the end of the bar that liquidated
    late = differences(statement(5.5), path)
    assert late == [("time", "liq.linear.mm_at_mark: due at 2024-01-01T01:00:00.000")]


def test_a_liquidation_that_never_came_is_reported(tmp_path):
    path = hourly(tmp_path / "marks.csv", [100.0] * 8, {2: 90.0})
    survived = differences(statement(None), path)
    assert survived == [("liquidation", "liq.linear.mm_at_mark: due at 2024-01-01T02:00:00.000")]
    assert differences(statement(None), hourly(tmp_path / "calm.csv", [100.0] * 8)) == []


def test_what_happened_inside_the_bar_of_the_entry_is_not_judged(tmp_path):
    # The low of the first hour may lie before the purchase.
    path = hourly(tmp_path / "marks.csv", [100.0] * 8, {0: 90.0})
    assert differences(statement(None), path) == []
    assert differences(statement(0.5), path) == []


CANDLES = [[milliseconds(k), str(100 - k), str(101 - k), str(99 - k), str(100 - k), "0"] for k in range(4)]
ANSWERS = {
    "binance": CANDLES,
    "bybit": {"retCode": 0, "result": {"symbol": "X", "category": "linear", "list": CANDLES[::-1]}},
    "okx": {"code": "0", "data": CANDLES[::-1]},
}


@pytest.mark.parametrize("name", ANSWERS)
def test_candles_are_read_as_the_interfaces_return_them(name, tmp_path):
    path = tmp_path / "marks.json"
    path.write_text(json.dumps(ANSWERS[name]))
    marks = read_marks(path, ["X"])["X"]
    assert marks.time.tolist() == (START + HOUR * np.arange(4)).tolist()
    assert marks.bar == HOUR
    assert marks.prices[1].tolist() == [99.0, 100.0, 98.0, 99.0]


def test_a_table_of_instants_and_a_folder_are_read(tmp_path):
    table = pd.DataFrame(
        {"symbol": ["X", "Y"], "time": ["2024-01-01 00:00", "2024-01-01 01:00"], "mark": [100.0, 7.0]}
    )
    table.to_parquet(tmp_path / "marks.parquet")
    marks = read_marks(tmp_path / "marks.parquet", ["X", "Y"])
    assert marks["Y"].prices.tolist() == [[7.0] * 4]
    own = tmp_path / "binance-um" / "X"
    own.mkdir(parents=True)
    bars = pd.read_csv(hourly(tmp_path / "bars.csv", [100.0, 98.0]), parse_dates=["open_time"])
    bars.assign(open_time=bars["open_time"].dt.tz_localize("UTC").dt.as_unit("ms")).to_parquet(
        own / "mark-1h.parquet"
    )
    assert read_marks(tmp_path, ["X"])["X"].prices[1, 0] == 98.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("time,price\n1,2\n", "no column open, high, low, close"),
        ("mark\n2\n", "no column time"),
        ("time,mark\n1700000000,-2\n", "line 2: a mark price must be a positive number"),
        ("time,mark\n1700000000,2\n1700000000,3\n", "is repeated"),
    ],
)
def test_marks_that_cannot_be_read_are_refused_with_the_reason(content, message, tmp_path):
    path = tmp_path / "marks.csv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_marks(path, ["X"])
    with pytest.raises(ValueError, match="2 contracts; give a column 'symbol'"):
        read_marks(path, ["X", "Y"])


def test_the_command_takes_marks(tmp_path):
    lines, contracts = tmp_path / "statement.json", tmp_path / "contracts.json"
    # Each file of a venue holds records of one kind; here they lie beside each other.
    lines.write_text(json.dumps(statement(3.5)))
    contracts.write_text(json.dumps([CONTRACT.to_dict()]))
    calm = hourly(tmp_path / "calm.csv", [100.0, 98.0, 96.0, 95.0, 95.0])
    given = ["reconcile", str(lines), "--contracts", str(contracts)]
    assert CliRunner().invoke(app, given).exit_code == 0
    told = CliRunner().invoke(app, [*given, "--marks", str(calm)])
    assert told.exit_code == 1
    assert "no mark reaches it" in told.stdout
