"""Market A's reference values come out of quadrature, of sampled paths and of the ordinary simulator."""

import numpy as np
import pytest

from gearing.market.synthetic.market_a import VARIANTS, market_a
from gearing.questions.market_a_answers import Answer, answer_table, answers, closed_form, variant_answers

UNNUMBERED = {
    "frictionless L, costs charged",
    "sign of drift x 1",
}  # hang on what the protocol does not number


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
    table = answer_table(years=2_000)
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
def test_every_known_answer_comes_out_three_ways(variant):
    table = answer_table(variant, variant_answers(), years=1_000)
    assert_one_law(table)
    known = closed_form(market_a(variant))
    if not np.isnan(known):
        assert table["computed"].iloc[0] == pytest.approx(known, rel=0.02)


def test_a_short_run_has_a_row_per_policy_and_no_error_of_one_account():
    rows = [Answer("nothing", lambda o: np.zeros(o.model.n_states)), answers()[4]]
    table = answer_table("merton", rows, years=20)
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
