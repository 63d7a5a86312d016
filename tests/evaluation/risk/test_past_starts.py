"""Probabilities by leverage are counted right, and the safest leverage is the largest within the budget."""

from dataclasses import replace

import numpy as np
import pytest
from tests.simulation.markets import contract, market as tiny_market

import gearing
from gearing.contracts import TierSchedule
from gearing.evaluation.risk.past_starts import Starts, risk_by_leverage, share_of


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=1)


def oracle(market, leverage, days, direction, rate, fee=5e-4, slippage=2e-4):
    """Starts liquidated within the horizon, bar by bar in plain Python; one tier, no funding."""
    side, hits, n = (1.0 if direction == "long" else -1.0), [], days * 24
    for first in range(24, market.n_bars - n + 1, 24):
        fill = market.open[first, 0] * (1.0 + side * slippage)
        quantity = 10_000.0 * leverage / market.mark_close[first - 1, 0]
        quantity = min(quantity, 10_000.0 / (fill / leverage + fee * fill))
        equity = 10_000.0 - fee * quantity * fill
        worst = market.mark_low if side > 0 else market.mark_high
        path = worst[first : first + n, 0]
        hits.append((equity + side * quantity * (path - fill) <= rate * quantity * path).any())
    return np.mean(hits)


@pytest.mark.parametrize("direction", ["long", "short"])
def test_the_share_of_starts_is_that_of_a_plain_count(direction):
    closes = 100.0 * np.exp(np.cumsum(np.random.default_rng(1).normal(0.0, 0.006, 24 * 60)))
    path = tiny_market(closes, contracts=[contract(rate=0.005)], wick=0.002)
    starts = Starts(path, direction=direction)
    found = starts.probability(12.0, "3d", replications=100)
    assert found.estimate == pytest.approx(oracle(path, 12.0, 3, direction, 0.005), abs=1e-12)
    assert 0.0 < found.estimate < 1.0
    assert found.low <= found.estimate <= found.high


def test_risk_rises_with_leverage_and_horizon(market):
    rows = risk_by_leverage(market, (2, 5, 10, 20), ("1d", "7d", "30d")).probability.unstack("horizon")
    assert (rows.diff().dropna() >= 0.0).all(axis=None)
    assert (rows["7d"] >= rows["1d"]).all()
    assert rows.loc[20, "30d"] > rows.loc[2, "30d"]


def test_a_tenth_of_equity_in_cross_margin_backs_ten_times_the_leverage(market):
    cross = Starts(market, margin_mode="cross", margin_share=0.1)
    isolated = Starts(market)
    assert cross.probability(20.0, "7d").estimate <= isolated.probability(20.0, "7d").estimate
    assert cross.probability(20.0, "7d").estimate == pytest.approx(
        isolated.probability(2.0, "7d").estimate, abs=0.02
    )


def test_what_cannot_be_computed_is_refused(market):
    with pytest.raises(ValueError, match="liquidation, drawdown"):
        Starts(market, event="loss")
    with pytest.raises(ValueError, match="shorter"):
        Starts(market).probability(2.0, "3650d")


def test_an_interval_of_dependent_days_is_wider_than_of_independent_ones():
    hit = np.repeat(np.random.default_rng(0).random(40) < 0.3, 30).astype(float)
    clustered, apart = (
        share_of(hit, 30.0, seed=0),
        share_of(np.random.default_rng(0).permutation(hit), 30.0, seed=0),
    )
    assert clustered.high - clustered.low > 2 * (apart.high - apart.low)


def test_a_leverage_that_the_tiers_cut_has_no_outcome():
    tiers = TierSchedule.from_rates([0.0, 20_000.0], [0.004, 0.005], [100.0, 20.0], 1e9)
    two = replace(contract(), schedules=(tiers,))
    closes = 100.0 * np.exp(np.cumsum(np.random.default_rng(1).normal(0.0, 0.001, 24 * 60)))
    path = tiny_market(closes, contracts=[two])
    # 10,000 at 100x would be a million, of which the first tier allows 20,000: an account of 2x
    assert np.isnan(Starts(path).times(100.0, "3d")).all()


def test_nothing_is_booked_after_the_event_not_even_after_one_in_the_first_bar(market):
    starts = Starts(market, event="drawdown", drawdown=0.05)
    at_once = starts.times(20.0, "7d") == 1.0
    assert at_once.any()
    first, week = (starts.outcomes(20.0, horizon)["total"][at_once] for horizon in ("1h", "7d"))
    known = np.isfinite(week)
    np.testing.assert_allclose(week[known], first[known])
