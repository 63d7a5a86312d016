"""Cells compare liquidations with fixed leverage and shifts, and the count over cells is a plain count."""

import numpy as np
import pandas as pd
import pytest

import gearing
from gearing.policies import make_rule
from gearing.questions.methods import COLUMNS, comparison_of_methods
from gearing.questions.question import Bootstrap
from gearing.questions.rule_grid.cells import over_cells
from gearing.questions.rule_grid.play import Evidence, run_cells

RULES = {name: make_rule(name) for name in ("fixed_10x", "inverse_atr", "drawdown_controlled")}


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
        evidence=Evidence(shifts=20, bootstrap=Bootstrap(replications=100)),
    ).rows


def test_a_rule_that_reads_its_account_is_played_as_its_backtest(market, cells):
    rule, columns = RULES["drawdown_controlled"], ["log_return", "atr_24h", "momentum_side_7d"]
    for way, direction in (("long", "long"), ("long/short", "signal:momentum_side_7d")):
        row = cells.loc[("X", 0.2, way, "every_decision", "drawdown_controlled")]
        alone = gearing.backtest(rule, market, columns, margin_share=0.2, direction=direction)
        assert alone.performance.max_drawdown > 0.05  # its account moves its leverage
        shifted = pd.Timestamp(alone.time[0])
        again = gearing.backtest(
            rule, market, columns, margin_share=0.2, direction=direction, start=str(shifted)
        )
        assert again.performance.log_growth == alone.performance.log_growth
        assert row.max_drawdown > 0.0
        assert row.liquidations <= cells.loc[("X", 0.2, way, "every_decision", "fixed_10x")].liquidations


def test_liquidations_avoided_are_those_of_fixed_leverage_less_the_rules(cells):
    moving = cells[cells.vs_same_leverage.notna()]
    saved = moving.same_leverage_liquidations - moving.liquidations
    np.testing.assert_allclose(moving.fewer_same_leverage, saved, atol=1e-9)
    assert (moving.fewer_same_leverage_low <= moving.fewer_same_leverage_high).all()
    assert moving.shift_p_fewer.between(1 / 21, 1.0).all()


def made(rows):
    names = ["rule", "direction"]
    frame = pd.DataFrame(rows)
    return frame.set_index(names)


def cell(rule, way, **changes):
    """A cell of a rule; everything else than what a test is about stands still."""
    row = {
        "rule": rule, "direction": way, "effective_leverage": 0.5, "liquidations": 1.0, "fees": 0.02, "ruined": False,
        "log_growth": 0.1, "max_drawdown": 0.4, "same_leverage_liquidations": 2.0, "same_leverage_ruined": False,
        "shift_p": 0.5, "shift_p_fewer": 0.5,
    }  # fmt: skip
    for kind in ("same_leverage", "same_volatility"):
        row |= {f"vs_{kind}": 0.0, f"vs_{kind}_low": -0.1, f"vs_{kind}_high": 0.1}
        row |= {f"fewer_{kind}": 0.0, f"fewer_{kind}_low": -1.0, f"fewer_{kind}_high": 1.0}
    return row | changes


def test_over_cells_counts_what_is_significant():
    significant = {
        "fewer_same_leverage_low": 0.2,
        "shift_p_fewer": 0.01,
        "vs_same_leverage": -0.2,
        "vs_same_leverage_high": -0.1,
    }
    found = over_cells(made([cell("a", "long", **significant), cell("a", "short")])).loc["a"]
    assert (found.cells, found.fewer_same_leverage, found.more_same_leverage) == (2, 1, 0)
    assert (found.better_same_leverage, found.worse_same_leverage, found.timed_liquidations) == (0, 1, 1)
    assert found.cut == pytest.approx(0.5)  # 1 a year instead of 2
    assert found.growth_same_leverage == pytest.approx(-0.1)


def test_over_cells_counts_apart_what_remains_after_correction():
    alone = {"vs_same_leverage_low": 0.1, "vs_same_leverage_high": 0.3}
    rows = [
        cell("a", "long", **alone, vs_same_leverage_p_family=0.01),
        cell("a", "short", **alone, vs_same_leverage_p_family=0.4),
        cell("a", "free", vs_same_leverage_p_family=0.01),  # never counted where its own interval holds zero
    ]
    found = over_cells(made(rows)).loc["a"]
    assert (found.better_same_leverage, found.better_same_leverage_family) == (2, 1)
    assert found.worse_same_leverage_family == 0


def test_a_phrase_stands_only_where_a_number_says_so():
    fixed = cell("fixed_3x", "long") | {"vs_same_leverage": np.nan}
    nothing, sure = (
        cell("quiet", "long"),
        cell("loud", "long", vs_same_leverage=0.3, vs_same_leverage_low=0.1),
    )
    cells = made([fixed, nothing, sure])
    table = comparison_of_methods(over_cells(cells), cells)
    assert tuple(table.columns) == COLUMNS
    assert table.loc["quiet", "advantages"] == "none that these data show"
    assert table.loc["quiet", "ideal for"].startswith("nobody")
    assert table.loc["loud", "ideal for"].startswith("long: +0.30 [+0.10")
    assert "significantly in 1 of 1" in table.loc["loud", "advantages"]
    unsure = cells.assign(vs_same_leverage_p_family=0.3)
    table = comparison_of_methods(over_cells(unsure), unsure)
    assert table.loc["loud", "ideal for"].startswith("nobody")
    assert "significantly in 1 of 1 (0 corrected)" in table.loc["loud", "advantages"]
    assert table.loc["fixed_3x", "ideal for"] == "the baseline of the others"
