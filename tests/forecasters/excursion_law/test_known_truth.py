"""Promises on markets whose true probabilities can be computed."""

import numpy as np
import pytest
from scipy.stats import norm
from tests.simulation.markets import contract, market as tiny_market

import gearing
from gearing.evaluation.risk.promises import realised
from gearing.forecasters.excursion_law.fitting import fit_law
from gearing.forecasters.excursion_law.starts import daily_starts

HOURLY = (0.004, 0.012)  # standard deviation of an hour, calm and storm
STAY = 40.0  # mean days of a regime
HORIZONS = ("1d", "7d")
N_CONTRACTS, DAYS = 5, 4 * 365


def regimes(n_days, seed):
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.random(n_days) < 1.0 / STAY) % 2


def walks(hourly, seed):
    """Contracts that share the volatility (n_days,) of every hour of a day; their moves are independent."""
    rng = np.random.default_rng(seed)
    sigma = np.repeat(hourly, 24)[:, None]
    closes = 100.0 * np.exp(np.cumsum(sigma * rng.normal(size=(len(sigma), N_CONTRACTS)), axis=0))
    return tiny_market(closes, contracts=[contract(f"C{k}") for k in range(N_CONTRACTS)])


def touch(distance, variances, steps):
    """Probability that a Gaussian walk of hourly steps touches a distance, by reflection over drawn total variances.

    The barrier of a walk that is seen every hour lies 0.5826 of a step farther (Broadie, Glasserman and Kou, 1997).
    """
    total = np.sqrt(variances)[None, :]
    x = distance[:, None] + 0.5826 * total / np.sqrt(steps)
    return (2.0 * norm.sf(x / total)).mean(axis=1)


def true_probabilities(distance, state, length):
    """Of a touch within some days of each day's state (n_days,)."""
    found = np.empty(len(distance))
    for now in (0, 1):
        rng = np.random.default_rng(now)
        paths = (now + np.cumsum(rng.random((800, length)) < 1.0 / STAY, axis=1)) % 2
        variances = 24.0 * (np.asarray(HOURLY)[paths] ** 2).sum(axis=1)
        found[state == now] = touch(distance[state == now], variances, 24 * length)
    return found


def distances(market, budget):
    starts = daily_starts([market], HORIZONS)
    law = fit_law(starts.of(starts.symbols[1:]))  # the first contract is not fitted on
    now = starts.days.astype("datetime64[ms]")
    return starts, law.distance(now, law.scaled(now, starts.scale[:, 0], starts.age[0]), budget)


@pytest.mark.slow
@pytest.mark.parametrize("budget", [0.05, 0.25])
def test_on_a_regime_switching_market_the_true_probability_of_a_promise_is_the_promised_one(budget):
    true = {length: [] for length in (1, 7)}
    for seed in range(3):
        state = regimes(DAYS, seed)
        _, found = distances(walks(np.asarray(HOURLY)[state], seed), budget)
        for h, length in enumerate((1, 7)):
            # the start of day d is followed by days d, d + 1, ...
            days = np.arange(400, DAYS - length)
            true[length].append(true_probabilities(found[h, 0, days], state[days], length).mean())
    # three markets of some 25 switches: the mean moves by about a tenth of the budget between seeds
    for length, means in true.items():
        assert np.mean(means) == pytest.approx(budget, rel=0.2), length


@pytest.mark.slow
def test_after_volatility_triples_a_promise_comes_back_within_two_months():
    switch = 900
    hourly = np.where(np.arange(DAYS) < switch, *HOURLY)
    _, found = distances(walks(hourly, 0), 0.05)
    for h, (length, most) in enumerate(((1, 30), (7, 60))):
        days = np.arange(switch, DAYS - length)
        true = touch(found[h, 0, days], np.array([24 * length * HOURLY[1] ** 2]), 24 * length)
        assert true[0] > 0.25  # broken on the first day: nobody could know
        back = int((true <= 0.075).argmax())
        assert 0 < back <= most
        assert np.mean(true[200:]) == pytest.approx(0.05, rel=0.3)


@pytest.mark.slow
def test_on_market_b_promises_are_met_within_the_error_of_the_sample():
    paths = [gearing.synthetic_market("market-b", seed=k, years=4, contracts=[f"B{k}"]) for k in range(4)]
    starts = daily_starts(paths, HORIZONS)
    law = fit_law(starts.of(starts.symbols[1:]))
    now = starts.days.astype("datetime64[ms]")
    scaled = law.scaled(now, starts.scale[:, 0], starts.age[0])
    for budget in (0.05, 0.25):
        found = law.distance(now, scaled, budget)
        for h, length in enumerate((1, 7)):
            for s in range(2):
                excursion = starts.excursion[h, s, 0]
                known = (
                    np.isfinite(excursion) & np.isfinite(found[h, s]) & (np.arange(starts.days.size) > 400)
                )
                came = realised((excursion >= found[h, s])[known].astype(float), length)
                assert came.low <= 1.3 * budget, (budget, length, s)
                assert came.high >= 0.7 * budget, (budget, length, s)
