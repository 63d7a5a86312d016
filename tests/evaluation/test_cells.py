"""Cells are backtests side by side, with their twins and shifts."""

import numpy as np
import pytest

import gearing
from gearing.evaluation.cells import Evidence, run_cells
from gearing.policies import make_rule

RULES = {name: make_rule(name) for name in ("fixed_2x", "fixed_10x", "inverse_atr")}


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=1)


@pytest.fixture(scope="module")
def rows(market):
    return run_cells(
        {"X": market},
        RULES,
        directions={"long": "long", "long/short": "signal:momentum_side_7d"},
        rebalancing=("every_decision",),
        margin_shares=(0.2,),
        evidence=Evidence(shifts=10, replications=100),
    )


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


def test_only_rules_that_move_have_twins_and_shifts(rows):
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
    told = run_cells(
        {"X": market},
        {"fixed_50x": make_rule("fixed_50x")},
        directions={"long": "long"},
        rebalancing=("every_decision",),
        margin_shares=(1.0,),
        evidence=Evidence(shifts=0, replications=100),
        max_leverage=50.0,
    ).iloc[0]
    assert told.ruined
    assert 0.0 < told.years_to_ruin < 1.0
    assert np.isnan(told.sharpe)
