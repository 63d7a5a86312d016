"""Rows of exchanges' answers, refusals and answers without rows."""

import pytest

from gearing.storage.answers import rows_of_answer

ROW = {"symbol": "BTCUSDT", "price": "1"}


@pytest.mark.parametrize(
    "answer",
    [
        [ROW, ROW],
        [[ROW], [ROW]],  # pages
        [
            {"code": "0", "msg": "", "data": [ROW]},
            {"code": "0", "msg": "", "data": [ROW]},
            {"code": "0", "data": []},
        ],
        {"retCode": 0, "retMsg": "OK", "result": {"nextPageCursor": "", "list": [ROW, ROW]}, "time": 1},
    ],
)
def test_rows_are_found_in_pages_and_wrappers(answer):
    assert rows_of_answer(answer, "a.json") == [ROW, ROW]


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"code": "0", "msg": "", "data": []},
        {"retCode": 0, "retMsg": "OK", "result": None, "time": 1},
        {"retCode": 0, "retMsg": "OK", "result": {"list": None, "category": "linear"}, "time": 1},
        {"retCode": 0, "retMsg": "OK", "result": {"nextPageCursor": "", "category": "linear"}, "time": 1},
    ],
)
def test_an_answer_without_rows_has_none(answer):
    assert rows_of_answer(answer, "a.json") == []


@pytest.mark.parametrize(
    "answer",
    [
        {"code": -1003, "msg": "Too many requests"},
        [ROW, {"code": -1003, "msg": "Too many requests"}],
        {"message": "Too many requests"},
        {"success": False, "error": "Too many requests"},
        {
            "timestamp": "2025-01-01T00:00:00Z",
            "status": 429,
            "error": "Too many requests",
            "path": "/fapi/v1/income",
        },
    ],
)
def test_a_refusal_is_an_error_with_the_text_of_the_exchange(answer):
    with pytest.raises(ValueError, match=r"^a.json: the exchange refused the request: .*Too many requests$"):
        rows_of_answer(answer, "a.json")
