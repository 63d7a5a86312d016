"""Exact statements of every venue, kind and format reconcile without a difference and with every row accounted for."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.evaluation.reconcile.statement_sets import CASES, Statements, statements
from tests.evaluation.reconcile.statement_writer import Row


def assert_exact(given: Statements, folder: Path) -> None:
    found = given.reconcile(folder)
    assert found.differences.empty, str(found)
    rows = sum(len(table.rows) for table in given.tables)
    states = {name: n for name, n in found.rows.items() if name != "read"}
    assert found.rows["read"] == rows == sum(states.values()), str(found)
    assert found.checked > rows, str(found)
    assert not found.unchecked, str(found)


@pytest.mark.parametrize("case", CASES)
def test_an_exact_statement_agrees_in_every_number_and_no_row_is_lost(case: str, tmp_path: Path):
    assert_exact(statements(case), tmp_path)


def in_unit(row: Row, unit: str) -> Row:
    """The row with its stamps in seconds, micro- or nanoseconds, or as ISO."""
    scale = {"s": lambda t: f"{t / 1000:.3f}", "us": lambda t: t * 1000, "ns": lambda t: t * 1_000_000}
    stamps = {name: int(text) for name, text in row.items() if len(str(text)) == 13 and str(text).isdigit()}
    return row | {name: scale[unit](stamp) for name, stamp in stamps.items()}


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
@pytest.mark.parametrize("kind", ["binance interface", "bybit executions and log", "okx fills and bills"])
def test_stamps_in_other_units_are_the_same_moments(kind: str, unit: str, tmp_path: Path):
    given = statements(f"{kind}: one_way")
    for table in given.tables:
        table.rows = [in_unit(row, unit) for row in table.rows]
    assert_exact(given, tmp_path)


@pytest.mark.parametrize("kind", ["bybit log", "bybit page log", "okx bills", "okx page"])
def test_rows_in_any_order_are_the_same_statement(kind: str, tmp_path: Path):
    given = statements(f"{kind}: one_way")
    for table in given.tables:
        table.rows = table.rows[::-1]
    assert_exact(given, tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
@pytest.mark.parametrize("kind", ["bybit page log", "okx page", "bybit log"])
def test_a_byte_order_mark_changes_nothing(kind: str, encoding: str, tmp_path: Path):
    given = statements(f"{kind}: hedge")
    for table in given.tables:
        table.encoding = encoding
    assert_exact(given, tmp_path)


@pytest.mark.parametrize("venue", ["bybit", "okx"])
def test_fees_in_another_coin_are_listed_and_nothing_else_differs(venue: str, tmp_path: Path):
    given = statements(f"{'bybit executions' if venue == 'bybit' else 'okx fills'}: fee_in_another_coin")
    found = given.reconcile(tmp_path)
    assert found.differences.empty, str(found)
    assert len(found.unchecked) == 2
    assert all("the price of" in reason for reason in found.unchecked)


def test_pages_that_overlap_are_counted_once(tmp_path: Path):
    given = statements("bybit executions and log: one_way")
    pages = []
    for table in given.tables:
        half = len(table.rows) // 2
        pages += [(table, table.rows[: half + 1]), (table, table.rows[half:])]
    paths = []
    for k, (table, rows) in enumerate(pages):
        path = table.write(tmp_path, rows)
        paths.append(path.rename(tmp_path / f"{k}-{path.name}"))
    found = given.reconcile_paths(paths, tmp_path)
    assert found.differences.empty, str(found)
    assert found.rows["doubled"] == 3  # the executions, the log, and the first position
