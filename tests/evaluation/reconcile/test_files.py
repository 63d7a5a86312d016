"""Statements as users bring them: every row accounted for, any unit and encoding read, errors with file and line."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gearing.cli import app
from gearing.evaluation.reconcile.files import reconcile_files
from gearing.evaluation.reconcile.outcome import Reconciliation

HOUR, START = 3_600_000, 1_735_689_600_000  # 2025-01-01 00:00 UTC
HEADER = "Uid,Time,Symbol,Side,Price,Quantity,Amount,Fee,Realized Profit,Buyer,Maker,Trade ID,Order ID"


def fill(
    number: int, hours: float = 0.0, side: str = "BUY", price: str = "94000.0", **changes: Any
) -> dict[str, Any]:
    """A taker's execution of 0.01 BTC: value 940, fee 0.05 % of it = 0.47."""
    value = float(price) * float(changes.get("qty", "0.010"))
    return {
        "symbol": "BTCUSDT", "id": number, "orderId": number, "side": side, "price": price, "qty": "0.010",
        "realizedPnl": "0", "quoteQty": f"{value:.4f}", "commission": f"{value * 0.0005:.8f}",
        "commissionAsset": "USDT", "time": int(START + hours * HOUR), "positionSide": "BOTH", "maker": False, **changes,
    }  # fmt: skip


def income(kind: str, amount: str, hours: float = 0.0, **changes: Any) -> dict[str, Any]:
    number = abs(hash((kind, amount, hours))) % 10**9
    return {
        "symbol": "BTCUSDT", "incomeType": kind, "income": amount, "asset": "USDT", "info": "",
        "time": int(START + hours * HOUR), "tranId": number, "tradeId": "", **changes,
    }  # fmt: skip


def rates(folder: Path, days: int = 2) -> Path:
    """Settlements every eight hours at 0.01 % and a mark of 94 000: 0.01 BTC pays 0.094."""
    path = folder / "rates.csv"
    rows = [f"BTCUSDT,2025-01-0{d} {h:02d}:00,0.0001,94000" for d in range(1, days + 1) for h in (0, 8, 16)]
    path.write_text("\n".join(["symbol,time,rate,mark", *rows]))
    return path


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GEARING_DATA", raising=False)

    def run(files: dict[str, Any], venue: str = "binance-usdm", **options: Any) -> Reconciliation:
        for name, content in files.items():
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            (tmp_path / name).write_bytes(raw)
        return reconcile_files([tmp_path / name for name in files], venue, **options)

    return run


def fields(found: Reconciliation) -> list[tuple[str, str]]:
    return list(zip(found.differences["field"], found.differences["printed"], strict=True))


def test_every_row_is_checked_or_listed_with_its_reason_or_skipped_by_kind(check):
    rows = [
        income("TRANSFER", "500", symbol=""), income("COMMISSION", "-0.47", tradeId="1"),
        income("COMMISSION", "-0.475", 1, tradeId="2"), income("REALIZED_PNL", "10", 1, tradeId="2"),
        income("INSURANCE_CLEAR", "-1", 1), income("A_NEW_TYPE", "3", 1), income("API_REBATE", "0.1", 1),
    ]  # fmt: skip
    fills = [fill(1), fill(2, 1, "SELL", "95000.0", realizedPnl="10")]
    found = check({"fills.json": fills, "income.json": rows})
    assert found.differences.empty, str(found)
    assert dict(found.rows) == {"read": 9, "checked": 5, "not checked": 2, "skipped": 2, "doubled": 0}
    assert dict(found.skipped) == {"income TRANSFER": 1, "income API_REBATE": 1}
    assert [text.split(": ")[0] for text in found.unchecked] == [
        "income.json, line 5, BTCUSDT, income INSURANCE_CLEAR", "income.json, line 6, BTCUSDT, income A_NEW_TYPE",
    ]  # fmt: skip


def test_an_entry_that_is_wrong_or_missing_or_there_twice_differs(check):
    fills = [fill(1), fill(2, 1, "SELL", "95000.0", realizedPnl="10")]
    right = [
        income("COMMISSION", "-0.47", tradeId="1"), income("COMMISSION", "-0.475", 1, tradeId="2"),
        income("REALIZED_PNL", "10", 1, tradeId="2"), income("TRANSFER", "1", 2),
    ]  # fmt: skip
    assert check({"f.json": fills, "i.json": right}).differences.empty
    wrong = [right[0], right[1], {**right[2], "income": "11"}, right[3]]
    assert fields(check({"f.json": fills, "i.json": wrong})) == [("realised", "11")]
    assert fields(check({"f.json": fills, "i.json": [right[0], *right[2:]]})) == [("fee_change", "missing")]
    twice = [*right, {**right[2], "tranId": 7}]
    assert fields(check({"f.json": fills, "i.json": twice})) == [("realised", "10")]


def test_a_settlement_without_a_payment_and_one_paid_twice_differ(check, tmp_path):
    fills = [fill(1), fill(2, 20, "SELL", "95000.0", realizedPnl="10")]
    paid = [income("FUNDING_FEE", "-0.094", 8), income("FUNDING_FEE", "-0.09400000", 16)]
    given = {"funding": rates(tmp_path)}
    assert check({"f.json": fills, "i.json": paid}, **given).differences.empty
    assert fields(check({"f.json": fills, "i.json": paid[:1]}, **given)) == [("funding", "missing")]
    twice = [*paid, {**paid[1], "tranId": 7}]
    assert fields(check({"f.json": fills, "i.json": twice}, **given)) == [("funding", "-0.09400000")]


def test_settlements_are_said_to_be_unproven_where_no_payment_is_given(check, tmp_path):
    found = check(
        {"f.json": [fill(1), fill(2, 20, "SELL", "95000.0", realizedPnl="10")]}, funding=rates(tmp_path)
    )
    assert found.differences.empty
    assert "2 settlements while a position was open are not checked" in found.unchecked[0]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"qty": "0.22", "quoteQty": "20680", "commission": "11"}, "fee"),  # 0.05 % of 20 680 is 10.34
        ({"quoteQty": "941"}, "value"),
        ({"realizedPnl": "0", "commission": "0.5"}, "fee"),
    ],
)
def test_a_wrong_number_is_found_though_its_zeros_are_left_out(check, changes, name):
    assert [field for field, _ in fields(check({"f.json": [fill(1, **changes)]}))] == [name]


def test_a_profit_of_176_is_not_175_and_a_position_of_two_tenths_not_three(check):
    bought = fill(1, qty="1", quoteQty="94000", commission="47")
    sold = fill(2, 1, "SELL", "94175.0", qty="1", realizedPnl="176")  # 94 175 - 94 000 = 175
    assert fields(check({"f.json": [bought, sold]})) == [("realised", "176")]
    held = {
        "symbol": "BTCUSDT", "positionAmt": "0.2", "entryPrice": "94000", "markPrice": "94500",
        "unRealizedProfit": "100",        "positionSide": "BOTH", "updateTime": START + 1,
    }  # fmt: skip
    found = check({"f.json": [fill(1, qty="0.3", quoteQty="28200", commission="14.1")], "p.json": [held]})
    assert fields(found) == [("quantity", "0.2")]


def test_an_amount_in_another_coin_is_not_compared(check):
    found = check({"f.json": [fill(1, commission="0.00060429", commissionAsset="BNB")]})
    assert found.differences.empty
    assert found.checked == 2  # value and profit
    assert "fee paid in BNB" in found.unchecked[0]


def test_the_legs_of_hedge_mode_are_two_positions_with_a_payment_each(check, tmp_path):
    fills = [
        fill(1, positionSide="LONG"), fill(2, 0.1, "SELL", positionSide="SHORT", qty="0.020"),
        fill(3, 9, "SELL", "95000.0", positionSide="LONG", realizedPnl="10"),
        fill(4, 9, "BUY", "93000.0", positionSide="SHORT", qty="0.020", realizedPnl="20"),
    ]  # fmt: skip
    paid = [income("FUNDING_FEE", "-0.094", 8), income("FUNDING_FEE", "0.188", 8)]
    found = check({"f.json": fills, "i.json": paid}, funding=rates(tmp_path))
    assert found.differences.empty, str(found)
    assert found.checked == 14


def test_pages_that_overlap_count_a_row_once_and_another_content_is_refused(check):
    pages = {
        "a.json": [fill(1), fill(2, 1)],
        "b.json": [fill(2, 1), fill(3, 2, "SELL", qty="0.03", realizedPnl="0")],
    }
    found = check(pages)
    assert found.rows["doubled"] == 1
    assert "b.json, line 1 is a.json, line 2 again; counted once" in found.notes
    with pytest.raises(
        ValueError, match=r"b.json, line 1: the same id as a.json, line 1, but another content \(quantity"
    ):
        check({"a.json": [fill(1)], "b.json": [fill(1, qty="0.02")]})


def test_executions_without_an_id_are_one_only_where_files_share_them(check):
    row = "2025-01-01 00:00:00,BTCUSDT,BUY,94000,0.01,940,0.47,USDT,0,USDT"
    table = f"Date(UTC),Symbol,Side,Price,Quantity,Amount,Fee,Fee Coin,Realized Profit,Quote Asset\n{row}\n{row}\n"
    found = check({"a.csv": table.encode(), "b.csv": table.encode()})
    assert dict(found.rows) == {"read": 4, "checked": 2, "not checked": 0, "skipped": 0, "doubled": 2}


@pytest.mark.parametrize(
    "stamp",
    [
        START * 1000,
        START * 10**6,
        START // 1000,
        "1.7356896E+12",
        "2025-01-01T03:00:00+03:00",
        "1,735,689,600,000",
    ],
)
def test_times_in_any_unit_are_the_same_moment(check, tmp_path, stamp):
    wrong = income("FUNDING_FEE", "-0.5", 8)
    found = check({"f.json": [fill(1, time=stamp)], "i.json": [wrong]}, funding=rates(tmp_path))
    assert fields(found) == [("funding", "-0.5")]  # 0.01 x 94 000 x 0.01 % = 0.094


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_page_s_export_is_read_in_any_encoding(check, encoding):
    row = "1,25-01-01 00:00:00,BTCUSDT,BUY,94000,0.01,940,0.47 USDT,0,true,false,5,6"
    found = check({"trades.csv": f"{HEADER}\n{row}\n".encode(encoding)})
    assert (found.checked, found.exit_code) == (3, 0), str(found)


def test_a_zip_from_the_page_and_decimal_commas_are_read(check):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(
            "t.csv", f"{HEADER}\n1,25-01-01 00:00:00,BTCUSDT,BUY,94000,0.01,940,0.47 USDT,0,true,false,5,6\n"
        )
    assert check({"t.zip": packed.getvalue()}).exit_code == 0
    row = "1;25-01-01 00:00:00;BTCUSDT;BUY;94000,5;0,01;940,005;0,4700025USDT;0;1;0;5;6"
    commas = f"{HEADER.replace(',', ';')}\n{row}\n"
    found = check({"t.csv": commas.encode()})
    assert (found.checked, found.exit_code) == (3, 0), str(found)


def test_the_zone_in_the_name_of_the_page_s_file_shifts_its_times(check, tmp_path):
    row = "1,24-12-31 18:00:00,BTCUSDT,BUY,94000,0.01,940,0.47 USDT,0,true,false,5,6"  # 00:00 UTC
    name = "Binance-Futures-Trade-History-202501020000(UTC--6).csv"
    paid = {"i.json": [income("FUNDING_FEE", "-0.094", 8)]}
    found = check({name: f"{HEADER}\n{row}\n".encode(), **paid}, funding=rates(tmp_path))
    assert found.differences.empty, str(found)
    assert found.checked == 4


@pytest.mark.parametrize(
    ("venue", "answer", "message"),
    [
        ("binance-usdm", {"code": -2015, "msg": "Invalid API-key, IP."}, "-2015 Invalid API-key, IP."),
        (
            "bybit",
            {"retCode": 10003, "retMsg": "API key is invalid.", "result": {}},
            "10003 API key is invalid.",
        ),
        ("okx", {"code": "50111", "msg": "Invalid OK-ACCESS-KEY", "data": []}, "50111 Invalid OK-ACCESS-KEY"),
    ],
)
def test_a_venue_s_error_is_no_statement(check, venue, answer, message):
    with pytest.raises(ValueError, match=f"answer.json: .*{message}"):
        check({"answer.json": answer}, venue)


def test_a_statement_of_which_nothing_could_be_checked_is_no_success(check):
    assert check({"empty.json": []}).exit_code == 2
    orders = {
        **fill(1),
        "clientOrderId": "web_1",
        "avgPrice": "94000",
        "executedQty": "0.01",
        "status": "FILLED",
    }
    for name in ("qty", "commission", "commissionAsset", "realizedPnl", "quoteQty", "id", "maker"):
        del orders[name]
    found = check({"orders.json": [orders]})
    assert (found.exit_code, dict(found.skipped)) == (2, {"order": 1})


def test_flat_rows_of_unknown_contracts_stop_nothing(check):
    # (28 000 - 27 750) x 0.08 = 20; (444 - 0.08 x 27 750) / (0.08 x 0.004 - 0.08) = 22 289.15662651
    held = {
        "symbol": "BTCUSDT", "positionAmt": "0.080", "entryPrice": "27750.0", "markPrice": "28000.00000000",
        "unRealizedProfit": "20.00000000", "liquidationPrice": "22289.15662651", "leverage": "5",
        "marginType": "isolated", "positionSide": "BOTH", "isolatedWallet": "444.00000000", "updateTime": START,
    }  # fmt: skip
    flat = {
        **held,
        "symbol": "ZILUSDT",
        "positionAmt": "0",
        "entryPrice": "0.0",
        "isolatedWallet": "0",
        "updateTime": 0,
    }
    found = check({"risk.json": [held, flat]})
    assert (found.checked, len(found.differences), found.exit_code) == (2, 0, 0)
    assert dict(found.skipped) == {"position": 1}


def test_a_position_backed_by_the_whole_wallet_has_no_price_that_its_record_gives(check):
    held = {
        "symbol": "BTCUSDT", "positionAmt": "0.080", "entryPrice": "27750.0", "markPrice": "28000.0",
        "updateTime": START, "unRealizedProfit": "20", "liquidationPrice": "11111", "leverage": "5",
        "marginType": "cross",         "isolatedWallet": "0", "positionSide": "BOTH",
    }  # fmt: skip
    found = check({"risk.json": [held]})
    assert (found.checked, len(found.differences)) == (1, 0)
    assert "cross margin" in found.unchecked[0]


def test_a_price_of_zero_is_no_reason_to_end(check):
    sold = fill(1, symbol="BTCUSD_PERP", commissionAsset="BTC")
    found = check({"f.json": [{**sold, "price": "0"}]}, "binance-coinm")
    assert found.exit_code == 2
    assert "a price, a size or the leverage is zero" in found.unchecked[0]


def test_payments_before_the_first_execution_are_of_a_position_that_is_not_known(check, tmp_path):
    found = check({"i.json": [income("FUNDING_FEE", "-0.094", 8)]}, funding=rates(tmp_path))
    assert (found.exit_code, len(found.differences)) == (2, 0)
    assert "begins with an open position" in found.unchecked[0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([fill(1, symbol="")], "f.json, line 1: no symbol"),
        (
            [fill(1), fill(2, side="HOLD")],
            "f.json, line 2: side is one of buy, long, sell, short, not 'HOLD'",
        ),
        ([{**fill(1), "price": "dear"}], "f.json, line 1: price is 'dear', which is not a number"),
        ([{**fill(1), "qty": "NaN"}], "f.json, line 1: the quantity of this user trade is missing"),
        ([fill(1), {"colour": "red"}], "f.json, line 2: the fields colour are of no known record"),
        (
            [
                {
                    "execType": "Trade",
                    "execTime": "1",
                    "symbol": "X",
                    "side": "Buy",
                    "execQty": "1",
                    "execPrice": "1",
                }
            ],
            "they are those of bybit .execution.: give --venue bybit",
        ),
    ],
)
def test_errors_name_file_and_line(check, rows, message):
    with pytest.raises(ValueError, match=message):
        check({"f.json": rows})


def test_the_command_prints_counts_and_ends_with_the_result(tmp_path, monkeypatch):
    monkeypatch.delenv("GEARING_DATA", raising=False)
    path = tmp_path / "f.json"
    path.write_text(json.dumps([fill(1)]))
    done = CliRunner().invoke(app, ["reconcile", str(path), "--json", str(tmp_path / "found.json")])
    assert done.exit_code == 0
    assert "3 numbers checked, 0 differ, 0 not checked" in done.stdout
    assert json.loads((tmp_path / "found.json").read_text())["rows"]["checked"] == 1
    path.write_text("[]")
    assert CliRunner().invoke(app, ["reconcile", str(path)]).exit_code == 2
