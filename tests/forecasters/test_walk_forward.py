import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from tests.features.markets import HOUR, random_market

from gearing.features import FeatureSet
from gearing.forecasters import (
    Schedule,
    forecast_rows,
    forecast_volatility_column,
    future_variance,
    walk_forward,
)

DAY = 24 * HOUR
SHORT = Schedule(first_train="40d", refit="20d")


@pytest.fixture(scope="module")
def market():
    return random_market(24 * 200)


class Witness(RegressorMixin, BaseEstimator):
    """Predicts how many rows it was fitted on."""

    def fit(self, X, y):
        self.n_ = len(y)
        self.latest_ = X[:, 0].max()
        return self

    def predict(self, X):
        return np.full(len(X), float(self.n_))


def test_the_target_covers_the_bars_after_the_close(market):
    returns = np.diff(np.log(market.close[:, 0]))  # returns[k] belongs to bar k + 1
    y = future_variance(market, "24h")[:, 0]
    assert y[100] == pytest.approx((returns[100:124] ** 2).sum())
    assert np.isnan(y[-24:]).all()
    assert np.isfinite(y[1:-24]).all()  # the very first row's window would need a return that is there: bar 1


def test_rows_are_complete_and_on_their_clock(market):
    rows = forecast_rows(market, ["log_variance_24h"], every="24h")
    assert np.isfinite(rows.X).all()
    assert (rows.known_at.astype("datetime64[h]").astype(int) % 24 == 0).all()
    assert (rows.ends_at - rows.known_at == DAY).all()
    assert set(rows.contract) == {0, 1}


@pytest.mark.parametrize("window", [None, "60d"])
@pytest.mark.parametrize("embargo", ["0h", "5d"])
def test_no_target_used_in_training_ends_after_the_fit(market, window, embargo):
    rows = forecast_rows(market, ["log_variance_24h"], every="24h")
    schedule = Schedule(first_train="40d", refit="20d", window=window, embargo=embargo)
    made = walk_forward(Witness(), rows, schedule, correct_bias=False)
    assert (made.fitted_until <= made.rows.known_at).all()
    for moment in np.unique(made.fitted_until):
        limit = moment - np.timedelta64(0 if embargo == "0h" else 5, "D")
        ended = rows.ends_at <= limit
        if window:
            ended &= rows.known_at >= moment - 60 * DAY
        assert (made.value[made.fitted_until == moment] == ended.sum()).all()


def test_every_row_after_the_first_window_is_forecast_once(market):
    rows = forecast_rows(market, ["log_variance_24h"])
    made = walk_forward(Witness(), rows, SHORT)
    assert (made.rows.known_at >= rows.known_at.min() + 40 * DAY).all()
    assert len(set(zip(made.rows.bar_index, made.rows.contract, strict=True))) == len(made.value)
    assert made.rows.known_at.max() == market.close_time[-1]


def test_monthly_refits_fall_on_the_first_of_the_month():
    first, last = np.datetime64("2020-01-15", "ms"), np.datetime64("2021-04-10", "ms")
    moments = Schedule(first_train="365d").refits(first, last)
    assert [str(m)[:10] for m in moments] == ["2021-02-01", "2021-03-01", "2021-04-01"]


def test_the_bias_correction_uses_past_residuals_only(market):
    class Half(Witness):
        def predict(self, X):
            return np.exp(X[:, 0]) / 2

    rows = forecast_rows(market, ["log_variance_24h"], every="24h").take(slice(0, 190))
    made = walk_forward(Half(), rows, SHORT)
    raw = np.exp(made.rows.X[:, 0]) / 2
    scale = made.value / raw
    past = made.rows.ends_at <= made.fitted_until[-1]
    assert scale[-1] == pytest.approx((made.rows.y[past] / raw[past]).mean())
    assert scale[0] == 1.0  # nothing to learn from yet
    assert made.last_model.scale == pytest.approx(scale[-1])


@pytest.mark.slow  # starting two processes
def test_parallel_blocks_give_the_same_forecast(market):
    rows = forecast_rows(market, ["log_variance_24h", "log_variance_7d"], every="24h")
    from gearing.forecasters.models.har import HARVolatility

    seen = []
    one = walk_forward(HARVolatility(), rows, SHORT, progress=lambda done, total: seen.append((done, total)))
    two = walk_forward(HARVolatility(), rows, SHORT, n_jobs=2)
    np.testing.assert_array_equal(one.value, two.value)
    assert seen[-1][0] == seen[-1][1] == len(seen)


def test_too_short_a_history_says_so(market):
    rows = forecast_rows(market, ["log_variance_24h"], every="24h")
    with pytest.raises(ValueError, match="first training window of 365d"):
        walk_forward(Witness(), rows)


def test_the_column_joins_a_table_with_its_stamps(market):
    column = forecast_volatility_column(market, "har", schedule=SHORT)
    table = column.join(FeatureSet(["log_return"]).compute(market))
    first = table.first_complete
    assert table.close_time[first] - market.open_time[0] >= 70 * DAY  # 30 days of lookback, 40 of training
    assert (table.column("forecast_volatility")[first:] > 0).all()
    assert (table.fitted_until["forecast_volatility"][first:] <= table.close_time[first:, None]).all()
    latest = FeatureSet(list(column.recipe.columns)).compute(market).values[-1]
    variance = column.model.predict(latest.astype(float))
    np.testing.assert_allclose(np.sqrt(variance * 365), column.values[-1], rtol=1e-6)


def test_forecast_volatility_is_near_the_true_one_when_that_never_changes():
    still = random_market(24 * 150, n_contracts=1, seed=4)
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(0.0, 0.01, (still.n_bars, 1)), axis=0))
    from dataclasses import replace

    last = np.repeat(close[:, :, None], 4, axis=2)
    column = forecast_volatility_column(replace(still, last=last, mark=last, index=None), schedule=SHORT)
    assert np.nanmean(column.values) == pytest.approx(0.01 * np.sqrt(365 * 24), rel=0.03)


def test_short_horizons_are_fitted_on_every_hour():
    assert Schedule().clock("168h") == Schedule().clock("24h") == "24h"
    assert Schedule().clock("1h") == "1h"
    assert Schedule(fit_every="6h").clock("24h") == "6h"


def test_a_contract_that_ends_keeps_its_last_forecast(market):
    from dataclasses import replace

    tradable = market.tradable.copy()
    tradable[-100:, 1] = False
    last, mark = market.last.copy(), market.mark.copy()
    last[~tradable], mark[~tradable] = np.nan, np.nan
    ended = replace(market, last=last, mark=mark, tradable=tradable, index=None)
    table = forecast_volatility_column(ended, schedule=SHORT).join(FeatureSet(["log_return"]).compute(ended))
    column = table.column("forecast_volatility")[:, 1]
    assert (column[-100:] == column[-101]).all()
    assert table.first_complete > 0  # no gap after the warm-up
