import numpy as np
import pytest

from gearing.evaluation.risk.promises import broken_and_timid, independent_events, pinball, realised


def test_events_count_once_within_a_horizon():
    hit = np.zeros(40, bool)
    hit[[2, 3, 9, 10, 30]] = True
    # within 7 days of day 2 lies 9; 10 is the next, 30 the third
    assert independent_events(hit, 7.0) == 3
    assert independent_events(hit, 1.0) == 3  # a day after an event is part of it
    assert independent_events(hit, 0.0) == 5


def test_a_frequency_is_the_share_of_known_starts():
    hits = np.array([[1.0, 0.0, np.nan, 0.0], [1.0, np.nan, np.nan, 0.0]])
    found = realised(hits, 1.0)
    assert (found.frequency, found.n, found.independent) == (2 / 5, 5, 1)


def test_no_event_still_has_an_upper_bound():
    found = realised(np.zeros(365), 1.0)
    # no event of a Poisson count: its rate may be 3.69 with 2.5 %
    assert found.frequency == 0.0
    assert found.low == 0.0
    assert found.high == pytest.approx(3.689 / 365, rel=1e-3)


def test_intervals_of_independent_days_cover_the_true_frequency():
    rng = np.random.default_rng(0)
    inside = 0
    for seed in range(60):
        found = realised((rng.random((3, 600)) < 0.05).astype(float), 1.0, seed=seed, replications=200)
        inside += found.low <= 0.05 <= found.high
    assert inside >= 52  # 57 expected of 60


def test_the_pinball_loss_is_least_at_the_true_quantile():
    x = np.random.default_rng(0).exponential(1.0, 20_000)
    losses = [pinball(x, np.full_like(x, q), 0.05).mean() for q in (2.0, -np.log(0.05), 4.5)]
    assert losses[1] == min(losses)


def test_a_cell_is_broken_or_timid_when_its_whole_interval_is_on_one_side():
    many, few, right = (realised((np.arange(1000) % k == 0).astype(float), 0.0) for k in (5, 50, 10))
    assert broken_and_timid([many, few, right], [0.1, 0.1, 0.1]) == (1, 1)
