"""Isolated positions die alone; a cross account lives and dies as one."""

import numpy as np
import pytest
from tests.simulation.markets import contract, market as tiny_market

from gearing.questions.margin_modes import compare_modes, crash_outcomes, default_books, hold_books
from gearing.questions.question import Bootstrap


@pytest.fixture(scope="module")
def falling_one():
    """Two contracts: the first falls by 30 % on the second day, the second stands still."""
    first = np.concatenate([np.full(36, 100.0), np.linspace(100.0, 70.0, 12)])
    closes = np.stack([first, np.full(48, 50.0)], axis=1)
    return tiny_market(closes, contracts=[contract("A"), contract("B")])


@pytest.fixture(scope="module")
def falling_much():
    """The first falls by 60 %: at 4x each that is more than both halves of the account."""
    first = np.concatenate([np.full(36, 100.0), np.linspace(100.0, 40.0, 12)])
    closes = np.stack([first, np.full(48, 50.0)], axis=1)
    return tiny_market(closes, contracts=[contract("A"), contract("B")])


def test_isolated_margin_loses_one_half_where_one_position_falls(falling_one):
    # 4x on half the equity each: the first is gone at -25 %, the second keeps its half less costs.
    books = hold_books(falling_one, (4.0, 4.0), horizon="1d", margin_mode="isolated")
    assert books.liquidated.tolist() == [[True, False]]
    assert books.equity[0] == pytest.approx(0.5, abs=0.01)


def test_cross_margin_lends_the_idle_half_to_the_falling_position(falling_one):
    # The loss is 4 x 30 % of half the equity = 60 % of it all: less than everything, so nothing is liquidated.
    books = hold_books(falling_one, (4.0, 4.0), horizon="1d", margin_mode="cross")
    assert not books.liquidated.any()
    assert books.equity[0] == pytest.approx(0.4, abs=0.01)


def test_cross_margin_takes_the_innocent_position_with_it(falling_much):
    # 4 x 60 % of half = 120 %: the account is gone, and with it a contract that did not move.
    bootstrap = Bootstrap(replications=50)
    rows = compare_modes(falling_much, (4.0,), books={"long": (1.0, 1.0)}, horizon="1d", bootstrap=bootstrap)
    rows = rows.xs(4.0, level="leverage").loc["long"]
    assert rows.loc["cross", "all_liquidated"] == 1.0
    assert rows.loc["isolated", "all_liquidated"] == 0.0
    assert (
        rows.loc["cross", "contagion"] == 0.5
    )  # one of the two would not have been liquidated in isolated margin
    assert rows.loc["cross", "gain"] == pytest.approx(-0.5, abs=0.01)


def test_a_crash_outside_the_history_is_left_out_and_one_inside_is_replayed(falling_one):
    crashes = {"then": ("2020-01-01", "2020-01-02"), "now": ("2024-01-02", "2024-01-03")}
    rows = crash_outcomes(falling_one, (4.0,), crashes=crashes, books={"long": (1.0, 1.0)})
    assert set(rows.index.get_level_values("crash")) == {"now"}
    found = rows.loc[("now", "long", 4.0)]
    assert found.loc["isolated", "liquidated"] == "A"
    assert found.loc["cross", "liquidated"] == "none"


def test_default_books_are_long_and_hedged():
    books = default_books(3)
    assert books["all long"] == (1.0, 1.0, 1.0)
    assert sum(books["first long, others short"]) == pytest.approx(0.0)


def test_one_contract_cannot_compare_margin_modes(falling_one):
    with pytest.raises(ValueError, match="at least two"):
        compare_modes(falling_one.select(["A"]), (3.0,))
