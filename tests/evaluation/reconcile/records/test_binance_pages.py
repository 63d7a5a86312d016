"""The page's transaction history, whose types are words or the interface's, and its position history."""

import pytest

from gearing.evaluation.reconcile.statements import parse_records


@pytest.mark.parametrize(
    ("word", "kind", "label"),
    [
        ("FUNDING_FEE", "funding", "income FUNDING_FEE"),
        ("Funding Fee", "funding", "income FUNDING_FEE"),
        ("Realized PnL", "entry", "income REALIZED_PNL"),
        ("Commission", "entry", "income COMMISSION"),
        ("Transfer", "skipped", "income TRANSFER"),
    ],
)
def test_types_are_read_as_words_too(word, kind, label):
    row = {
        "Time(UTC)": "2025-01-01 08:00:00",
        "Type": word,
        "Amount": "-0.094",
        "Asset": "USDT",
        "Symbol": "BTCUSDT",
    }
    (line,) = parse_records([row], "binance-usdm")
    assert (line.kind, line.label, line.unread) == (kind, label, {})


@pytest.mark.parametrize(("largest", "unread"), [("0.01", []), ("0.02", []), ("0.008", ["realised"])])
def test_the_profit_of_a_position_that_grew_after_a_part_was_closed_is_not_checked(largest, unread):
    row = {
        "Symbol": "BTCUSDT", "Position Side": "Long", "Entry Price": "94000", "Avg. Close Price": "94100",
        "Closed Vol.": "0.01", "Closing PNL": "1.00", "Opened": "2025-01-01 00:00:00", "Closed": "2025-01-01 08:00:00",
        "Status": "Closed", "Max Open Interest": largest,
    }  # fmt: skip
    (line,) = parse_records([row], "binance-usdm")
    assert list(line.unread) == unread
