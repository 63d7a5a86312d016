"""The stratified bootstrap against rliable's numbers, scipy, arch, and simulated size and power."""

import numpy as np
import pytest
from arch.bootstrap import IIDBootstrap
from scipy.stats import mannwhitneyu, norm

from gearing.evaluation.statistics.scores import probability_of_improvement
from gearing.evaluation.statistics.stratified import (
    Runs,
    interquartile_means,
    interval_of,
    means,
    medians,
    optimality_gaps,
    rank_shares,
    shares_above,
    win_shares,
)

# The tables of rliable's own test (tests/rliable/metrics_test.py) and what it expects of them.
X = np.array([[1, 2], [2, 2], [1, 1], [2, 1]], float)
Y = np.array([[1, 1], [2, 2], [3, 3]], float)
# Five runs on four tasks, and what rliable 1.2.0 returns for them.
SCORES = np.array(
    [
        [0.57, 0.33, 0.28, 1.03], [0.60, 0.42, 0.58, -0.45], [0.27, -0.02, 0.78, 0.44], [0.98, 0.75, 0.11, 0.67],
        [0.32, 0.54, 0.68, 0.32],
    ]
)  # fmt: skip
RLIABLE = {interquartile_means: 0.479, means: 0.46, medians: 0.445, optimality_gaps: 0.5415}


@pytest.mark.parametrize(("table", "expected"), [(X, 1.5), (Y, 2.0)])
@pytest.mark.parametrize("statistic", [medians, means, interquartile_means])
def test_aggregates_are_those_that_rliable_publishes(statistic, table, expected):
    assert statistic(table) == expected


def test_the_probability_of_improvement_is_the_one_that_rliable_publishes():
    assert probability_of_improvement(X, Y, seed=0, replications=10).estimate == pytest.approx(1 / 3)


@pytest.mark.parametrize(("statistic", "expected"), RLIABLE.items())
def test_aggregates_of_a_larger_table_are_those_of_rliable(statistic, expected):
    assert statistic(SCORES) == pytest.approx(expected, abs=1e-12)


def test_the_interval_is_that_of_archs_bootstrap():
    # One task: redrawing seeds is the ordinary bootstrap. 100,000 draws leave about 0.002 of Monte Carlo error.
    scores = np.random.default_rng(5).normal(size=12)
    theirs = IIDBootstrap(scores, seed=1).conf_int(
        lambda drawn: interquartile_means(drawn[:, None]), 100_000, method="percentile"
    )
    ours = interval_of(interquartile_means, Runs.of(scores[:, None]), seed=2, replications=100_000)
    np.testing.assert_allclose(ours[1:], theirs[:, 0], atol=0.006)


def test_missing_seeds_are_no_scores():
    ragged = Runs.of([[1.0, np.nan], [np.nan, 4.0], [3.0, np.nan]])
    assert ragged.counts.tolist() == [2, 1]
    assert means(ragged.scores) == 3.0  # mean of the tasks' means 2 and 4
    assert interquartile_means(ragged.scores) == pytest.approx(
        8 / 3
    )  # of fewer than four runs the plain mean
    assert shares_above(ragged.scores, np.array([2.0])) == 0.75  # half of the first task, all of the second
    _, low, high = interval_of(means, ragged, seed=0)
    assert (low, high) == (2.5, 3.5)  # the first task's mean is 1, 2 or 3, the second's always 4


def test_tasks_of_one_training_are_drawn_together():
    # Two contracts of one training whose scores cancel: whatever seed is drawn, the mean stays zero.
    scores = np.array([[1.0, -1.0], [5.0, -5.0], [9.0, -9.0]])
    _, low, high = interval_of(means, Runs.of(scores, ["fold 0", "fold 0"]), seed=0)
    assert (low, high) == (0.0, 0.0)
    _, low, high = interval_of(means, Runs.of(scores), seed=0)
    assert low < -1.0 < 1.0 < high


def test_one_training_has_no_interval():
    estimate, low, high = interval_of(means, Runs.of([[1.0, 2.0]]), seed=0)
    assert estimate == 1.5
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize(
    ("table", "strata", "message"),
    [
        ([[1.0, np.nan]], None, "score of its ruin"),
        ([[1.0, np.inf]], None, "score of its ruin"),
        ([[1.0, 2.0], [np.nan, 3.0]], ["a", "a"], "some of its tasks only"),
        (np.zeros((0, 2)), None, "table of"),
    ],
)
def test_tables_that_have_no_stratified_bootstrap_are_refused(table, strata, message):
    with pytest.raises(ValueError, match=message):
        Runs.of(table, strata)


def test_redrawn_wins_are_mann_whitney_statistics_of_redrawn_runs():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(size=(4, 3)).round(1), rng.normal(size=(6, 3)).round(1)
    estimate, draws = win_shares([Runs.of(ours), Runs.of(theirs)], seed=9, replications=5)
    expected = [mannwhitneyu(ours[:, t], theirs[:, t]).statistic / 24 for t in range(3)]
    assert estimate[0, 1] == pytest.approx(np.mean(expected))
    again = np.random.default_rng(9)  # the same redraws, first of all of ours, then of theirs
    mine, other = (Runs.of(table).indices(5, again) for table in (ours, theirs))
    for k in range(5):
        a, b = (np.take_along_axis(t, i[k], axis=0) for t, i in ((ours, mine), (theirs, other)))
        expected = np.mean([mannwhitneyu(a[:, t], b[:, t]).statistic / 24 for t in range(3)])
        assert draws[k, 0, 1] == pytest.approx(expected)
    np.testing.assert_allclose(draws + draws.transpose(0, 2, 1), 1.0)


def test_ranks_are_shares_of_random_runs():
    # a: always 1; b: 0 or 2, each half the time; c: always -1 (third)
    runs = [Runs.of([[1.0], [1.0]]), Runs.of([[0.0], [2.0]]), Runs.of([[-1.0], [-1.0]])]
    shares = rank_shares(runs, seed=0)
    np.testing.assert_allclose(shares, [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]], atol=0.02)
    tied = rank_shares([Runs.of([[1.0]]), Runs.of([[1.0]]), Runs.of([[0.0]])], seed=0)
    np.testing.assert_allclose(tied, [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])


def _rejections(shift: float, n_seeds: int, n_tasks: int, trials: int) -> float:
    """Share of simulated comparisons whose 95 % interval of the probability of improvement excludes one half."""
    rng, found = np.random.default_rng([n_seeds, n_tasks, int(10 * shift)]), 0
    for _ in range(trials):
        level = rng.normal(size=(1, n_tasks))  # tasks differ in difficulty, which cancels within a task
        ours, theirs = (level + rng.normal(move, 1.0, (n_seeds, n_tasks)) for move in (shift, 0.0))
        _, draws = win_shares([Runs.of(ours), Runs.of(theirs)], seed=1, replications=400)
        low, high = np.quantile(draws[:, 0, 1], [0.025, 0.975])
        found += low > 0.5 or high < 0.5
    return found / trials


@pytest.mark.slow
@pytest.mark.parametrize(("n_seeds", "n_tasks"), [(10, 1), (10, 8)])
def test_the_probability_of_improvement_has_its_size_and_power(n_seeds, n_tasks):
    # Measured: 5.2 % on one task, 5.5 % on eight. 600 comparisons leave 0.9 % of Monte Carlo error.
    assert _rejections(0.0, n_seeds, n_tasks, 600) < 0.11
    # Power against a shift of one standard deviation: the z statistic of Mann-Whitney has this mean.
    mean = np.sqrt(6.0 * n_seeds * n_tasks) * (norm.cdf(1.0 / np.sqrt(2.0)) - 0.5)
    assert _rejections(1.0, n_seeds, n_tasks, 300) > norm.cdf(mean - 1.96) - 0.1


@pytest.mark.slow
def test_the_interval_of_the_interquartile_mean_covers_the_truth():
    # Ten seeds on eight tasks whose levels are known; symmetric noise, so the truth is the IQM of the levels' mixture.
    rng, levels, inside = np.random.default_rng(3), np.linspace(-1.0, 1.0, 8), 0
    truth = 0.0  # the mixture is symmetric around zero
    for _ in range(500):
        scores = levels + rng.normal(size=(10, 8))
        _, low, high = interval_of(interquartile_means, Runs.of(scores), seed=1, replications=400)
        inside += low <= truth <= high
    assert 0.90 <= inside / 500 <= 0.98
