import numpy as np
import pytest

from gearing.market import synthetic_market
from gearing.market.oracle.best_leverage import (
    oracle_growth,
    oracle_leverage,
    oracle_step_growth,
    path_growth,
    path_growth_of_targets,
)
from gearing.market.oracle.finite_oracle import growth_of_targets, solve, transition_nodes
from gearing.market.oracle.value_iteration import iterate, landing
from gearing.market.synthetic.market_a import market_a
from gearing.market.synthetic.quadrature import normal_nodes, step_growth, step_growths, student_nodes

FULL = market_a()


@pytest.fixture(scope="module")
def solution():
    return solve(FULL)


def by_regime(values):
    """Values at 1 bp funding as a table, drift regimes by volatility regimes."""
    return values.reshape(FULL.shape)[:, :, 2]


def net_drift():
    return FULL.of_state(FULL.drift, 0) - 1095 * FULL.of_state(FULL.funding, 2)


def variance():
    jump = 2 * (0.55 * 0.022**2 + 0.45 * 0.018**2)  # E[J^2] of exponential sizes
    return FULL.of_state(FULL.volatility, 1) ** 2 + FULL.of_state(FULL.jumps_a_year, 1) * jump


def mean_variance():
    return FULL.stationary @ variance()


def test_reference_growth_with_and_without_costs_comes_out(solution):
    assert solution.costed_growth == pytest.approx(0.902, abs=0.001)
    assert solution.frictionless_growth == pytest.approx(1.088, abs=0.001)


def test_frictionless_leverage_is_that_of_the_protocol(solution):
    published = [[-7.2, -2.3, -0.9, -0.2], [2.3, 0.7, 0.3, 0.1], [10.0, 3.4, 1.35, 0.34]]
    np.testing.assert_allclose(by_regime(solution.frictionless), published, atol=0.08)


def test_no_trade_bands_are_those_of_the_protocol(solution):
    lower = [[-7.8, -2.6, -1.2], [1.4, 0.4, 0.2], [8.2, 2.8, 1.2]]
    upper = [[-5.4, -1.8, -0.8], [2.8, 1.0, 0.4], [10.0, 3.6, 1.4]]
    # within a step of the grid
    np.testing.assert_allclose(by_regime(solution.lower)[:, :3], lower, atol=0.21)
    np.testing.assert_allclose(by_regime(solution.upper)[:, :3], upper, atol=0.21)


@pytest.mark.parametrize(
    ("targets", "published", "error"),
    [
        (lambda s: s.frictionless, 0.771, 0.021),  # on paths where its 1.088 came out as 1.072
        (lambda s: net_drift() / mean_variance(), 0.468, 0.017),
        (lambda s: np.sign(FULL.of_state(FULL.drift, 0)), 0.319, 0.006),
        (lambda s: FULL.stationary @ net_drift() / variance(), 0.050, 0.005),
        (lambda s: s.frictionless / 2, 0.661, 0.009),
        (lambda s: s.frictionless / 4, 0.398, 0.004),
        (lambda s: 0.6, 0.040, 0.004),
        (lambda s: 1.0, 0.016, 0.004),
        (lambda s: 3.0, -0.80, 0.02),
        (lambda s: 10.0, -13.9, 0.25),
    ],
)
def test_simple_policies_grow_as_published(solution, targets, published, error):
    wanted = np.clip(np.broadcast_to(targets(solution), FULL.n_states), -10.0, 10.0)
    assert growth_of_targets(FULL, wanted) == pytest.approx(published, abs=error)


def test_leaving_out_the_drift_of_held_leverage_gives_the_protocols_0_916(solution):
    returns, weights = transition_nodes(FULL)
    nothing = np.zeros(FULL.n_states)
    parts = landing(solution.leverages, 0.0 * returns, nothing, 5e-4, False)
    trade = np.log(1 - 5e-4 * np.abs(solution.leverages[:, None] - solution.leverages[None, :]))
    *_, rho, _ = iterate(solution.growth, FULL.transitions, weights, *parts, trade, 1e-9, 5000)
    assert rho * 1095 == pytest.approx(0.916, abs=0.002)


def test_a_finer_grid_changes_little(solution):
    assert solve(FULL, grid=0.1).costed_growth == pytest.approx(solution.costed_growth, abs=0.002)


def test_the_oracle_beats_every_other_policy_tried(solution):
    for scale in (1.0, 0.9, 0.75, 0.5):
        assert growth_of_targets(FULL, scale * solution.frictionless) < solution.costed_growth
    assert solution.costed_growth < solution.frictionless_growth


def test_without_cost_the_costed_oracle_is_the_frictionless_one():
    free = solve(FULL, cost=0.0)
    assert free.costed_growth == pytest.approx(free.frictionless_growth, abs=0.001)


def test_merton_one_drift_and_one_volatility_give_mu_over_variance():
    merton = solve(market_a("merton"))
    assert merton.frictionless[0] == pytest.approx(0.5 / 0.25, abs=0.01)
    assert merton.frictionless_growth == pytest.approx(0.5**2 / (2 * 0.25), abs=0.002)


def test_drift_only_gives_mu_over_variance_in_each_regime():
    drift_only = solve(market_a("drift-only"))
    np.testing.assert_allclose(drift_only.frictionless, np.array([-0.5, 0.3, 1.0]) / 0.25, rtol=0.01)


def test_one_volatility_gives_mu_minus_funding_over_variance():
    model = market_a("one-volatility")
    net = model.of_state(model.drift, 0) - model.of_state(model.funding, 2) * 1095
    np.testing.assert_allclose(solve(model).frictionless, np.clip(net / 0.25, -10, 10), atol=0.06)


def test_with_zero_drift_the_best_side_is_the_one_that_earns_funding():
    model = market_a("zero-drift")
    best, funding = solve(model).frictionless, model.of_state(model.funding, 2)
    assert (np.sign(best[funding != 0]) == -np.sign(funding[funding != 0])).all()
    np.testing.assert_allclose(best[funding == 0], 0.0, atol=0.05)


def test_funding_only_is_known_in_closed_form():
    model = market_a("funding-only")
    np.testing.assert_allclose(solve(model).frictionless, -np.array(model.funding) * 1095 / 0.25, atol=0.03)


def test_funding_on_the_moved_notional_changes_the_oracle_by_less_than_a_thousandth(solution):
    # L f R instead of nothing: f is a basis point and R a percent, and R has nearly no mean
    moved = solve(FULL, moved_funding=True)
    assert moved.costed_growth == pytest.approx(solution.costed_growth, abs=0.001)


@pytest.mark.slow
def test_following_the_oracle_along_paths_gives_its_growth_within_monte_carlo_error(solution):
    parts, fixed = [], []
    for seed in range(2):
        market = synthetic_market("market-a", seed=10 + seed, years=1000)
        parts.append(path_growth(market, solution).reshape(50, -1).sum(axis=1) / 20)
        steps = path_growth_of_targets(market, np.full(market.n_bars, 3.0))
        fixed.append(steps.reshape(50, -1).sum(axis=1) / 20)
    for sample, expected in (
        (parts, solution.costed_growth),
        (fixed, growth_of_targets(FULL, np.full(60, 3.0))),
    ):
        assert np.mean(sample) == pytest.approx(expected, abs=3 * np.std(sample) / 10)


def test_oracle_functions_agree_on_a_market():
    market = synthetic_market("market-a", seed=4, years=2)
    assert oracle_growth(market) == pytest.approx(0.902, abs=0.001)
    assert oracle_growth(market, cost=0.0) == pytest.approx(1.088, abs=0.001)
    leverage = oracle_leverage(market)
    assert leverage.shape == (market.n_bars, 1)
    best = solve(FULL, cost=0.0).frictionless[market.truth["state"]]
    np.testing.assert_allclose(leverage, best, atol=0.01)
    at_best, at_one = oracle_step_growth(market), oracle_step_growth(market, 1.0)
    assert (at_best >= at_one - 1e-12).all()
    np.testing.assert_allclose(oracle_step_growth(market, leverage), at_best, atol=1e-12)


def test_the_oracle_of_market_b_is_near_its_second_order_formula():
    market = synthetic_market("market-b", seed=4, years=0.5)
    truth = market.truth
    jumps = np.array([-0.018, 0.015]) @ [0.55, 0.45], np.array([2 * 0.018**2, 2 * 0.015**2]) @ [0.55, 0.45]
    net = truth["drift"] + truth["jump_intensity"] * (jumps[0] + jumps[1] / 2) - truth["funding"] * 8760
    formula = np.clip(net / (truth["variance"] + truth["jump_intensity"] * jumps[1]), -10, 10)
    leverage = oracle_leverage(market)
    inside = np.abs(formula) < 3
    np.testing.assert_allclose(leverage[inside], formula[inside], atol=0.15)
    assert oracle_growth(market, path=True, cost=0.0) > 0.0


def test_compiled_and_interpreted_growth_agree():
    z, w = normal_nodes(25)
    returns = np.exp(0.01 * z) - 1.0
    growth = np.empty(1)
    step_growths(np.array([3.0]), returns[None], w[None], np.array([1e-4]), True, growth)
    assert growth[0] == pytest.approx(step_growth(3.0, returns, w, 1e-4, True), abs=1e-15)


def test_growth_without_risk_is_the_logarithm_of_the_return():
    # L = 2, R = 1 %, f = 0.1 %: ln(1 + 0.02 - 0.002)
    one = np.ones(1)
    assert step_growth(2.0, 0.01 * one, one, 1e-3, False) == pytest.approx(np.log(1.018))
    # paid on the moved notional: 0.1 % of 2 x 1.01
    assert step_growth(2.0, 0.01 * one, one, 1e-3, True) == pytest.approx(np.log(1.02 - 0.00202))
    # a loss beyond everything leaves the floor
    assert step_growth(2.0, -0.9 * one, one, 0.0, False) == pytest.approx(np.log(0.05))


def test_student_nodes_have_unit_variance_and_heavy_tails():
    x, w = student_nodes(4.5)
    assert (w * x**2).sum() == pytest.approx(1.0)
    assert (w * x).sum() == pytest.approx(0.0, abs=1e-12)
    # E|x| = 2 sqrt(4.5) G(2.75) / (sqrt(pi) G(2.25) 3.5 sqrt(1.8)) = 0.7236
    assert (w * np.abs(x)).sum() == pytest.approx(0.7236, abs=0.005)


def test_a_market_without_truth_has_no_oracle():
    market = synthetic_market("market-b", seed=0, years=0.1).replace(truth=None)
    with pytest.raises(ValueError, match="has no known parameters"):
        oracle_leverage(market)


def test_market_b_has_no_stationary_oracle_with_costs():
    with pytest.raises(ValueError, match="path=True"):
        oracle_growth(synthetic_market("market-b", seed=0, years=0.1))
