"""Damaged account statements: each row is accounted for, or the file is refused with one message that names it."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from tests.evaluation.reconcile.statement_sets import CASES, SETS, statements
from tests.fuzz.mutations import (
    Refused,
    expect_result_or_message,
    fuzz,
    mutated_bytes,
    mutated_csv,
    mutated_json,
)

ONE_WAY = [f"{kind}: one_way" for kind in SETS if f"{kind}: one_way" in CASES]


@st.composite
def damaged(draw: st.DrawFn, cases: list[str]) -> tuple[str, int, bytes]:
    """A case, the table that is damaged, and its bytes."""
    case = draw(st.sampled_from(cases))
    tables = statements(case).tables
    k = draw(st.sampled_from([k for k, table in enumerate(tables) if table.rows]))
    table = tables[k]
    text = table.text(table.rows[:6])
    how = draw(st.integers(0, 5))
    if how == 0:
        return case, k, draw(mutated_bytes(text.encode(table.encoding)))
    if table.format == "csv":
        return case, k, draw(mutated_csv(text))
    return case, k, draw(mutated_json(json.loads(text)))


def check(case: str, k: int, content: bytes, folder: Path) -> None:
    whole = statements(case)
    paths = [table.write(folder) for table in whole.tables if table.rows]
    broken = folder / f"{whole.tables[k].name}.{whole.tables[k].format}"
    broken.write_bytes(content)
    outcome = expect_result_or_message(lambda: whole.reconcile_paths(paths, folder), paths)
    if not isinstance(outcome, Refused):
        assert outcome.rows["read"] == sum(n for name, n in outcome.rows.items() if name != "read")


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory):
    made: list[Path] = []

    def new() -> Path:
        made.append(Path(tempfile.mkdtemp(dir=tmp_path_factory.getbasetemp())))
        return made[-1]

    yield new
    for one in made:
        shutil.rmtree(one)


@given(one=damaged(ONE_WAY))
@fuzz(inputs=80)
def test_a_damaged_statement_is_accounted_for_or_refused(one: tuple[str, int, bytes], place):
    check(*one, place())


@pytest.mark.slow
@given(one=damaged(CASES))
@fuzz(inputs=3000)
def test_thousands_of_damaged_statements_are_accounted_for_or_refused(one: tuple[str, int, bytes], place):
    check(*one, place())
