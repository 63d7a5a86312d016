"""Cells are backtests of many rules, compared with matched fixed leverage and circular shifts."""

import numpy as np
import pytest

import gearing
from gearing.policies import make_rule
from gearing.questions.question import Bootstrap
from gearing.questions.rule_grid.cells import corrected, joined
from gearing.questions.rule_grid.play import Evidence, run_cells

RULES = {name: make_rule(name) for name in ("fixed_2x", "fixed_10x", "inverse_atr")}


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=1)


@pytest.fixture(scope="module")
def cells(market):
    return run_cells(
        {"X": market},
        RULES,
        directions={"long": "long", "long/short": "signal:momentum_side_7d"},
        rebalancing=("every_decision",),
        margin_shares=(0.2,),
        evidence=Evidence(shifts=10, bootstrap=Bootstrap(replications=100)),
    )


@pytest.fixture(scope="module")
def rows(cells):
    return cells.rows


def test_a_row_of_a_cell_is_a_backtest(market, rows):
    row = rows.loc[("X", 0.2, "long", "every_decision", "inverse_atr")]
    columns = ["atr_24h", "momentum_side_7d"]
    alone = gearing.backtest(RULES["inverse_atr"], market, columns, margin_share=0.2)
    assert row.log_growth == pytest.approx(alone.performance.log_growth, abs=1e-12)
    assert row.sharpe == pytest.approx(alone.performance.sharpe, abs=1e-9)
    assert row.effective_leverage == pytest.approx(alone.row["effective_leverage"])
    assert row.liquidations == pytest.approx(alone.row["liquidations"])


def test_every_rule_stands_in_every_cell(rows):
    assert len(rows) == 2 * 3
    assert rows.index.names == ["contract", "margin_share", "direction", "rebalance", "rule"]


def test_only_rules_that_move_are_compared_with_fixed_leverage_and_shifts(rows):
    by_rule = rows.groupby("rule")
    assert by_rule.shift_p.count().to_dict() == {"fixed_10x": 0, "fixed_2x": 0, "inverse_atr": 2}
    moving = rows.xs("inverse_atr", level="rule")
    assert (moving.vs_same_leverage_low <= moving.vs_same_leverage).all()
    assert moving.shift_p.between(1 / 11, 1.0).all()


def test_the_baseline_is_compared_with_all_but_itself(rows):
    assert rows.xs("fixed_10x", level="rule").sharpe_gain.isna().all()
    survived = rows[~rows.ruined].xs("fixed_2x", level="rule")
    known = survived[survived.sharpe_gain.notna()]
    assert ((known.sharpe_low <= known.sharpe_gain) & (known.sharpe_gain <= known.sharpe_high)).all()


def test_a_ruined_rule_has_a_lifetime_and_no_ratio(market):
    row = run_cells(
        {"X": market},
        {"fixed_50x": make_rule("fixed_50x")},
        directions={"long": "long"},
        rebalancing=("every_decision",),
        margin_shares=(1.0,),
        evidence=Evidence(shifts=0, bootstrap=Bootstrap(replications=100)),
        max_leverage=50.0,
    ).rows.iloc[0]
    assert row.ruined
    assert 0.0 < row.years_to_ruin < 1.0
    assert np.isnan(row.sharpe)


def test_days_and_shifts_add_up_to_the_numbers_of_their_rows(cells, rows):
    where = ("X", 0.2, "long", "every_decision", "inverse_atr")
    row, days = rows.loc[where], cells.days.loc[where].mean(axis=1) * 365.0
    for question in (
        "vs_same_leverage",
        "vs_same_volatility",
        "fewer_same_leverage",
        "fewer_same_volatility",
    ):
        assert days[question] == pytest.approx(row[question], abs=1e-9)
    assert days["sharpe"] / np.sqrt(365.0) == pytest.approx(row.sharpe_gain, abs=1e-9)
    own, *shifted = cells.shifts.loc[(*where, "shift_p")]
    assert own == pytest.approx(row.log_growth)
    assert (1 + np.count_nonzero(np.array(shifted) >= own)) / 11 == row.shift_p


def test_correction_makes_nothing_more_significant(cells, rows):
    found = corrected(cells, replications=300)
    assert found.drop(columns=[c for c in found if c.endswith("family")]).equals(rows)
    moving = found.xs("inverse_atr", level="rule")
    assert (moving.shift_p_family >= moving.shift_p - 1e-12).all()
    assert moving.vs_same_leverage_p_family.between(0.0, 1.0).all()
    assert found.xs("fixed_2x", level="rule").vs_same_leverage_p_family.isna().all()


def test_the_same_cells_twice_are_no_more_tests_than_once(cells):
    twice = joined([_renamed(cells, "X"), _renamed(cells, "Y")])
    once, both = corrected(cells, replications=300), corrected(twice, replications=300)
    column = "vs_same_leverage_p_family"
    np.testing.assert_array_equal(
        both.xs("Y", level="contract")[column], once.xs("X", level="contract")[column]
    )
    apart = corrected(twice, apart=("contract",), replications=300)
    np.testing.assert_array_equal(apart[column], both[column])


def _renamed(cells, name):
    tables = (cells.rows, cells.days, cells.shifts)
    return type(cells)(*(table.rename(index={"X": name}, level="contract") for table in tables))
