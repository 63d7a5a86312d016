"""P-values of many tests together: exact where they can be counted, and right where nothing is true."""

import numpy as np
import pandas as pd
import pytest

from gearing.evaluation.statistics.inference import growth_difference
from gearing.evaluation.statistics.multiple_testing import family_of_means, family_of_shifts, step_down


def test_the_steps_are_those_counted_by_hand():
    null = np.array([[0.0, 0.0, 3.5], [1.0, 2.5, 0.0], [2.2, 0.0, 0.0], [0.0, 1.5, 0.5]])
    # 3.0 against the largest of all (3.5, 2.5, 2.2, 1.5): one; 2.0 without the first test (3.5, 2.5, 0, 1.5): two;
    # 1.0 alone (3.5, 0, 0, 0.5): one, which is not more than what came before.
    np.testing.assert_allclose(step_down([3.0, 2.0, 1.0], null), [2 / 5, 3 / 5, 3 / 5])
    # 3.0 against (0, 2.5, 2.2, 1.5): none; 1.0 without it (0, 2.5, 0, 1.5): two.
    np.testing.assert_allclose(step_down([1.0, 3.0], null[:, [1, 0]]), [3 / 5, 1 / 5])


def test_one_test_is_no_family():
    rng = np.random.default_rng(0)
    days = pd.DataFrame(rng.normal(0.05, 1.0, (1, 400)))
    told = family_of_means(days, replications=500)
    assert told.p_family.item() == told.p.item()
    alone = growth_difference(days.iloc[0] / 365.0, np.zeros(400), seed=0, replications=500)
    assert told.p.item() == pytest.approx(alone.p_value, abs=1e-12)


def test_copies_of_one_test_cost_nothing_and_strangers_do():
    rng = np.random.default_rng(1)
    one = rng.normal(0.1, 1.0, 500)
    copies = family_of_means(pd.DataFrame([one] * 20), replications=500)
    assert (copies.p_family == copies.p).all()
    strangers = family_of_means(
        pd.DataFrame([one, *rng.normal(0.0, 1.0, (19, 500))]), replications=500, mean_block=1.0
    )
    assert strangers.p_family[0] > strangers.p[0]
    # Independent tests: between no correction and Bonferroni's.
    assert strangers.p_family[0] <= 20 * strangers.p[0] + 0.03


def test_where_nothing_is_true_a_family_rarely_finds_anything():
    rng = np.random.default_rng(2)
    found, single = [], []
    for k in range(200):
        common = rng.normal(0.0, 1.0, 250)
        days = pd.DataFrame(0.5 * common + rng.normal(0.0, 1.0, (15, 250)))
        told = family_of_means(days, replications=199, mean_block=1.0, seed=k)
        found.append((told.p_family <= 0.05).any())
        single.append((told.p <= 0.05).any())
    assert np.mean(found) < 0.10  # 5 %, and three standard errors of 200 tries
    assert np.mean(single) > 0.25  # which is what would be believed without it


def test_a_true_difference_is_found_among_many_and_by_the_stepwise_test_of_arch():
    pytest.importorskip("arch", reason="needs the extra 'forecast'")
    from gearing.evaluation.statistics.selection import superior_policies

    rng = np.random.default_rng(3)
    means = np.array([0.25, 0.0, 0.0, 0.22, 0.0, -0.3])
    days = pd.DataFrame(means[:, None] + rng.normal(0.0, 1.0, (6, 900)))
    told = family_of_means(days, mean_block=5.0, replications=1000)
    assert told.index[told.p_family <= 0.05].tolist() == [0, 3, 5]
    policies = days.T.rename(columns=str)
    named = superior_policies(policies["1"] * 0.0, policies, seed=0, mean_block=5)
    assert sorted(named) == ["0", "3"]  # one-sided: what is worse is not named


def test_days_that_a_test_does_not_have_are_left_out_of_its_mean():
    rng = np.random.default_rng(4)
    days = pd.DataFrame(rng.normal(0.0, 1.0, (2, 300)))
    days.iloc[1, :40] = np.nan
    told = family_of_means(days, replications=200)
    assert told.estimate[1] == pytest.approx(days.iloc[1, 40:].mean())
    assert told.p_family.between(0.0, 1.0).all()


def test_what_never_differs_is_never_sure():
    days = pd.DataFrame([np.zeros(100), np.random.default_rng(5).normal(1.0, 0.1, 100)])
    told = family_of_means(days, replications=200)
    assert told.p_family[0] == told.p[0] == 1.0
    assert told.p_family[1] < 0.01


def test_shifts_of_a_family_share_their_place_in_time():
    rng = np.random.default_rng(6)
    shifts = rng.normal(0.0, 1.0, (3, 300))
    growth = pd.DataFrame(np.column_stack([[4.5, 0.0, 2.0], shifts]))
    told = family_of_shifts(growth)
    assert told[0] == pytest.approx(1 / 301)
    assert told[1] > 0.3
    assert told[2] >= np.mean(shifts[2] >= 2.0)
    flat = family_of_shifts(pd.DataFrame(np.zeros((1, 20))))
    assert flat.item() == 1.0


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"observed has shape \(2,\), null \(4, 3\)"):
        step_down([1.0, 2.0], np.zeros((4, 3)))
