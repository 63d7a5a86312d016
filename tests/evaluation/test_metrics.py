"""Performance measures against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from gearing.evaluation import metrics

START = np.datetime64("2024-01-01T00:00", "ms")
DAY = np.timedelta64(24, "h")
HOUR = np.timedelta64(1, "h")


def days(n):
    return START + np.arange(n) * DAY


def test_a_year_has_365_days():
    assert metrics.years_between(START, START + 365 * DAY) == 1.0


def test_daily_equity_is_taken_every_24_hours_from_the_start_and_drops_a_shorter_last_day():
    time = START + 6 * HOUR + np.arange(50) * HOUR  # two days and one hour
    equity = 100.0 + np.arange(50)
    assert metrics.daily_equity(time, equity).tolist() == [100.0, 124.0, 148.0]


def test_daily_equity_of_coarser_stamps_holds_the_last_value():
    assert metrics.daily_equity(START + np.array([0, 2]) * DAY, [100.0, 110.0]).tolist() == [
        100.0,
        100.0,
        110.0,
    ]


def test_log_growth_and_annual_return_of_a_doubling_in_half_a_year():
    assert metrics.log_growth([100.0, 200.0], years=0.5) == pytest.approx(2 * np.log(2))
    assert metrics.annual_return([100.0, 200.0], years=0.5) == pytest.approx(3.0)  # doubled twice: 4x


def test_volatility_and_sharpe_of_four_returns():
    returns = [0.01, -0.01, 0.02, 0.02]
    # mean 0.01; squared distances 0, 4, 1, 1 (e-4), sum 6e-4, over 3: 2e-4, root 0.0141421
    assert metrics.volatility(returns) == pytest.approx(0.01 * np.sqrt(2) * np.sqrt(365))
    assert metrics.sharpe_ratio(returns) == pytest.approx(np.sqrt(365 / 2))


def test_sortino_counts_only_losses_but_divides_by_all_periods():
    # losses -0.02 and 0; mean square over four periods 0.0004 / 4 = 1e-4, root 0.01; mean 0.01
    assert metrics.sortino_ratio([0.02, -0.02, 0.03, 0.01]) == pytest.approx(np.sqrt(365))


def test_ratios_of_what_never_moves_are_not_numbers():
    assert np.isnan(metrics.sharpe_ratio([0.0, 0.0, 0.0]))
    assert np.isnan(metrics.sortino_ratio([0.01, 0.02]))
    assert np.isnan(metrics.calmar_ratio([1.0, 2.0], years=1.0))


def test_max_drawdown_is_measured_from_the_highest_peak_before():
    # from 120 to 90 a quarter; from 130 to 117 a tenth
    assert metrics.max_drawdown([100, 120, 90, 130, 117]) == pytest.approx(0.25)


def test_calmar_is_annual_return_over_drawdown():
    # 100 -> 110 in a year with a drawdown from 125 to 100
    assert metrics.calmar_ratio([100, 125, 100, 110], years=1.0) == pytest.approx(0.10 / 0.20)


def test_conditional_value_at_risk_counts_the_last_return_of_the_tail_in_part():
    returns = np.arange(1, 31) / -100.0  # -1 % ... -30 %
    # 5 % of 30 are 1.5: all of -30 %, half of -29 %: (30 + 14.5) / 1.5
    assert metrics.conditional_value_at_risk(returns) == pytest.approx(-0.445 / 1.5)
    assert metrics.conditional_value_at_risk([0.01, -0.10], tail=0.5) == pytest.approx(-0.10)


def test_performance_gathers_them_from_one_path():
    equity = 100.0 * np.exp(0.001 * np.arange(366))
    got = metrics.performance(days(366), equity)
    assert got.years == 1.0
    assert got.log_growth == pytest.approx(0.365)
    assert got.max_drawdown == 0.0
    assert got.volatility == pytest.approx(0.0, abs=1e-9)


def test_hourly_and_daily_stamps_of_one_path_give_the_same_daily_measures():
    rng = np.random.default_rng(3)
    hourly = 100.0 * np.exp(np.cumsum(rng.normal(0, 0.01, 24 * 60 + 1)))
    coarse = metrics.performance(days(61), hourly[::24])
    fine = metrics.performance(START + np.arange(hourly.size) * HOUR, hourly)
    assert (fine.sharpe, fine.volatility, fine.log_growth) == (
        coarse.sharpe,
        coarse.volatility,
        coarse.log_growth,
    )


def test_a_ruined_path_shows_the_word_where_growth_or_a_ratio_would_stand():
    got = metrics.performance(days(4), [100.0, 300.0, 4.0, 4.0], ruined=True)
    row = got.as_row()
    assert row["sharpe"] == row["sortino"] == row["calmar"] == "ruined"
    assert row["max_drawdown"] == pytest.approx(1 - 4 / 300)
    assert row["log_growth"] == row["annual_return"] == "ruined"
    assert got.log_growth == pytest.approx(
        np.log(0.04) / (3 / 365)
    )  # of the path, for differences day by day


def test_equity_below_zero_counts_as_a_thousandth_of_the_start():
    got = metrics.performance(days(3), [100.0, -50.0, -50.0], ruined=True)
    assert got.log_growth == pytest.approx(np.log(0.001) / (2 / 365))
    assert got.max_drawdown == 1.0  # all of it is lost, and no more


def test_leverage_profile_measures_size_whatever_the_side():
    profile = metrics.leverage_profile([-3.0, 1.0, 2.0])
    assert profile["effective_leverage"] == pytest.approx(2.0)
    assert profile["leverage_p05"] == pytest.approx(1.1)  # a tenth of the way from 1 to 2


def test_activity_is_per_year_and_relative_to_mean_equity():
    got = metrics.activity(0.5, [900.0, 1100.0], {"fees": 10.0}, liquidations=1)
    assert got == {"fees": pytest.approx(0.02), "liquidations": 2.0}


@given(st.lists(st.floats(-0.3, 0.5), min_size=3, max_size=40))
def test_daily_growth_adds_up_to_the_growth_of_the_whole(returns):
    equity = 100.0 * np.cumprod([1.0, *(1.0 + r for r in returns)])
    growth = metrics.daily_log_growth(days(equity.size), equity)
    assert growth.sum() == pytest.approx(np.log(max(equity[-1], 0.1) / 100.0), abs=1e-9)


@pytest.mark.parametrize(
    ("time", "equity", "message"),
    [
        (days(3), [1.0, 2.0], "same length"),
        (days(3)[::-1], [1.0, 2.0, 3.0], "ascend"),
        (days(3), [1.0, np.nan, 3.0], "finite"),
        (days(3), [0.0, 1.0, 3.0], "positive at the start"),
    ],
)
def test_a_path_that_makes_no_sense_is_refused(time, equity, message):
    with pytest.raises(ValueError, match=message):
        metrics.performance(time, equity)


@given(st.lists(st.floats(-0.5, 0.5), min_size=4, max_size=60), st.integers(1, 7))
def test_a_drawdown_of_intervals_is_that_of_their_bars(moves, size):
    path = 100.0 * np.exp(np.concatenate([[0.0], np.cumsum(moves)]))
    parts = [
        path[k : k + size + 1] for k in range(0, len(path) - 1, size)
    ]  # each begins with the close before it
    lowest, highest = [p.min() for p in parts], [p.max() for p in parts]
    within = [metrics.max_drawdown(p) for p in parts]
    found = metrics.drawdown_within(path[0], lowest, highest, within)
    assert found == pytest.approx(metrics.max_drawdown(path))
