import json
import time

import numpy as np
import pytest

from gearing.market import MarketData, synthetic_market
from gearing.market.synthetic.market_b import MarketB, season_of


def returns(market: MarketData) -> np.ndarray:
    return np.log(market.close / market.open)


@pytest.fixture(scope="module")
def market() -> MarketData:
    return synthetic_market("market-b", seed=3, years=6)


def test_the_same_seed_gives_the_same_market_and_another_seed_another(market):
    assert synthetic_market("market-b", seed=3, years=6).fingerprint == market.fingerprint
    assert synthetic_market("market-b", seed=4, years=6).fingerprint != market.fingerprint


def test_six_years_take_well_under_a_second_once_compiled(market):
    start = time.thread_time()  # of a busy machine, the wall clock says nothing
    synthetic_market("market-b", seed=5, years=6)
    assert time.thread_time() - start < 0.8


def test_a_bar_opens_where_the_one_before_closed(market):
    np.testing.assert_array_equal(market.open[1:], market.close[:-1])
    np.testing.assert_array_equal(market.mark_open[1:], market.mark_close[:-1])


def test_returns_have_the_variance_that_the_generator_knew_at_the_open(market):
    # standardised by the known variance plus that of the jumps: E[J^2] = 2 mean^2 (untruncated, 55 % down)
    jump = 0.55 * 2 * 0.018**2 + 0.45 * 2 * 0.015**2
    expected = (market.truth["variance"] + market.truth["jump_intensity"] * jump) / 8760
    ratio = (returns(market) ** 2).sum() / expected.sum()
    assert ratio == pytest.approx(1.0, abs=0.12)


def test_without_jumps_and_tails_standardised_returns_are_normal():
    calm = synthetic_market("market-b", seed=1, years=4, jumps_a_year=0.0, degrees_of_freedom=1e6)
    z = returns(calm) / np.sqrt(calm.truth["variance"] / 8760)
    assert z.std() == pytest.approx(1.0, abs=0.01)
    assert (z**4).mean() == pytest.approx(3.0, abs=0.15)


def test_settlements_fall_every_eight_hours_and_truth_knows_those_at_the_bars_close(market):
    assert np.unique(np.diff(market.settlements["time"])) == np.timedelta64(8, "h")
    at_close = market.truth["funding"][7::8, 0]
    np.testing.assert_array_equal(at_close[:-1], market.settlements["rate"][1 : at_close.size])
    assert not market.truth["funding"][:7].any()


def test_mark_and_index_stay_near_the_traded_price_and_wick_less(market):
    gap = np.abs(np.log(market.mark_close / market.close))
    assert 0.5e-4 < gap.mean() < 4e-4
    assert (market.mark_high - market.mark_low).sum() < (market.high - market.low).sum()


def test_the_first_contract_is_the_same_alone_and_in_company(market):
    three = synthetic_market("market-b", seed=3, years=1, contracts=("A", "B", "C"))
    alone = synthetic_market("market-b", seed=3, years=1)
    np.testing.assert_array_equal(three.close[:, 0], alone.close[:, 0])
    correlation = np.corrcoef(returns(three).T)
    assert 0.5 < correlation[0, 1] < 0.9


def test_uncorrelated_contracts_are_uncorrelated():
    pair = synthetic_market(
        "market-b", seed=2, years=4, contracts=("A", "B"), correlation=0.0, jump_correlation=0.0
    )
    assert abs(np.corrcoef(returns(pair).T)[0, 1]) < 0.05


def test_droughts_thin_the_volume():
    dry = synthetic_market("market-b", seed=2, years=2, drought_days_a_year=60)
    wet = synthetic_market("market-b", seed=2, years=2)
    share = (dry.volume < 0.5 * wet.volume).mean()
    assert 0.05 < share < 0.35  # 60 of 365 days = 0.16


def test_season_peaks_at_three_in_the_afternoon_and_rests_at_weekends():
    season = season_of(MarketB(), 24 * 7)
    assert season[:24].argmax() == 15
    # 2020-01-01 is a Wednesday: hour 72 is Saturday 00:00
    assert season[72] / season[0] == pytest.approx(0.72**2)


def test_parameters_travel_with_the_market(market):
    assert json.loads(str(market.truth["parameters"]))["slow_sd"] == 0.75


def test_longer_bars_keep_the_hours_as_the_path_inside():
    market = synthetic_market("market-b", seed=0, years=0.1, bar="8h")
    assert market.bar == np.timedelta64(8, "h")
    assert market.finer.bar == np.timedelta64(1, "h")
    assert market.high[0] == market.finer.high[:8].max()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"kind": "market-c"}, "Did you mean 'market-b'"),
        ({"years": -1}, "must be positive"),
        ({"jump_rate": 3}, "no setting 'jump_rate'. Did you mean 'jumps_a_year'"),
        ({"correlation": 2.0}, r"must lie in \[0, 1\]"),
    ],
)
def test_wrong_requests_are_refused_with_the_rule(call, words):
    with pytest.raises(ValueError, match=words):
        synthetic_market(**call)
