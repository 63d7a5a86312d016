"""Synthetic books have the moments of their parameters, and equal seeds give equal markets."""

import numpy as np
import pytest

import gearing
from gearing.market.oracle.book_oracle import model_of
from gearing.market.synthetic.books import FAMILIES
from gearing.market.synthetic.generators import synthetic_market
from gearing.policies.rules import BookInverseVolatility


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_seeds_give_equal_books(family):
    one, two, other = (synthetic_market(family, seed=seed, years=1) for seed in (3, 3, 4))
    assert one.fingerprint == two.fingerprint != other.fingerprint
    assert one.n_contracts == 8
    assert one.n_bars == 365


@pytest.mark.parametrize(("family", "degrees"), [("book-merton", 4.0), ("book-wrong", 10.0)])
def test_returns_have_the_covariance_and_drift_of_the_parameters(family, degrees):
    market = synthetic_market(family, seed=1, years=200, degrees_of_freedom=degrees)
    model = model_of(market)
    moves = np.log(market.close / market.open)
    measured = np.cov(moves.T) * 365.0
    np.testing.assert_allclose(measured, model.covariance, rtol=0.06)
    drift = moves.mean(axis=0) * 365.0 + 0.5 * model.sigma**2
    # the mean of 200 years has a standard error of volatility / sqrt(200)
    assert (np.abs(drift - model.root @ model.mean) < 4.0 * model.sigma / np.sqrt(200)).all()
    tails = ((moves - moves.mean(axis=0)) ** 4).mean(axis=0) / moves.var(axis=0) ** 2
    # 3 of a normal distribution; 3 + 6 / (10 - 4) of a Student one of ten degrees
    np.testing.assert_allclose(tails, 4.0 if family == "book-wrong" else 3.0, atol=0.4)


def test_hidden_drifts_return_to_their_mean():
    market = synthetic_market("book-drift", seed=2, years=300, reversion=4.0, spread=0.7)
    hidden = market.truth["z"] - model_of(market).mean
    assert hidden.std() == pytest.approx(0.7, rel=0.05)
    lagged = (hidden[73:] * hidden[:-73]).mean() / (hidden**2).mean()  # 73 days are a fifth of a year
    assert lagged == pytest.approx(np.exp(-4.0 / 5.0), abs=0.06)


def test_regimes_last_as_long_as_their_rate_says():
    market = synthetic_market("book-regimes", seed=2, years=400, reversion=2.0)
    upper = market.truth["z"] @ model_of(market).direction > 0.5
    assert upper.mean() == pytest.approx(0.5, abs=0.06)
    assert (upper[1:] != upper[:-1]).mean() * 365.0 == pytest.approx(2.0, rel=0.15)


def test_a_book_can_be_traded_by_rules_and_named_by_its_contracts():
    market = synthetic_market("book-merton", years=1, contracts=("X", "Y", "Z"))
    assert market.symbols == ("X", "Y", "Z")
    result = gearing.backtest(BookInverseVolatility(), market)
    assert (result.leverage[-1] > 0.0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reversion": 0.0}, "reversion 0.0 positive"),
        ({"volatility": (1.2, 0.5)}, "ascend"),
        ({"sharp": 1.0}, "Did you mean 'sharpe'"),
        ({"contracts": ("A", "B"), "n_contracts": 3}, "2 contracts are named"),
        ({"years": 0.001}, "no two days"),
    ],
)
def test_impossible_books_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        synthetic_market("book-drift", **settings)
