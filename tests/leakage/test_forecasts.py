"""Forecasts of every registered recipe: nothing before t knows what came after t."""

import numpy as np
import pytest
from tests.features.markets import random_market
from tests.forecasters.models.test_estimators import small

from gearing.features import feature, forget_feature
from gearing.features.leakage import rewrite_future
from gearing.forecasters import Schedule, forecast_rows, forecast_volatility_column, forecasters, walk_forward
from gearing.forecasters.models.har import HARVolatility
from gearing.forecasters.scoring.scores import qlike

SCHEDULE = Schedule(first_train="60d", refit="30d")


@pytest.fixture(scope="module")
def market():
    return random_market(24 * 250, seed=2)


@pytest.mark.parametrize("name", list(forecasters()))
def test_forecasts_before_a_rewritten_future_are_bit_identical(name, market):
    row = 24 * 200 + 7
    parameters = small(name).get_params(deep=False)
    before = forecast_volatility_column(market, name, schedule=SCHEDULE, **parameters)
    after = forecast_volatility_column(rewrite_future(market, row), name, schedule=SCHEDULE, **parameters)
    assert np.isfinite(before.values[row]).all()
    assert before.values[: row + 1].tobytes() == after.values[: row + 1].tobytes()
    assert not np.array_equal(before.values[row + 48 :], after.values[row + 48 :])


def _score(market, column):
    rows = forecast_rows(market, ["log_variance_24h", column], every="24h")
    made = walk_forward(HARVolatility(), rows, SCHEDULE)
    known = np.isfinite(made.rows.y)
    return qlike(made.rows.y[known], made.value[known]).mean()


def test_a_column_that_knows_the_next_day_scores_absurdly_well_and_a_lagged_one_does_not(market):
    def future(lead):
        def log_next_day(market):
            from gearing.forecasters import future_variance

            known = np.nan_to_num(np.log(future_variance(market, "24h")), nan=-7.0)
            return np.roll(known, 24 - lead, axis=0)

        return log_next_day

    try:
        declared = {"unit": "log", "lower": -30.0, "upper": 5.0, "source": "test", "lookback": "2d"}
        feature(name="sentinel", **declared)(future(lead=24))
        feature(name="lagged_sentinel", **declared)(future(lead=0))
        honest = _score(market, "log_variance_7d")
        assert _score(market, "sentinel") < 0.01 * honest
        assert _score(market, "lagged_sentinel") > 0.8 * honest
    finally:
        forget_feature("sentinel")
        forget_feature("lagged_sentinel")
