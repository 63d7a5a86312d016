"""Bybit's transaction log and its page's exports, with rows quoted in public repositories."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from gearing.contracts import Contract, TierSchedule, venue
from gearing.evaluation.reconcile.replay import Reconciliation, reconcile
from gearing.evaluation.reconcile.statements import parse_records, read_statement

Row = dict[str, Any]
SETTLEMENT = {  # of the venue's own documents
    "transSubType": "", "id": "592324_XRPUSDT_161440249321", "symbol": "XRPUSDT", "side": "Buy", "funding": "-0.003676",
    "orderLinkId": "", "orderId": "1672128000-8-592324-1-2", "fee": "0.00000000", "change": "-0.003676",
    "cashFlow": "0", "transactionTime": "1672128000000", "type": "SETTLEMENT", "feeRate": "0.0001", "bonusChange": "",
    "size": "100", "qty": "100", "cashBalance": "5086.55825002", "currency": "USDT", "category": "linear",
    "tradePrice": "0.3676", "tradeId": "534c0003-4bf7-486f-aa02-78cee36825e4", "extraFees": "",
}  # fmt: skip
PAGE = """UID: 531298197,Company Name: ,Country: \r
Uid,Currency,Contract,Type,Direction,Quantity,Position,Filled Price,Funding,Fee Paid,Cash Flow,Change,Wallet Balance,Action,Time(UTC)\r
531298197,USDT,XAUTUSDT,TRADE,SELL,0.02000000000000000000,0.02000000000000000000,4356.00000000000000000000,0.00000000000000000000,-0.08712000000000000000,1.03750000000000000000,0.95038000000000000000,306.66408947000000000000,CLOSE,2026-09-22 19:11:48\r
531298197,USDT,XAUTUSDT,SETTLEMENT,BUY,--,0.02000000000000000000,--,-0.00436130000000000000,0.00000000000000000000,0.00000000000000000000,-0.00436130000000000000,306.65972817000000000000,SETTLEMENT,2026-09-22 20:00:00\r
"""  # noqa: E501


def contract(symbol: str) -> Contract:
    return Contract(symbol, schedules=(TierSchedule.flat(0.005),))


def checked(rows: list[Row], *contracts: Contract) -> Reconciliation:
    return reconcile(parse_records(rows, "bybit"), contracts, venue("bybit"))


def test_a_settlement_of_the_log_is_checked_with_its_sum():
    # 100 x 0.3676 x 0.0001 = 0.003676, which a long pays; change = cash flow 0 + funding - fee 0.
    found = checked([SETTLEMENT], contract("XRPUSDT"))
    assert found.differences.empty, str(found)
    assert found.sums == 1
    for name, wrong in (("funding", "-0.0036"), ("change", "-0.0037"), ("feeRate", "0.0002")):
        assert not checked([{**SETTLEMENT, name: wrong}], contract("XRPUSDT")).differences.empty, name


def test_the_log_of_a_classic_account_prints_funding_with_the_other_sign():
    # change = cash flow - funding - fee there: -0.003676 = 0 - 0.003676.
    rows = [{**SETTLEMENT, "funding": "0.003676"}]
    assert checked(rows, contract("XRPUSDT")).differences.empty


def test_the_page_s_export_is_read_with_the_line_above_its_header(tmp_path: Path):
    # The first row closes 0.02 of 0.04: its profit depends on what was held before. Its fee is 0.02 x 4356 x 0.1 % =
    # 0.08712, and 1.0375 - 0.08712 = 0.95038. Then 306.66408947 - 0.0043613 = 306.65972817.
    file = tmp_path / "AssetChangeDetails_uta_531298197_20260101_20261231_0.csv"
    file.write_bytes(PAGE.encode("utf-8-sig"))
    profile = dataclasses.replace(venue("bybit"), taker_fee=0.001)
    found = reconcile(read_statement(file, "bybit"), [contract("XAUTUSDT")], profile)
    assert found.differences.empty, str(found)
    assert found.sums == 3  # the sums of both rows, and the balance of the second
    assert any("begins with an open position" in reason for reason in found.unchecked)
    wrong = PAGE.replace("306.65972817", "306.65972900")
    file.write_text(wrong, encoding="utf-8")
    found = reconcile(read_statement(file, "bybit"), [contract("XAUTUSDT")], profile)
    assert found.differences["field"].tolist() == ["balance"]


def test_the_page_s_trade_history_prints_the_minute_before_the_day(tmp_path: Path):
    # 2 x 100 x 0.055 % = 0.11; closed at 110 by a maker: 2 x 110 x 0.02 % = 0.044.
    file = tmp_path / "Bybit-Derivatives-TradeHistory.csv"
    file.write_text(
        "Market,Filled Type,Filled Quantity,Filled Price,Order Price,Fee Rate,Trading Fee,feeCoin,ExecFeeV2,Direction,"
        "Order Type,Trasaction ID,Order No.,Transaction Time(UTC+0)\n"
        "AAAUSDT,Trade,2,110,110,0.0002,0.044,USDT,0.044,Short,Limit, a2, o2,12:00 2026-01-10\n"
        "AAAUSDT,Trade,2,100,100,0.00055,0.11,USDT,0.11,Long,Market, a1, o1,10:00 2026-01-10\n"
    )
    lines = read_statement(file, "bybit")
    assert [str(line.time) for line in lines] == ["2026-01-10T10:00:00.000", "2026-01-10T12:00:00.000"]
    found = reconcile(lines, [contract("AAAUSDT")], venue("bybit"))
    assert found.differences.empty
    assert found.checked == 2


def test_a_kind_of_entry_that_is_not_documented_is_said_to_be_unread():
    row = {**SETTLEMENT, "type": "SOMETHING_NEW", "symbol": "", "side": "None"}
    found = checked([row], contract("XRPUSDT"))
    assert "type SOMETHING_NEW is not documented" in found.unchecked[0]
