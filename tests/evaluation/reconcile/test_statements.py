"""What statements.py reads: texts that are none, records that ccxt wraps, the venue that fits."""

import json

import pytest

from gearing.evaluation.reconcile.statements import parse_records, read_statement

FILL = {"symbol": "BTCUSDT", "price": "94000", "qty": "0.01", "side": "BUY", "time": 1_735_689_600_000}


@pytest.mark.parametrize("text", ["429", "429 Too Many Requests\n", "Too many visits!", "null", '"refused"'])
def test_a_line_of_text_is_no_statement(text, tmp_path):
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"^a.json holds '.*', which is no statement; fetch it again\.$"):
        read_statement(file, "binance-usdm")


def test_the_venue_s_own_record_inside_ccxt_s_is_read(tmp_path):
    file = tmp_path / "trades.json"
    wrapped = {
        "info": FILL,
        "timestamp": FILL["time"],
        "symbol": "BTC/USDT:USDT",
        "price": 94000.0,
        "cost": 940.0,
    }
    file.write_text(json.dumps([wrapped]))
    assert read_statement(file, "binance-usdm") == parse_records([FILL], "binance-usdm", "trades.json")


def test_records_of_another_venue_are_told_the_name_of_its_profile():
    with pytest.raises(ValueError, match="give --venue binance-usdm or binance-coinm"):
        parse_records([FILL | {"positionSide": "BOTH"}], "okx")


@pytest.mark.parametrize(
    "lines",
    [
        [FILL, FILL],
        [[FILL], [FILL]],
        [{"code": "0", "msg": "", "data": [FILL]}, {"code": "0", "msg": "", "data": [FILL]}],
        [{"retCode": 0, "retMsg": "OK", "result": {"list": [FILL]}}, [FILL]],
    ],
)
def test_a_line_of_a_file_may_be_a_record_a_list_or_an_answer(lines, tmp_path):
    file = tmp_path / "pages.json"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    assert len(read_statement(file, "binance-usdm")) == 2


def test_a_refusal_on_one_line_of_a_file_is_an_error_with_the_line(tmp_path):
    file = tmp_path / "pages.json"
    file.write_text(f'{json.dumps([FILL])}\n{{"code": -1003, "msg": "Too many requests"}}\n')
    with pytest.raises(
        ValueError, match=r"^pages.json, line 2: the exchange refused the request: -1003 Too many"
    ):
        read_statement(file, "binance-usdm")
