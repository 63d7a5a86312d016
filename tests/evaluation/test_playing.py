"""Policies and leverage series are played alike, whatever watches and whichever path is taken."""

import numpy as np
import pytest

import gearing
from gearing.evaluation.backtesting import run_account
from gearing.evaluation.playing import (
    Observer,
    Records,
    all_decisions,
    decision_rows,
    decision_times,
    decisions_left,
    play,
)
from gearing.policies.controls import PortfolioLimit
from gearing.policies.rules import FixedLeverage, VolatilityWeighted
from gearing.simulation import SimulationConfig, Simulator

COLUMNS = ["log_return", "volatility_percentile_90d", "momentum_side_30d"]
SETTINGS = {"max_leverage": 50.0, "margin_share": 0.3, "start": "first"}


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=5, years=1)


@pytest.fixture(scope="module")
def table(market):
    return gearing.FeatureSet(COLUMNS).compute(market)


def accounts(market, table, n=3, **settings):
    simulator = Simulator(market, table, SimulationConfig(**{**SETTINGS, **settings}), n)
    simulator.reset(seed=0)
    return simulator


class Watch(Observer):
    """Sees everything, and so forces play to go decision by decision."""

    def begin(self, simulator, count):
        self.seen, self.count = [], count

    def decided(self, k, simulator, targets, active):
        self.seen.append((k, targets.copy(), active.copy()))


@pytest.mark.parametrize("direction", ["long", "short", "free", "signal:momentum_side_30d"])
def test_a_series_gives_the_same_records_in_compiled_code_and_decision_by_decision(market, table, direction):
    quick, slow = (accounts(market, table, direction=direction) for _ in range(2))
    sizes = np.abs(np.random.default_rng(0).normal(20.0, 10.0, (3, quick.n_decisions, 1))).clip(0.0, 50.0)
    sizes[:, 5] = np.nan
    compiled, stepped, watch = Records(ledgers=True), Records(ledgers=True), Watch()
    ended = play(quick, sizes, compiled).active
    np.testing.assert_array_equal(play(slow, sizes, stepped, watch).active, ended)
    assert watch.seen
    assert not ended.any()
    assert compiled.steps.tobytes() == stepped.steps.tobytes()
    assert compiled.ledgers.tobytes() == stepped.ledgers.tobytes()


def test_play_goes_on_where_it_stopped(market, table):
    rule = VolatilityWeighted(1.0, 5.0)
    whole, parts = accounts(market, table), accounts(market, table)
    play(whole, rule)
    state, active = None, None
    for _ in range(2):
        active, state = play(parts, rule, count=100, active=active, state=state)
    active, _ = play(parts, rule, active=active, state=state)
    np.testing.assert_array_equal(whole.accounts.equity, parts.accounts.equity)
    assert not active.any()


def test_a_ruined_account_stops_and_the_others_go_on(market, table):
    simulator, watch = accounts(market, table, margin_share=1.0), Watch()
    sizes = np.array([50.0, 1.0, 50.0])[:, None, None] * np.ones((3, simulator.n_decisions, 1))
    play(simulator, sizes, watch)
    last = watch.seen[-1][2]
    np.testing.assert_array_equal(last, [False, True, False])
    assert len(watch.seen) == watch.count


def test_a_leverage_that_is_not_allowed_is_refused_in_compiled_code_too(market, table):
    with pytest.raises(ValueError, match="exceeds max_leverage 50"):
        play(accounts(market, table), np.full((10, 1), 51.0))
    with pytest.raises(ValueError, match="negative"):
        play(accounts(market, table), np.full((10, 1), -1.0))


def test_risk_controls_see_a_series_of_leverages(market, table):
    limited = accounts(market, table, n=1, controls=(PortfolioLimit(gross=0.6),))
    plain = accounts(market, table, n=1)
    done = run_account(np.full((limited.n_decisions, 1), 8.0), limited)
    expected = run_account(FixedLeverage(2.0), plain)
    np.testing.assert_allclose(done.equity, expected.equity)


def test_what_depends_on_the_market_alone_is_computed_once(market, table):
    class Ahead(FixedLeverage):
        def precomputed(self, simulator, rows):
            given.append(rows)
            return FixedLeverage(2.0)

    given = []
    simulator, other = accounts(market, table), accounts(market, table)
    play(simulator, Ahead(7.0))
    play(other, FixedLeverage(2.0))
    (rows,) = given
    assert rows.shape == (3, other.tape.boundaries[0].size - 1)
    np.testing.assert_array_equal(simulator.accounts.equity, other.accounts.equity)


def test_rows_and_times_of_decisions_begin_where_an_account_stands(market, table):
    simulator = accounts(market, table)
    simulator.begin(np.array([3, 0, 8]), np.array([4, 2, 4]))
    assert decisions_left(simulator).tolist() == [4, 2, 4]
    edges = simulator.tape.boundaries[0]
    np.testing.assert_array_equal(
        decision_rows(simulator), edges[[[3, 4, 5, 6], [0, 1, 1, 1], [8, 9, 10, 11]]]
    )
    assert decision_times(simulator)[0] == simulator.time[0]
    view, sides = all_decisions(simulator)
    assert len(view.array) == len(sides) == 4
