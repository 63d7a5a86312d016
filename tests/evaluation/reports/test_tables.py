"""Printed tables fit the terminal, say what rows cover, and print numbers in one way."""

import numpy as np
import pandas as pd
import pytest

import gearing
from gearing.evaluation.reports.tables import comparison, fitted, number_text, printed, span_note
from gearing.policies.rules import FixedLeverage


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (-0.0004, "{:.0%}", "0%"), (-0.0, "{:+.1%}", "0.0%"), (-0.04, "{:+.1f}", "0.0"), (-0.06, "{:+.1f}", "-0.1"),
        (np.nan, "{:.2f}", "-"), ("ruined", "{:.2f}", "ruined"), (-1e-9, "{:,.0f}", "0"), (3, "{:.0f}", "3"),
        (-np.inf, "{:+.1f}", "-inf"),
    ],
)  # fmt: skip
def test_a_number_that_rounds_to_zero_has_no_sign(value, form, text):
    assert number_text(form, value) == text


def wide(rows=3, columns=9):
    names = [f"residual_ppo, mean of {k} seeds" for k in range(rows)]
    return pd.DataFrame([[f"{k + j:+.3f}" for j in range(columns)] for k in range(rows)], names).rename(
        columns=lambda j: f"column_{j}"
    )


@pytest.mark.parametrize("width", [60, 80, 200])
def test_lines_of_a_wide_table_fit_and_no_column_is_lost(width):
    text = fitted(wide(), width)
    assert max(map(len, text.split("\n"))) <= width
    for j in range(9):
        assert text.count(f"column_{j}") == 1
    assert text.count("residual_ppo, mean of 2 seeds") == len(text.split("\n\n"))


def test_headings_are_wrapped_to_their_column_and_an_outer_name_stands_once():
    index = pd.MultiIndex.from_tuples([("BTC", "long"), ("BTC", "short")], names=["contract", "side"])
    table = pd.DataFrame({"log growth/y": ["+0.192", "ruined"], "end equity": ["14,449", "0"]}, index)
    assert fitted(table, 80).split("\n") == [
        "                      log     end",
        "contract  side   growth/y  equity",
        "BTC       long     +0.192  14,449",
        "          short    ruined       0",
    ]


def test_cells_wider_than_the_terminal_become_paragraphs():
    table = pd.DataFrame({"ideal for": ["word " * 40], "limits": ["none"]}, index=["tiered"])
    text = fitted(table, 80)
    assert max(map(len, text.split("\n"))) <= 80
    assert text.split("\n")[0] == "tiered"
    assert "limits: none" in text


def test_an_empty_table_and_several_index_levels_are_printed():
    assert fitted(pd.DataFrame({"a": []}), 80)
    index = pd.MultiIndex.from_tuples([("BTC", "long"), ("BTC", "short")], names=["group", "direction"])
    table = pd.DataFrame({f"a long heading {k}": ["1", "2"] for k in range(8)}, index=index)
    assert max(map(len, fitted(table, 80).split("\n"))) <= 80


def test_rows_of_different_spans_say_so():
    market = gearing.synthetic_market("market-b", seed=5, years=0.5)
    early = gearing.backtest(FixedLeverage(1.0), market)
    late = gearing.backtest(FixedLeverage(1.0), market, "default", name="late")
    same = gearing.backtest(FixedLeverage(1.0), market, start=str(late.time[0]), name="same")
    table = printed(comparison([early, late]))
    assert list(table.columns[:2]) == ["from", "to"]
    assert table.loc["late", "from"] == str(late.time[0].astype("datetime64[m]"))
    assert "start=" + table.loc["late", "from"] in span_note(comparison([early, late]))
    assert "from" not in printed(comparison([same, late]))
    assert span_note(comparison([same, late])) == ""
    assert same.performance.log_growth == late.performance.log_growth
