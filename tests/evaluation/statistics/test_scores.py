"""Aggregates over seeds and tasks against scipy and hand-worked tables."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, trim_mean

from gearing.evaluation.statistics.scores import (
    aggregate,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end():
    # 1 ... 8: without 1, 2 and 7, 8 the mean of 3, 4, 5, 6
    assert interquartile_mean([8, 1, 7, 2, 6, 3, 5, 4]) == 4.5


@pytest.mark.parametrize("size", [(3, 1), (5, 3), (10, 7)])
def test_the_interquartile_mean_is_scipys_trimmed_mean(size):
    scores = np.random.default_rng(0).normal(size=size)
    assert interquartile_mean(scores) == pytest.approx(trim_mean(scores, 0.25, axis=None))


def test_seeds_are_redrawn_within_their_task():
    scores = np.array([[0.0, 100.0], [1.0, 101.0], [2.0, 102.0]])
    interval = aggregate(scores, seed=0, statistic=np.mean)
    assert interval.estimate == 51.0
    assert 50.0 <= interval.low < interval.high <= 52.0  # a draw across tasks would spread to 0 ... 102


def test_the_interval_of_a_mean_has_the_width_that_the_number_of_seeds_allows():
    scores = np.random.default_rng(0).normal(size=(200, 1))
    interval = aggregate(scores, seed=0, statistic=np.mean)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * scores.std() / np.sqrt(200), rel=0.08)


def test_the_probability_of_improvement_is_the_mann_whitney_statistic_of_each_task():
    rng = np.random.default_rng(0)
    ours, theirs = (
        rng.normal(0.3, 1, (6, 2)).round(1),
        rng.normal(0, 1, (9, 2)).round(1),
    )  # rounding makes ties
    expected = np.mean([mannwhitneyu(ours[:, k], theirs[:, k]).statistic / 54 for k in range(2)])
    assert probability_of_improvement(ours, theirs, seed=0, replications=50).estimate == pytest.approx(
        expected
    )


def test_a_policy_is_as_likely_as_not_to_beat_itself():
    scores = np.random.default_rng(0).normal(size=(7, 3))
    assert probability_of_improvement(scores, scores, seed=0, replications=10).estimate == 0.5


def test_a_profile_is_the_share_of_runs_above_each_threshold():
    profile = performance_profile([[0.0, 1.0], [2.0, 3.0]], [-1.0, 0.0, 2.5, 3.0], seed=0, replications=100)
    assert profile.share.tolist() == [1.0, 0.75, 0.25, 0.0]
    assert np.all(profile.low <= profile.share)
    assert np.all(profile.share <= profile.high)


def test_the_same_seed_gives_the_same_interval():
    scores = np.random.default_rng(0).normal(size=(10, 2))
    assert aggregate(scores, seed=3, replications=50) == aggregate(scores, seed=3, replications=50)


def test_tables_with_holes_are_refused():
    with pytest.raises(ValueError, match="score of its ruin"):
        aggregate([[0.0], [np.nan]], seed=0)
    with pytest.raises(ValueError, match="tasks"):
        probability_of_improvement(np.zeros((3, 2)), np.zeros((3, 1)), seed=0)
