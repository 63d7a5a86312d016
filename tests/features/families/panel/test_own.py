"""Columns of a contract relative to its own month."""

import numpy as np
import pytest
from tests.features.markets import random_market

from gearing.features import FeatureSet, get_feature
from gearing.features.families.panel.own import WEEK_DECAY, WEEK_PRIOR, WEEKS


@pytest.fixture(scope="module")
def market():
    return random_market(24 * 130, n_contracts=1, seed=4)


def squares(market):
    return np.diff(np.log(market.close[:, 0])) ** 2  # squares[k] belongs to bar k + 1


def test_variance_is_relative_to_that_of_thirty_days(market):
    column = get_feature("relative_log_variance_24h")(market)[-1, 0]
    month, day = squares(market)[-720:].sum() / 30.0, squares(market)[-24:].sum()
    assert column == pytest.approx(np.log(day / month))
    assert get_feature("panel_level")(market)[-1, 0] == pytest.approx(np.log(month))


def test_a_window_longer_than_the_history_holds_the_history(market):
    column = get_feature("relative_log_variance_365d")(market)[-1, 0]
    whole, month = squares(market).mean() * 24.0, squares(market)[-720:].sum() / 30.0
    assert column == pytest.approx(np.log(whole / month))


def test_a_contract_has_all_columns_ten_days_after_its_listing():
    young = random_market(24 * 15, n_contracts=1, seed=5)
    table = FeatureSet(["panel_level", "relative_log_variance_365d", "scaled_fall_30d"]).compute(young)
    complete = np.flatnonzero(np.isfinite(table.values).all(axis=-1)[:, 0])
    assert complete[0] == 240  # 240 returns need 241 bars
    assert complete[-1] == 24 * 15 - 1


def test_returns_are_in_standard_deviations_of_the_month_and_falls_are_their_negative_part(market):
    log_close = np.log(market.close[:, 0])
    scale = np.sqrt(squares(market)[-720:].sum() / 30.0 * 7.0)
    expected = (log_close[-1] - log_close[-1 - 168]) / scale
    assert get_feature("scaled_return_7d")(market)[-1, 0] == pytest.approx(expected)
    returns, falls = (get_feature(f"scaled_{kind}_24h")(market)[300:] for kind in ("return", "fall"))
    np.testing.assert_array_equal(falls, np.maximum(-returns, 0.0))


def test_the_season_is_that_of_the_weekday_to_come(market):
    # The mean over weeks of the same coming 24 hours, one week ago, two weeks ago and so on.
    hours = np.convolve(squares(market), np.ones(24))[23 : len(squares(market))]  # ends at bar 24, 25, ...
    daily = np.full(market.n_bars, np.nan)
    daily[24:] = np.log(hours)
    mean = np.mean([np.roll(daily, 24 * k) for k in range(7)], axis=0)
    deviation, now = daily - mean, market.n_bars - 1
    past = [deviation[now - 24 * 6 - 168 * k] for k in range(WEEKS)]
    weights = WEEK_DECAY ** np.arange(WEEKS)
    expected = weights @ past / (weights.sum() + WEEK_PRIOR)
    assert get_feature("weekday_season")(market)[-1, 0] == pytest.approx(expected)


def test_a_price_that_never_moves_has_finite_columns(market):
    still = market.replace(last=np.full_like(market.last, 100.0), volume=np.zeros_like(market.volume))
    for name in ("panel_level", "relative_log_variance_24h", "scaled_return_7d", "log_volume_of_month"):
        assert np.isfinite(get_feature(name)(still)[241:]).all(), name
