import numpy as np
import pytest
from tests.features.markets import random_market
from tests.simulation.markets import contract, market as tiny_market

import gearing
from gearing.contracts import TierSchedule
from gearing.evaluation import Promiser, safest_leverage
from gearing.evaluation.risk.budget_check import check_elsewhere, check_safest_leverage


def walk(seed, n_days=700, volatility=0.004, **settings):
    closes = 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, volatility, 24 * n_days)))
    return tiny_market(closes, contracts=[contract(f"W{seed}", **settings)])


@pytest.fixture(scope="module")
def pool():
    return [walk(seed) for seed in range(1, 5)]


@pytest.fixture(scope="module")
def market():
    return walk(0)


def test_on_a_gaussian_walk_the_answer_is_that_of_the_reflection_principle(market, pool):
    found = safest_leverage(market, horizon="7d", max_probability=0.05, pool=pool)
    # 2 P(Z > d / s) = 0.05 at d = 1.96 s, s = 0.004 sqrt(168): L = 1 / (size + m (1 - size))
    size = 1 - np.exp(-1.96 * 0.004 * np.sqrt(168))
    assert found.leverage == pytest.approx(1 / (size + 0.005 * (1 - size)), rel=0.2)
    assert found.low <= found.leverage <= found.high
    assert found.realised.low <= 0.05 <= found.realised.high
    assert found.pool == ("W1", "W2", "W3", "W4")
    for part in (
        "liquidation of a long within 7d below 0.05",
        "so far",
        "model",
        "data",
        "independent events",
    ):
        assert part in str(found)


def test_leverage_falls_with_the_horizon_and_rises_with_the_budget_and_half_lost_comes_first(market, pool):
    made = Promiser(market, pool=pool)
    by_horizon = [made.promise("liquidation", h, 0.05, "long").leverage for h in ("1d", "7d", "30d")]
    by_budget = [made.promise("liquidation", "7d", p, "short").leverage for p in (0.01, 0.05, 0.25)]
    assert by_horizon == sorted(by_horizon, reverse=True)
    assert by_budget == sorted(by_budget)
    assert made.promise("drawdown", "7d", 0.05, "long").leverage < by_horizon[1]


def test_nothing_later_than_its_moment_is_used(market, pool):
    at = market.open_time[24 * 500]
    cut = [one.between(None, at) for one in (market, *pool)]
    a = safest_leverage(market, horizon="7d", pool=pool, at=at)
    b = safest_leverage(cut[0], horizon="7d", pool=cut[1:])
    assert (a.leverage, a.low, a.high, a.at, a.realised) == (b.leverage, b.low, b.high, b.at, b.realised)


def test_the_contracts_own_tiers_decide():
    dear = walk(0, rate=0.05, top=20.0)
    cheap = walk(0, rate=0.005)
    a, b = (safest_leverage(m, horizon="30d", max_probability=0.25) for m in (dear, cheap))
    assert 1 / a.leverage - 1 / b.leverage == pytest.approx(0.045 * np.exp(-0.1), abs=0.01)
    tiers = TierSchedule.from_rates([0.0, 20_000.0], [0.004, 0.005], [100.0, 2.0], 1e9)
    small = tiny_market(cheap.mark_close[:, 0], contracts=[contract("W0")])
    object.__setattr__(small.contracts[0], "schedules", (tiers,))
    assert (
        safest_leverage(small, horizon="30d", max_probability=0.25, initial_equity=10_000.0).leverage == 2.0
    )


def test_shorts_over_a_month_at_one_percent_are_refused_and_longs_get_a_floor(market, pool):
    refused = safest_leverage(market, horizon="30d", max_probability=0.01, direction="short", pool=pool)
    assert (refused.leverage, refused.low, refused.high) == (0.0, 0.0, 0.0)
    assert "no leverage is promised" in str(refused)
    assert "independent events" in refused.refused
    made = Promiser(market, pool=pool)
    floor = made.promise("liquidation", "30d", 0.01, "long")
    assert 0.0 < floor.leverage < made.promise("liquidation", "30d", 0.05, "long").leverage


def test_answers_warn_of_what_they_were_not_fitted_on(market, pool):
    alone = safest_leverage(market, horizon="7d")
    assert "past of W0 alone" in alone.warnings[0]
    wild = safest_leverage(walk(7, volatility=0.04), horizon="7d", pool=pool)
    assert any("outside the range" in text for text in wild.warnings)
    young = walk(8, n_days=700)
    young = young.between(young.open_time[24 * 690], None)
    assert any("days old" in text for text in safest_leverage(young, horizon="7d", pool=pool).warnings)
    elsewhere = check_elsewhere(alone, walk(9))
    assert "an answer for W0 is used on W9" in elsewhere.warnings[0]
    assert "warning" in str(elsewhere)


def test_a_promise_is_fitted_before_a_date_and_checked_after_it(market, pool):
    split = market.open_time[24 * 350]
    checked = check_safest_leverage(market, split, horizon="1d", max_probability=0.25, pool=pool)
    assert checked.promised == 0.25
    assert checked.realised.n == 350  # midnights 350 .. 699 have a whole day behind them
    assert checked.realised.low <= 0.25 <= checked.realised.high
    assert not checked.exceeded
    with pytest.raises(ValueError, match="earlier date"):
        check_safest_leverage(market, market.open_time[-5], horizon="7d", pool=pool)


def test_what_cannot_be_promised_is_refused_where_it_enters(market):
    for given, message in (
        ({"max_probability": 0.0}, "from 0.001 to 0.5"),
        ({"horizon": "90d"}, "risk_by_leverage"),
        ({"event": "loss"}, "liquidation, drawdown"),
        ({"direction": "both"}, "long or short"),
        ({"drawdown": 0.0}, r"\(0, 1\]"),
        ({"at": "2019-01-01"}, "no bars before"),
    ):
        with pytest.raises(ValueError, match=message):
            safest_leverage(market, **{"horizon": "7d", **given})
    with pytest.raises(ValueError, match="contract="):
        safest_leverage(random_market(24 * 40))
    with pytest.raises(TypeError, match="give a MarketData"):
        gearing.safest_leverage("BTCUSDT")
