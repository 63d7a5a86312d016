"""Deflation and overfitting against worked numbers and a naive second implementation."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import norm, rankdata

from gearing.evaluation.statistics.selection import (
    backtest_overfitting,
    deflated_sharpe,
    expected_best_sharpe,
    probabilistic_sharpe,
)


def with_moments(mean, sd, n):
    """A symmetric two-point series: skewness 0, kurtosis 1."""
    return mean + sd * np.tile([1.0, -1.0], n // 2)


def test_probabilistic_sharpe_of_a_symmetric_two_point_series():
    returns = with_moments(0.001, 0.01, 400)
    # kurtosis 1 and skewness 0 leave nothing under the root: Phi(S sqrt(n - 1)), S with n - 1 degrees of
    # freedom
    ratio = 0.1 / np.sqrt(400 / 399)
    assert probabilistic_sharpe(returns) == pytest.approx(norm.cdf(ratio * np.sqrt(399)))


def test_probabilistic_sharpe_is_a_half_at_its_own_estimate():
    returns = np.random.default_rng(0).normal(0.001, 0.02, 1000)
    own = returns.mean() / returns.std(ddof=1) * np.sqrt(365)
    assert probabilistic_sharpe(returns, benchmark=own) == pytest.approx(0.5)


def test_negative_skewness_lowers_the_probability():
    calm = np.random.default_rng(0).normal(0.001, 0.02, 1000)
    crash = calm.copy()
    crash[0] -= 0.4
    again = (crash - crash.mean()) / crash.std(ddof=1) * calm.std(ddof=1) + calm.mean()  # same Sharpe ratio
    assert probabilistic_sharpe(again) < probabilistic_sharpe(calm)


def test_the_best_of_a_hundred_without_skill_is_expected_two_and_a_half_deviations_up():
    # (1 - e) z(0.99) + e z(1 - 1/(100 e1)) = 0.4228 x 2.3263 + 0.5772 x 2.6815 = 2.5313
    sharpes = np.array([-1.0, 1.0]) / np.sqrt(2)  # standard deviation 1
    assert expected_best_sharpe(sharpes, n_trials=100) == pytest.approx(2.5313, abs=2e-3)
    simulated = np.random.default_rng(0).normal(size=(20_000, 100)).max(axis=1).mean()
    assert expected_best_sharpe(sharpes, n_trials=100) == pytest.approx(simulated, abs=0.03)


def test_one_trial_is_not_deflated():
    returns = np.random.default_rng(0).normal(0.001, 0.02, 1000)
    assert deflated_sharpe(returns, [1.2]) == probabilistic_sharpe(returns)


def test_more_trials_deflate_more():
    returns = np.random.default_rng(0).normal(0.002, 0.02, 1000)
    trials = np.random.default_rng(1).normal(0.0, 0.5, 10)
    assert deflated_sharpe(returns, trials, 1000) < deflated_sharpe(returns, trials, 10)


def naive_overfitting(growth, n_blocks):
    blocks = np.array_split(np.arange(len(growth)), n_blocks)
    worse = []
    for half in combinations(range(n_blocks), n_blocks // 2):
        inside = np.concatenate([blocks[k] for k in half])
        outside = np.setdiff1d(np.arange(len(growth)), inside)
        best = growth[inside].mean(axis=0).argmax()
        rank = rankdata(growth[outside].mean(axis=0))[best] / (growth.shape[1] + 1)
        worse.append(rank < 0.5)
    return np.mean(worse), len(worse)


def test_overfitting_agrees_with_the_definition_spelled_out():
    growth = np.random.default_rng(0).normal(0, 0.01, (203, 7))  # 203 days do not divide by 6
    got = backtest_overfitting(growth, n_blocks=6)
    assert (got.probability, got.n_splits) == pytest.approx(naive_overfitting(growth, 6))


def test_sixteen_blocks_give_12870_splits_and_noise_a_probability_near_a_half():
    results = [backtest_overfitting(np.random.default_rng(s).normal(0, 0.01, (800, 20))) for s in range(8)]
    assert results[0].n_splits == 12_870
    assert np.mean([result.probability for result in results]) == pytest.approx(0.5, abs=0.2)


def test_one_configuration_that_is_always_better_is_not_overfitted():
    growth = np.random.default_rng(0).normal(0, 0.01, (800, 10))
    growth[:, 3] += 0.01
    assert backtest_overfitting(growth).probability == 0.0


@pytest.mark.parametrize(("shape", "blocks"), [((100, 1), 16), ((100, 5), 15), ((10, 5), 16)])
def test_tables_that_cannot_be_split_are_refused(shape, blocks):
    with pytest.raises(ValueError, match=r"growth has shape|n_blocks is"):
        backtest_overfitting(np.zeros(shape), n_blocks=blocks)
