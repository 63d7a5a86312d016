"""Values of the families against worked numbers and other libraries."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import talib
from tests.features.markets import HOUR, random_market

from gearing.features import get_feature


@pytest.fixture(scope="module")
def market():
    return random_market(1_200, n_contracts=1)


def values(name, market):
    return get_feature(name)(market)[:, 0]


def test_realised_volatility_agrees_with_pandas(market):
    returns = np.log(pd.Series(market.close[:, 0])).diff()
    expected = np.sqrt((returns**2).rolling(24).mean() * 365 * 24)
    np.testing.assert_allclose(values("realized_volatility_24h", market)[24:], expected[24:], rtol=1e-10)


def test_atr_and_bollinger_bands_agree_with_talib(market):
    high, low, close = (np.ascontiguousarray(x[:, 0]) for x in (market.high, market.low, market.close))
    atr = talib.SMA(talib.TRANGE(high, low, close), 24) / close
    np.testing.assert_allclose(values("atr_24h", market)[30:], atr[30:], rtol=1e-9)
    upper, middle, lower = talib.BBANDS(close, 480, 2.0, 2.0)
    np.testing.assert_allclose(
        values("bollinger_width_20d", market)[480:], ((upper - lower) / middle)[480:], rtol=1e-6
    )
    position = (close - middle) / (upper - middle)
    np.testing.assert_allclose(
        values("bollinger_position_20d", market)[480:], position[480:], rtol=1e-5, atol=1e-7
    )


def one_kind_of_bar(market, open_, high, low, close):
    last = np.broadcast_to(np.array([open_, high, low, close]), market.last.shape).copy()
    return replace(market, last=last, mark=last, index=None)


def test_range_estimators_of_a_known_bar(market):
    bar = one_kind_of_bar(market, 100.0, 110.0, 95.0, 105.0)
    year = 365 * 24
    parkinson = np.log(110 / 95) ** 2 / (4 * np.log(2))
    garman_klass = 0.5 * np.log(110 / 95) ** 2 - (2 * np.log(2) - 1) * np.log(1.05) ** 2
    rogers_satchell = np.log(110 / 105) * np.log(1.1) + np.log(95 / 105) * np.log(0.95)
    for name, variance in (
        ("parkinson", parkinson),
        ("garman_klass", garman_klass),
        ("rogers_satchell", rogers_satchell),
    ):
        assert values(f"{name}_volatility_24h", bar)[-1] == pytest.approx(np.sqrt(variance * year))
    # gaps and bodies never vary, so Yang-Zhang keeps its third part: 1 - k, k = 0.34 / (1.34 + 25 / 23)
    k = 0.34 / (1.34 + 25 / 23)
    expected = np.sqrt((1 - k) * rogers_satchell * year)
    assert values("yang_zhang_volatility_24h", bar)[-1] == pytest.approx(expected)


def test_bipower_variation_ignores_one_jump_that_realised_variance_counts(market):
    returns = np.full(market.n_bars, 0.001)
    returns[::2] *= -1.0
    returns[-5] = 0.1
    close = 100 * np.exp(np.cumsum(returns))[:, None]
    last = np.repeat(close[:, :, None], 4, axis=2)
    jumpy = replace(market, last=last, mark=last, index=None)
    # RV = 23e-6 + 0.01; BV = pi/2 x (22 x 1e-6 + 2 x 1e-4): the jump counts in two products only
    bipower = np.pi / 2 * (22e-6 + 2e-4)
    assert values("jump_share_24h", jumpy)[-1] == pytest.approx(1 - bipower / (23e-6 + 0.01), rel=1e-6)
    assert values("downside_share_24h", jumpy)[-1] == pytest.approx(12e-6 / (23e-6 + 0.01), rel=1e-6)


def test_a_settlement_at_the_close_itself_is_not_yet_known(market):
    settlements = market.settlements[:2].copy()
    settlements["time"] = [market.open_time[10], market.open_time[20]]
    settlements["rate"] = [0.0004, -0.0002]
    quiet = replace(market, settlements=settlements)
    rate = values("funding_rate", quiet)
    # bar 19 closes exactly when the second settles: it still knows the first only
    np.testing.assert_allclose(rate[[24, 30, 43]], [-0.0002, -0.0002, -0.0002])
    later = replace(market, settlements=_moved(settlements, market.open_time[[30, 40]]))
    np.testing.assert_allclose(
        values("funding_rate", later)[[29, 30, 39, 40]], [0.0, 0.0004, 0.0004, -0.0002]
    )


def _moved(settlements, times):
    moved = settlements.copy()
    moved["time"] = times
    return moved


def test_funding_carry_is_what_a_long_paid_in_a_year(market):
    settlements = market.settlements.copy()
    settlements["rate"] = 0.0001
    steady = replace(market, settlements=settlements)
    # three times a day 0.01 %: 0.0001 x 3 x 365 = 10.95 % a year
    assert values("funding_carry_7d", steady)[-1] == pytest.approx(0.1095)
    assert values("funding_mean_7d", steady)[-1] == pytest.approx(0.0001)


def test_time_to_settlement_counts_down_to_the_stamp(market):
    hours = values("time_to_settlement", market)
    # settlements at 00, 08, 16; the bar of 13:00 closes at 14:00, two hours before 16:00
    at = np.flatnonzero(market.open_time.astype("datetime64[h]").astype(int) % 24 == 13)[5]
    assert hours[at] == pytest.approx(2.0)
    assert hours[at + 2] == pytest.approx(0.0)


def test_calendar_features_describe_what_comes_after_the_close(market):
    sunday_last = np.flatnonzero(market.open_time == np.datetime64("2023-01-08T23:00"))[
        0
    ]  # closes Monday 00:00
    assert values("next_day_monday", market)[sunday_last] == 1.0
    assert values("next_day_sunday", market)[sunday_last - 6] == pytest.approx(
        0.25
    )  # Sunday 18:00: six hours left
    assert values("next_day_monday", market)[sunday_last - 6] == pytest.approx(0.75)
    assert values("weekday_cos", market)[sunday_last] == pytest.approx(1.0)
    assert values("hour_sin", market)[sunday_last] == pytest.approx(0.0, abs=1e-12)


def test_weekday_shares_always_add_to_one(market):
    from gearing.features.families.calendar import DAYS

    total = sum(values(f"next_day_{day}", market) for day in DAYS)
    np.testing.assert_allclose(total, 1.0)


def test_trend_and_momentum_carry_the_sign_of_the_direction(market):
    up = 100.0 * np.exp(np.linspace(0.0, 0.5, market.n_bars))[:, None, None]
    last = np.repeat(up, 4, axis=2)
    rising = replace(market, last=last, mark=last, index=None)
    assert values("trend_7d", rising)[-1] > 0
    assert values("momentum_30d", rising)[-1] == pytest.approx(0.5 * 720 / (market.n_bars - 1))
    assert values("breakout_7d", rising)[-1] == 1.0
    assert values("drawdown_30d", rising)[-1] == 0.0
    assert values("adx_24h", rising)[-1] == pytest.approx(1.0)


def test_corwin_schultz_finds_the_spread_of_a_price_that_only_bounces(market):
    # every range is ln(100.5 / 99.5), of one bar and of two: all of it is spread, 1 %
    bounce = one_kind_of_bar(market, 100.0, 100.5, 99.5, 100.0)
    assert values("corwin_schultz_spread_24h", bounce)[-1] == pytest.approx(0.01, rel=1e-3)


def test_a_price_that_never_moves_saturates_instead_of_failing(market):
    from gearing.features import FeatureSet, registered_features

    still = one_kind_of_bar(market, 100.0, 100.0, 100.0, 100.0)
    names = [
        f.name for f in registered_features() if f.available(still) and f.lookback_bars(HOUR) < market.n_bars
    ]
    table = FeatureSet(names).compute(still)
    missing = [n for n in names if not np.isfinite(table.column(n)[-1]).all()]
    assert missing == []
    assert table.saturated["log_variance_24h"] > 0  # log of zero, moved onto the lower bound
