"""What funding takes is the difference between two worlds, and adds up to the last cent."""

import numpy as np
import pytest
from tests.simulation.markets import contract, market as tiny_market

import gearing
from gearing.evaluation.comparisons.scenarios import with_funding
from gearing.evaluation.risk.past_starts import Starts
from gearing.questions.funding_erosion import (
    heavy_months,
    held_positions,
    monthly_rates,
    rebalanced_positions,
)
from gearing.questions.question import Bootstrap

RATE = 0.001
FEW = Bootstrap(replications=100)


@pytest.fixture(scope="module")
def quiet():
    """Ninety days of a still price with a payment of 0.1 % every eight hours."""
    hours = 24 * 91
    stamps = [(np.datetime64("2024-01-01T08:00") + np.timedelta64(8 * k, "h"), 0, RATE) for k in range(272)]
    return tiny_market(np.full(hours, 100.0), contracts=[contract(rate=0.005)], funding=stamps)


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=1)


def test_the_parts_of_a_held_position_add_up_to_its_equity(market):
    starts = Starts(market)
    parts = starts.outcomes(10.0, "7d")
    simulator = starts.simulator  # the accounts as they ended
    ended = simulator.accounts.equity / starts.config.initial_equity - 1.0
    whole = np.isfinite(parts["total"])
    assert whole.sum() > 300
    np.testing.assert_allclose(parts["total"][whole], ended[whole], atol=1e-9)
    np.testing.assert_array_equal(parts["liquidated"][whole] == 1.0, (starts.times(10.0, "7d") <= 7)[whole])


def test_on_a_still_price_a_long_loses_leverage_times_the_rates(quiet):
    row = held_positions(quiet, (5.0,), horizon="7d", directions=("long",), bootstrap=FEW).xs(
        "all", level="year"
    )
    # 21 settlements in the seven days after an entry at midnight, one of them at the entry's own hour, which it
    # escapes, and one at the very end, which it does not meet: 20 or 21 x 0.1 % x 5.
    assert -21 * RATE * 5.0 <= row.funding.iloc[0] <= -20 * RATE * 5.0 * 0.99
    assert row.effect.iloc[0] == pytest.approx(row.funding.iloc[0], abs=1e-6)
    assert row.liquidated.iloc[0] == 0.0
    assert np.isnan(row.caused.iloc[0])


def test_funding_alone_can_liquidate_a_long_and_is_named_as_the_cause(quiet):
    # At 50x the margin is 2 %, less entry costs and maintenance about 1.4 %: five days of 0.3 % are too much.
    row = held_positions(quiet, (50.0,), horizon="7d", directions=("long",), bootstrap=FEW).xs(
        "all", level="year"
    )
    assert row.liquidated.iloc[0] == 1.0
    assert row.liquidated_without.iloc[0] == 0.0
    assert row.caused.iloc[0] == 1.0


def test_effect_is_paired_and_lies_in_its_interval(market):
    rows = held_positions(market, (3.0, 10.0), horizon="7d", bootstrap=Bootstrap(replications=200))
    assert np.allclose(rows.effect, rows.total - rows.total_without)
    assert ((rows.effect_low <= rows.effect) & (rows.effect <= rows.effect_high)).all()
    assert np.allclose(rows[["price", "fees", "funding", "liquidation"]].sum(axis=1), rows.total)
    paid = rows.xs("all", level="year").funding
    assert (paid.loc["long"] * paid.loc["short"] < 0.0).all()  # what one side pays, the other receives


def test_a_leverage_rebalanced_daily_costs_about_leverage_times_funding(quiet):
    rows = rebalanced_positions(quiet, (1.0, 3.0), directions=("long",))
    # Three settlements of 0.1 % a day are 109.5 % of the notional a year.
    assert rows.loc[("long", 1.0, "2024"), "cost"] == pytest.approx(3 * 365 * RATE, rel=0.02)
    assert rows.loc[("long", 3.0, "2024"), "cost"] == pytest.approx(9 * 365 * RATE, rel=0.02)
    assert not rows.ruined.any()


def test_heavy_months_count_leverage_times_the_sum_of_rates(quiet):
    rates = monthly_rates(quiet)
    assert len(rates) == 3  # January to March of 2024 are whole
    assert rates.iloc[1] == pytest.approx(29 * 3 * RATE)
    rows = heavy_months(quiet, (1.0,), burdens=(0.05, 0.10), bootstrap=FEW)
    assert rows.loc[("long", 1.0, 0.05), "share"] == 1.0  # 8.7 to 9.3 %
    assert rows.loc[("long", 1.0, 0.10), "share"] == 0.0
    assert (rows.loc["short", "share"] == 0.0).all()


def test_without_funding_there_is_nothing_to_tell(market):
    free = with_funding(market, 0.0)
    rows = held_positions(free, (5.0,), horizon="7d", directions=("long",), bootstrap=FEW)
    assert (rows.effect == 0.0).all()
    assert (rows.funding == 0.0).all()
