"""Growth of the best books: closed forms against formulas solved otherwise, and against simulated accounts."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import solve_continuous_are
from scipy.signal import lfilter

import gearing
from gearing.market.oracle.book_oracle import (
    best_exposures,
    book_growth,
    filter_variance,
    filtered,
    model_of,
    trading_costs,
)
from gearing.market.synthetic.books import FAMILIES, book_model
from gearing.market.synthetic.generators import synthetic_market


def test_merton_grows_by_half_the_squared_sharpe_ratio_of_its_best_book():
    model = book_model("book-merton", sharpe=0.9)
    drift = model.root @ model.mean
    assert book_growth(model) == pytest.approx(0.5 * drift @ np.linalg.solve(model.covariance, drift))
    assert book_growth(model) == pytest.approx(0.5 * 0.9**2)
    market = synthetic_market("book-merton", seed=1, years=1, sharpe=0.9)
    exposures = best_exposures(market)
    np.testing.assert_allclose(exposures[0], np.linalg.solve(model.covariance, drift))
    risks = exposures[0] * model.sigma
    np.testing.assert_allclose(risks, risks[0])  # the book of equal risks


def test_a_simulated_merton_account_grows_as_promised():
    market = synthetic_market("book-merton", seed=2, years=60)
    model, truth = model_of(market), market.truth
    # the days again with opposite shocks: their mean has almost no noise left
    step = 1.0 / 365.0
    x = best_exposures(market)[0]
    growth = 0.0
    for side in (1.0, -1.0):
        moves = (truth["z"] * step + side * truth["shock"] * np.sqrt(step)) @ model.root.T
        returns = np.expm1(moves - 0.5 * step * model.sigma**2)
        growth += 0.5 * np.log1p(returns @ x).mean() * 365.0
    assert growth == pytest.approx(gearing.oracle_growth(market), rel=0.02)
    np.testing.assert_allclose(
        np.log(market.close / market.open),
        (truth["z"] * step + truth["shock"] * np.sqrt(step)) @ model.root.T - 0.5 * step * model.sigma**2,
        atol=1e-9,
    )


def test_a_simulated_account_with_a_floor_grows_as_promised():
    # Exposure x (floor - drawdown) / (1 - drawdown) of one asset with Sharpe ratio 0.8 and x = 0.8 / 0.5, daily; the
    # second ten of twenty years, so that the start at the peak is forgotten
    model = book_model("book-floor", n_contracts=1, volatility=(0.5, 0.5), sharpe=0.8, floor=0.4)
    rng, step = np.random.default_rng(0), 1.0 / 365.0
    wealth = peak = np.ones(1000)
    for day in range(7300):
        if day == 3650:
            half = np.log(wealth)
        drawdown = 1.0 - wealth / peak
        exposure = 0.8 / 0.5 * (0.4 - drawdown) / (1.0 - drawdown)
        noise = rng.standard_normal(500)
        shock = np.concatenate([noise, -noise])
        returns = np.expm1(0.8 * 0.5 * step + 0.5 * np.sqrt(step) * shock - 0.5 * step * 0.25)
        wealth = wealth * (1.0 + exposure * returns)
        peak = np.maximum(peak, wealth)
    assert (wealth > 0.59 * peak).all()
    growth = (np.log(wealth) - half).mean() / 10.0
    assert book_growth(model) == pytest.approx(0.4 * 0.32)
    assert growth == pytest.approx(book_growth(model), rel=0.04)


def test_the_filter_of_drifts_has_the_variance_of_the_riccati_equation():
    model = book_model("book-drift", spread=0.7, reversion=3.0)
    # dz = -3 z dt + sqrt(2 x 3 x 0.49) dB, seen through unit noise
    riccati = solve_continuous_are(np.array([[-3.0]]), np.eye(1), np.array([[2 * 3.0 * 0.49]]), np.eye(1))
    assert filter_variance(model) == pytest.approx(float(riccati[0, 0]))


def growth_of(estimate, z):
    """Expected log growth a year of each day's best book of an estimate: m z - |m|^2 / 2."""
    return (estimate * z).sum(axis=1) - 0.5 * (estimate**2).sum(axis=1)


def assert_mean(daily, expected):
    """The mean is within three standard errors, from batches of five years, and these are small."""
    batches = daily[: daily.size // 1825 * 1825].reshape(-1, 1825).mean(axis=1)
    error = batches.std(ddof=1) / np.sqrt(batches.size)
    assert abs(batches.mean() - expected) < 3.0 * error
    assert error < 0.13 * expected


def test_the_estimate_of_drifts_earns_what_the_oracle_says():
    market = synthetic_market("book-drift", seed=3, years=200)
    model, z = model_of(market), market.truth["z"]
    estimate = filtered(model, np.log(market.close / market.open))
    error = ((z - estimate)[3650:] ** 2).mean()
    assert error == pytest.approx(filter_variance(model), rel=0.05)
    # The sample's own |z|^2 / 2 differs from its mean by more than anything else; it is known, and so is its mean.
    luck = 0.5 * (z**2).sum(axis=1) - 0.5 * (0.25 + 8.0)
    assert_mean(growth_of(estimate, z) - luck, gearing.oracle_growth(market))
    assert gearing.oracle_growth(market) > 2.0 * book_growth(book_model("book-merton", sharpe=0.5))


def test_the_estimate_of_regimes_earns_what_the_oracle_says():
    market = synthetic_market("book-regimes", seed=4, years=200)
    model, z = model_of(market), market.truth["z"]
    estimate = filtered(model, np.log(market.close / market.open))
    luck = 0.5 * (z**2).sum(axis=1) - 0.25 * (model.levels**2).sum()  # as above
    assert_mean(growth_of(estimate, z) - luck, gearing.oracle_growth(market))


def test_the_density_of_regimes_is_integrated_as_by_quad():
    model = book_model("book-regimes", spread=0.5, reversion=1.5)
    lower, upper = model.levels
    distance = np.linalg.norm(upper - lower)

    def density(p):
        return np.exp(-2 * 1.5 / (distance**2 * p * (1 - p)) + 12.0) / (p * (1 - p)) ** 2

    total = quad(density, 0, 1)[0]
    found = quad(lambda p: density(p) * 0.5 * np.sum((lower + p * (upper - lower)) ** 2), 0, 1)[0] / total
    assert book_growth(model) == pytest.approx(found, rel=1e-6)


def test_drifts_that_are_known_to_stay_are_worth_what_merton_says():
    slow = book_model("book-drift", spread=0.6, reversion=1e-6, sharpe=0.5)
    assert book_growth(slow) == pytest.approx(
        0.5 * 0.25 + 0.5 * 8 * 0.36, rel=0.01
    )  # all of the variance is learned
    fast = book_model("book-drift", spread=0.6, reversion=1e6, sharpe=0.5)
    assert book_growth(fast) == pytest.approx(0.5 * 0.25, rel=0.01)  # nothing is


def test_an_estimate_knows_the_days_before_it_only():
    for family in ("book-drift", "book-regimes"):
        market = synthetic_market(family, seed=5, years=1)
        moves = np.log(market.close / market.open)
        changed = moves.copy()
        changed[200:] += 0.1
        first, second = (filtered(model_of(market), one) for one in (moves, changed))
        np.testing.assert_array_equal(first[:201], second[:201])
        assert not np.array_equal(first[201:], second[201:])


def test_the_oracle_leverage_of_a_book_is_its_exposure_times_the_contracts():
    market = synthetic_market("book-merton", seed=1, years=1, n_contracts=4)
    np.testing.assert_allclose(gearing.oracle_leverage(market, 50.0), 4.0 * best_exposures(market))
    path = gearing.oracle_growth(market, path=True)
    returns = market.close / market.open - 1.0
    assert path == pytest.approx(np.log1p((best_exposures(market) * returns).sum(axis=1)).sum())


def test_what_the_oracle_of_books_does_not_know_is_refused():
    market = synthetic_market("book-floor", seed=1, years=1)
    with pytest.raises(ValueError, match="no oracle with costs"):
        gearing.oracle_growth(market, cost=1e-4)
    with pytest.raises(ValueError, match="depends on the account's drawdown"):
        gearing.oracle_growth(market, path=True)
    with pytest.raises(ValueError, match="2 of the 8 contracts"):
        gearing.oracle_growth(market.select(["C01-SYN", "C02-SYN"]))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_book_has_a_growth(family):
    assert 0.0 < gearing.oracle_growth(synthetic_market(family, years=1)) < 3.0


def test_the_oracle_policy_earns_the_oracles_path_in_a_backtest():
    market = synthetic_market("book-drift", seed=6, years=2, n_contracts=3)
    result = gearing.backtest(gearing.oracle_policy(market), market)
    x, returns = best_exposures(market), market.close / market.open - 1.0
    first = int(np.flatnonzero(market.open_time == result.time[0])[0])
    expected = np.log1p((x * returns).sum(axis=1))[first:].cumsum()
    # Positions are sized at the deciding close and filled at the next open, which is the same price here; float32
    # columns carry the exposures.
    np.testing.assert_allclose(np.log(result.equity[1:] / result.equity[0]), expected, atol=1e-4)


@pytest.mark.parametrize(
    "what", ["oracle_step_growth", "oracle_path_growth", "state_table", "oracle_policy of book-floor"]
)
def test_what_is_defined_for_single_contracts_refuses_books(what):
    from gearing.market.oracle.best_leverage import oracle_step_growth
    from gearing.policies.oracle import oracle_path_growth, state_table

    calls = {
        "oracle_step_growth": oracle_step_growth, "oracle_path_growth": oracle_path_growth,
        "state_table": state_table, "oracle_policy of book-floor": gearing.oracle_policy,
    }  # fmt: skip
    with pytest.raises(ValueError, match="book"):
        calls[what](synthetic_market("book-floor", years=1))


def test_quadratic_costs_take_what_garleanu_and_pedersen_say():
    # spread 1, reversion 2: P = sqrt(4 + 4) - 2 = 0.828427, so the estimate has the variance 0.171573;
    # 0.125 + 8 / 2 x 0.171573 / (1 + 2 x 0.1)^2 = 0.125 + 0.476591
    model = book_model("book-costs", cost=0.01)
    assert book_growth(model) == pytest.approx(0.601591, abs=1e-6)
    assert book_growth(book_model("book-costs", cost=0.0)) == book_growth(book_model("book-drift"))


def test_a_book_with_quadratic_costs_grows_as_promised_and_other_speeds_grow_less():
    # 40 years of eight contracts: what the estimate m promises of a book y, less its costs
    model = book_model("book-costs", sharpe=0.0)
    market = synthetic_market("book-costs", seed=5, years=40, sharpe=0.0)
    estimate = filtered(model, np.log(market.close / market.open))

    def growth(aim, speed):
        keep = np.exp(-speed / 365.0)
        book = lfilter([1.0 - keep], [1.0, -keep], aim * estimate, axis=0)
        cost = 0.5 * 0.01 * (365.0 * np.diff(book, axis=0, prepend=0.0)) ** 2
        return (book * estimate - 0.5 * book**2 - cost).sum(axis=1).mean(), book

    best, book = growth(1.0 / 1.2, 10.0)
    # the estimate's mean square on this path is known; the rest is what costs leave of it, 1 / 1.2^2
    assert best == pytest.approx(0.5 * (estimate**2).sum(axis=1).mean() / 1.44, rel=0.03)
    assert best == pytest.approx(book_growth(model), rel=0.2)
    np.testing.assert_allclose(best_exposures(market) @ model.root, book, atol=1e-9)
    for aim, speed in ((1.0, 10.0), (0.65, 10.0), (1.0 / 1.2, 5.0), (1.0 / 1.2, 20.0)):
        assert growth(aim, speed)[0] < best


def test_costs_of_a_day_by_hand():
    # root' x changes by 0.5 x 0.2 = 0.1 on the second day: 0.01 / 2 x 0.01 x 365
    model = book_model("book-costs", n_contracts=1, volatility=(0.5, 0.5))
    found = trading_costs(model, np.array([[1.0], [1.2], [1.2]]))
    np.testing.assert_allclose(found, [0.0, 0.01825, 0.0], atol=1e-12)
