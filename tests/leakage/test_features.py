"""Every registered feature looks back only, and no further than it declares."""

import numpy as np
import pytest
from tests.features.markets import random_market

from gearing.features import Feature, registered_features
from gearing.features.leakage import check_lookback, check_no_future

FEATURES = pytest.mark.parametrize("feature", registered_features(), ids=lambda f: f.name)


@pytest.fixture(scope="module")
def market():
    return random_market(n_bars=9_200)  # longer than the longest lookback, a year and a day


@pytest.fixture(scope="module")
def coarse_market():
    return random_market(n_bars=1_400, bar=np.timedelta64(8 * 3_600_000, "ms"))


@FEATURES
def test_rows_before_a_rewritten_future_are_bit_identical(feature, market):
    check_no_future(feature, market, row=9_000)


@FEATURES
def test_the_last_row_needs_no_more_than_the_declared_lookback(feature, market):
    check_lookback(feature, market)


@FEATURES
def test_the_same_holds_on_bars_of_eight_hours(feature, coarse_market):
    check_no_future(feature, coarse_market, row=1_300)
    check_lookback(feature, coarse_market)


@FEATURES
def test_values_lie_inside_the_declared_bounds_on_an_ordinary_market(feature, market):
    values = feature(market)[feature.lookback_bars(market.bar) - 1 :]
    assert np.isfinite(values).all()
    assert (values >= feature.lower).all()
    assert (values <= feature.upper).all()


def _sentinel(lead):
    def next_return(market):
        returns = np.diff(np.log(market.close), axis=0, append=np.nan)
        return np.roll(np.nan_to_num(returns), -lead, axis=0)

    return Feature("sentinel", next_return, ("1bar",), "log", -1.0, 1.0, "test")


def test_a_feature_that_knows_the_next_return_is_caught(market):
    with pytest.raises(AssertionError, match="uses future bars"):
        check_no_future(_sentinel(lead=0), market, row=9_000)


def test_a_feature_with_too_short_a_lookback_is_caught(market):
    def cumulative(market):
        return np.cumsum(np.ones((market.n_bars, market.n_contracts)), axis=0)

    with pytest.raises(AssertionError, match="whole history"):
        check_lookback(Feature("count", cumulative, ("24h",), "bars", 0.0, 1e9, "test"), market)
