"""Intervals and p-values against closed forms, other libraries and simulated truth."""

import numpy as np
import pytest

from gearing.evaluation.statistics.bootstrap import block_mean, resamples, stationary_indices
from gearing.evaluation.statistics.inference import (
    growth_difference,
    mean_interval,
    pooled_growth_difference,
    sharpe_difference,
    sharpe_interval,
)


def correlated(n, means, sd, rho, seed):
    """Two normal series, shape (2, n)."""
    rng = np.random.default_rng(seed)
    return rng.multivariate_normal(means, [[sd**2, rho * sd**2], [rho * sd**2, sd**2]], size=n).T


def autocorrelated(n, phi, seed):
    from scipy.signal import lfilter

    noise = np.random.default_rng(seed).normal(size=n + 500)
    return lfilter([1.0], [1.0, -phi], noise)[500:]


def test_blocks_are_runs_of_neighbours_with_the_mean_length_requested():
    rows = stationary_indices(1000, 20, 200, np.random.default_rng(0))
    neighbours = np.mean((np.diff(rows, axis=1) % 1000) == 1)
    assert neighbours == pytest.approx(1 - 1 / 20, abs=0.003)
    assert rows.min() == 0
    assert rows.max() == 999


def test_every_day_is_drawn_equally_often():
    rows = stationary_indices(50, 10, 20_000, np.random.default_rng(0))
    # 20 000 draws per day on average; blocks make counts vary by about 2 %
    assert np.bincount(rows.ravel()) / 20_000 == pytest.approx(np.ones(50), abs=0.08)


def test_resamples_come_in_pieces_and_repeat_with_the_seed():
    first = np.concatenate(list(resamples(300, 5, 50, seed=1)))
    again = np.concatenate(list(resamples(300, 5, 50, seed=1)))
    assert first.shape == (50, 300)
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("mean_block", [0.5, 101])
def test_a_block_longer_than_the_series_is_refused(mean_block):
    with pytest.raises(ValueError, match="between 1 and the length"):
        stationary_indices(100, mean_block, 1, np.random.default_rng(0))


def test_the_spread_of_the_mean_agrees_with_the_bootstrap_of_arch():
    bootstrap = pytest.importorskip("arch.bootstrap")
    series = autocorrelated(1500, 0.5, seed=4)
    theirs = bootstrap.StationaryBootstrap(20, series, seed=1).apply(np.mean, 2000).std(ddof=1)
    ours = growth_difference(series, np.zeros_like(series), seed=1, mean_block=20).standard_error / 365
    assert ours == pytest.approx(theirs, rel=0.08)


def test_blocks_see_dependence_that_single_days_miss():
    series = autocorrelated(8000, 0.6, seed=2)
    # variance of the mean of an AR(1): 1 / (1 - phi)^2 / n
    true_error = 1 / (1 - 0.6) / np.sqrt(8000) * 365
    zeros = np.zeros_like(series)
    assert growth_difference(series, zeros, seed=0, mean_block=40).standard_error == pytest.approx(
        true_error, rel=0.15
    )
    single = growth_difference(series, zeros, seed=0, mean_block=1).standard_error
    assert single == pytest.approx(true_error / 2, rel=0.15)  # sd of the series itself is 1.25, not 2.5


def test_growth_difference_is_annualised_and_paired():
    policy, baseline = correlated(2000, [0.001, 0.001], 0.03, 0.999, seed=0)
    paired = growth_difference(policy, baseline, seed=0)
    assert paired.estimate == pytest.approx((policy - baseline).mean() * 365)
    alone = growth_difference(policy, np.zeros(2000), seed=0)
    assert paired.standard_error < alone.standard_error / 10


def test_identical_policies_differ_by_nothing_for_sure():
    returns = np.random.default_rng(0).normal(0, 0.02, 500)
    for compare in (growth_difference, sharpe_difference):
        same = compare(returns, returns, seed=0)
        assert (same.estimate, same.low, same.high, same.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_sharpe_difference_has_the_standard_error_of_jobson_korkie_and_memmel():
    # Memmel (2003), per period: (2 - 2 rho + (s1^2 + s2^2 - 2 s1 s2 rho^2) / 2) / n
    n, rho, sd = 20_000, 0.7, 0.02
    policy, baseline = correlated(n, [0.002, 0.001], sd, rho, seed=5)
    s1, s2 = 0.1, 0.05
    expected = np.sqrt((2 - 2 * rho + 0.5 * (s1**2 + s2**2 - 2 * s1 * s2 * rho**2)) / n * 365)
    got = sharpe_difference(policy, baseline, seed=0, mean_block=2, replications=20)
    assert got.standard_error == pytest.approx(expected, rel=0.05)
    assert got.estimate == pytest.approx(
        (policy.mean() / policy.std() - baseline.mean() / baseline.std()) * np.sqrt(365)
    )


def test_six_years_and_a_correlation_of_seven_tenths_give_an_error_of_a_third():
    # the protocol's power statement: sqrt(2 (1 - 0.7) / 6) = 0.316
    policy, baseline = correlated(6 * 365, [0.0005, 0.0005], 0.03, 0.7, seed=11)
    assert sharpe_difference(policy, baseline, seed=0).standard_error == pytest.approx(0.316, rel=0.25)


def test_a_real_difference_is_found_and_none_is_not_claimed():
    policy, baseline = correlated(3000, [0.004, 0.0], 0.03, 0.5, seed=0)
    found = sharpe_difference(policy, baseline, seed=0, replications=500)
    assert found.low > 0
    assert found.p_value < 0.01
    policy, baseline = correlated(3000, [0.001, 0.001], 0.03, 0.5, seed=0)
    assert sharpe_difference(policy, baseline, seed=0, replications=500).p_value > 0.05


@pytest.mark.slow
def test_the_sharpe_interval_covers_the_truth_about_as_often_as_it_says():
    covered = 0
    for trial in range(200):
        rng = np.random.default_rng(trial)
        volatility = np.exp(autocorrelated(1000, 0.95, seed=trial + 10_000) * 0.15)  # clustered
        policy, baseline = volatility * (correlated(1000, [0.05, 0.05], 1.0, 0.6, seed=rng.integers(2**31)))
        result = sharpe_difference(policy, baseline, seed=trial, mean_block=10, replications=300)
        covered += result.low <= 0.0 <= result.high
    assert 0.90 <= covered / 200 <= 0.99


def test_intervals_of_one_policy_contain_its_estimate():
    returns = np.random.default_rng(1).normal(0.001, 0.02, 1000)
    low, high = mean_interval(returns, seed=0)
    assert low < returns.mean() * 365 < high
    low, high = sharpe_interval(returns, seed=0)
    assert low < returns.mean() / returns.std() * np.sqrt(365) < high


def test_contracts_that_move_as_one_are_not_counted_as_many():
    one = np.random.default_rng(0).normal(0.001, 0.02, (1000, 1, 1))
    five = np.repeat(one, 5, axis=1)
    narrow = pooled_growth_difference(one, np.zeros((1000, 1)), seed=0)
    wide = pooled_growth_difference(five, np.zeros((1000, 5)), seed=0)
    assert wide.standard_error == pytest.approx(narrow.standard_error)


def test_differences_between_training_seeds_widen_a_pooled_interval():
    rng = np.random.default_rng(0)
    days = rng.normal(0.0, 0.001, (500, 1, 1))
    luck = np.array([-0.002, 0.0, 0.002])  # per day and seed
    pooled = pooled_growth_difference(days + luck, np.zeros((500, 1)), seed=0)
    # the mean of three seeds drawn anew: sd of luck, 0.002 x sqrt(2/3) a day, over sqrt(3)
    assert pooled.standard_error == pytest.approx(0.002 * np.sqrt(2 / 3) / np.sqrt(3) * 365, rel=0.1)


def test_series_of_other_days_are_refused():
    with pytest.raises(ValueError, match="same days of both"):
        growth_difference(np.zeros(10), np.zeros(11), seed=0)
    with pytest.raises(ValueError, match="not finite"):
        growth_difference([0.1, np.nan, 0.0], [0.0, 0.0, 0.0], seed=0)
    with pytest.raises(ValueError, match="days, contracts, seeds"):
        pooled_growth_difference(np.zeros((10, 2)), np.zeros((10, 2)), seed=0)


def test_one_value_has_a_mean_and_no_interval():
    mean, low, high = block_mean(np.array([3.0]), 5.0)
    assert mean == 3.0
    assert np.isnan([low, high]).all()
    assert np.isnan(block_mean(np.array([3.0]), 5.0, weights=np.zeros(1))).all()
