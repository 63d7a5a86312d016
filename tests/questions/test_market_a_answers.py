"""Market A's reference values come out of quadrature, of sampled paths and of the ordinary simulator."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gearing.market.oracle.finite_oracle import solve
from gearing.market.synthetic.market_a import VARIANTS, market_a
from gearing.questions.market_a_answers import (
    KnownPolicy,
    closed_form,
    growth_table,
    oracles,
    protocol_policies,
)
from gearing.studies.runner import run_study

TABLES = Path(__file__).resolve().parents[2] / "docs" / "tables"
UNNUMBERED = {
    "frictionless L, costs charged",
    "sign of drift x 1",
}  # depend on what the protocol gives no numbers for


def assert_one_law(table):
    """Quadrature, recursion and simulator agree within four standard errors, the last two far more closely."""
    for computed, found in (("computed", "sampled"), ("computed_moved", "played")):
        away = (table[found] - table[computed]).abs() / table[f"{found}_error"]
        assert (away < 4.0).all(), f"\n{table}"
    gap = (table["played"] - table["sampled"]).abs()
    # the room left for an entry's fee, which only the largest leverage uses up
    assert (gap < np.where(table.index.str.contains("10x"), 0.06, 0.002)).all(), f"\n{table}"


@pytest.mark.slow
def test_the_protocols_table_comes_out_three_ways():
    table = growth_table("full", protocol_policies(), years=2_000)
    assert_one_law(table)
    known = table[~table.index.isin(UNNUMBERED) & table["published_error"].notna()]
    away = (known["computed"] - known["published"]).abs() / known["published_error"]
    assert (away < 3.0).all(), f"\n{known}"
    assert table["computed"].iloc[0] == pytest.approx(1.088, abs=5e-4)
    assert table["computed"].iloc[1] == pytest.approx(0.902, abs=5e-4)
    assert table.loc["fixed 3x", "computed"] == pytest.approx(-0.80, abs=0.02)
    assert table.loc["fixed 10x", "computed"] == pytest.approx(-13.9, abs=0.25)
    # the oracle of the simulator's own funding: computed once by hand as 0.9019
    assert table["computed_moved"].iloc[1] == pytest.approx(0.9019, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("variant", [v for v in VARIANTS if v != "full"])
def test_every_known_value_comes_out_three_ways(variant):
    table = growth_table(variant, oracles(), years=1_000)
    assert_one_law(table)
    known = closed_form(market_a(variant))
    if not np.isnan(known):
        assert table["computed"].iloc[0] == pytest.approx(known, rel=0.02)


def test_a_short_run_has_a_row_per_policy_and_no_error_of_one_account():
    rows = [KnownPolicy("nothing", lambda o: np.zeros(o.model.n_states)), protocol_policies()[4]]
    table = growth_table("merton", rows, years=20)
    assert table.loc["nothing", ["computed", "sampled", "played"]].tolist() == [0.0, 0.0, 0.0]
    assert np.isnan(table["played_error"]).all()
    assert table.loc["a quarter of it", "played"] == pytest.approx(
        table.loc["a quarter of it", "sampled"], abs=1e-3
    )


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("merton", 0.5),  # 0.5^2 / (2 x 0.25) = 0.5
        (
            "drift-only",
            (25 * 0.25 + 20 * 0.09 + 30 * 1.0) / 75 / 0.5,
        ),  # stays 25, 20, 30 days; 0.5 = 2 x 0.25
        ("no-jumps", np.nan),
    ],
)
def test_closed_forms_are_mertons(variant, expected):
    assert closed_form(market_a(variant)) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("moved", [False, True])
def test_the_shipped_table_holds_the_growth_that_quadrature_gives(moved):
    shipped = pd.read_csv(TABLES / "market_a_full.csv", index_col="policy")
    oracle = solve(market_a("full"), moved_funding=moved)
    computed = {row.name: row.growth(oracle, moved) for row in protocol_policies()}
    column = shipped["computed_moved" if moved else "computed"]
    assert column.to_dict() == pytest.approx(computed, abs=6e-5)


def test_it_is_an_experiment(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("kind: market_a_answers\nyears: 20\n", encoding="utf-8")
    done = run_study(path, [f"output={tmp_path}", "tracking.enabled=false"])
    tables = done.findings.tables
    assert len(tables["full"]) == len(protocol_policies())
    assert set(tables["variants"].index.get_level_values("variant")) == set(VARIANTS) - {"full"}
    assert "20 sampled years" in done.findings.line
