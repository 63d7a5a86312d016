import numpy as np
import pandas as pd
import pytest

from gearing.features import windows

RNG = np.random.default_rng(3)
X = RNG.normal(100.0, 5.0, (300, 2))


@pytest.mark.parametrize("n", [1, 2, 3, 7, 24, 168])
def test_windows_agree_with_pandas(n):
    frame = pd.DataFrame(X).rolling(n)
    np.testing.assert_allclose(windows.rolling_sum(X, n), frame.sum(), rtol=1e-12)
    np.testing.assert_array_equal(windows.rolling_max(X, n), frame.max())
    np.testing.assert_array_equal(windows.rolling_min(X, n), frame.min())
    mean, variance = windows.rolling_mean_and_variance(X, n)
    np.testing.assert_allclose(mean, frame.mean(), rtol=1e-12)
    np.testing.assert_allclose(variance, frame.var(ddof=0), rtol=1e-9, atol=1e-12)


def test_variance_keeps_its_digits_where_the_price_is_large():
    x = 1e9 + np.array([0.0, 1.0, 2.0, 3.0])[:, None]
    assert windows.rolling_mean_and_variance(x, 4)[1][-1, 0] == 1.25  # mean of 2.25, 0.25, 0.25, 2.25


def test_exponential_weights_halve_and_add_to_one():
    # half-life 1, window 3: weights 4/7, 2/7, 1/7 from the newest back
    x = np.array([7.0, 14.0, 28.0])[:, None]
    assert windows.exponential_mean(x, 1, 3)[-1, 0] == pytest.approx(28 * 4 / 7 + 14 * 2 / 7 + 7 * 1 / 7)


def test_a_window_is_the_same_to_the_last_bit_wherever_it_stands():
    long, short = windows.rolling_sum(X, 100), windows.rolling_sum(X[150:], 100)
    np.testing.assert_array_equal(long[-1], short[-1])


def test_trailing_rank_counts_earlier_values_below_and_half_of_ties():
    x = np.array([1.0, 2.0, 2.0, 3.0, 2.0])[:, None]
    # for the last 2: of 3, 2, 2, 1 one is below and two tie -> (1 + 1) / 4
    assert windows.trailing_rank(x, 4)[-1, 0] == pytest.approx(0.5)
    assert np.isnan(windows.trailing_rank(x, 4)[3, 0])


def test_last_seen_forgets_what_is_older_than_the_limit():
    x, present = np.array([[5.0], [0.0], [0.0], [0.0]]), np.array([[True], [False], [False], [False]])
    assert windows.last_seen(x, present, 3, otherwise=-1.0)[:, 0].tolist() == [5.0, 5.0, 5.0, -1.0]


def test_a_window_of_no_bars_is_refused():
    with pytest.raises(ValueError, match="at least one bar"):
        windows.rolling_sum(X, 0)


def test_a_mean_so_far_holds_what_there_is():
    x = np.array([np.nan, 2.0, 4.0, 6.0, 8.0])[:, None]
    np.testing.assert_allclose(windows.mean_so_far(x, 3)[:, 0], [np.nan, 2.0, 3.0, 4.0, 6.0])
    np.testing.assert_allclose(windows.mean_so_far(x, 3, least=2)[:, 0], [np.nan, np.nan, 3.0, 4.0, 6.0])
    # (6 + 4 / 2 + 2 / 4) / (1 + 1 / 2 + 1 / 4) = 8.5 / 1.75
    assert windows.mean_so_far(x, 3, decay=0.5)[3, 0] == pytest.approx(8.5 / 1.75)
