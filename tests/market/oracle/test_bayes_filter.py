import numpy as np
import pytest

from gearing.market import synthetic_market
from gearing.market.oracle.bayes_filter import bayes_filter
from gearing.market.oracle.finite_oracle import growth_table
from gearing.market.synthetic.market_a import market_a


@pytest.fixture(scope="module")
def market():
    return synthetic_market("market-a", seed=2, years=40)


@pytest.fixture(scope="module")
def filtered(market):
    return bayes_filter(market)


def test_chances_add_up_to_one(filtered):
    np.testing.assert_allclose(filtered.posterior.sum(axis=(1, 2)), 1.0)


def test_chances_are_calibrated(market, filtered):
    # of the steps to which the filter gave a chance of about p for a bull regime, a share of about p were in one
    chance = filtered.posterior[:, 2].sum(axis=1)
    bull = market.truth["regime"][:, 0] == 2
    for low, high in ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0)):
        inside = (chance >= low) & (chance < high)
        assert bull[inside].mean() == pytest.approx(chance[inside].mean(), abs=0.06)


def test_it_finds_the_volatility_regime_most_of_the_time(market, filtered):
    guess = filtered.posterior.sum(axis=1).argmax(axis=1)
    assert (guess == market.truth["volatility_regime"][:, 0]).mean() > 0.7


def test_it_has_not_seen_the_future(market, filtered):
    early = bayes_filter(market.between(end="2024-01-01"))
    n = early.leverage.size
    np.testing.assert_array_equal(early.leverage, filtered.leverage[:n])
    np.testing.assert_array_equal(early.growth, filtered.growth[:n])


def test_without_costs_the_path_earns_what_the_filter_expects():
    # E[max over L of the posterior mean of g] is what full, free leverage must realise on average
    sums, expected = [], []
    for seed in range(3):
        market = synthetic_market("market-a", seed=seed, years=40)
        filtered = bayes_filter(market, fraction=1.0, band=0.0, cost=0.0)
        sums.append(filtered.growth.reshape(8, -1).sum(axis=1))
        expected.append(_expected(market, filtered).reshape(8, -1).sum(axis=1))
    gap = np.ravel(sums) - np.ravel(expected)
    assert gap.mean() == pytest.approx(0.0, abs=3 * gap.std() / np.sqrt(gap.size))
    assert np.mean(expected) > 0.0


def _expected(market, filtered):
    model = market_a()
    leverages = np.linspace(-10, 10, 101)
    table = growth_table(model, leverages).reshape(*model.shape, -1)
    level = np.searchsorted(np.asarray(model.funding), market.truth["funding"][:, 0])
    return np.einsum("tdv,dvtl->tl", filtered.posterior, table[:, :, level]).max(axis=1)


@pytest.mark.slow
def test_the_tuned_policy_earns_what_the_protocol_measured():
    years = [
        bayes_filter(synthetic_market("market-a", seed=seed, years=400)).growth.reshape(20, -1).sum(axis=1)
        / 20
        for seed in range(3)
    ]
    error = np.hypot(np.std(years) / np.sqrt(60), 0.008)
    assert np.mean(years) == pytest.approx(0.164, abs=2 * error)


def test_other_markets_are_refused():
    with pytest.raises(ValueError, match="needs a market-a"):
        bayes_filter(synthetic_market("market-b", years=0.1))
