"""Exact statements of every venue, kind and format reconcile without a difference and with every row accounted for."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.evaluation.reconcile.statement_sets import CASES, statements


@pytest.mark.parametrize("case", CASES)
def test_an_exact_statement_agrees_in_every_number_and_no_row_is_lost(case: str, tmp_path: Path):
    given = statements(case)
    found = given.reconcile(tmp_path)
    assert found.differences.empty, str(found)
    rows = sum(len(table.rows) for table in given.tables)
    states = {name: n for name, n in found.rows.items() if name != "read"}
    assert found.rows["read"] == rows == sum(states.values()), str(found)
    assert found.checked > rows, str(found)
    assert not found.unchecked, str(found)
