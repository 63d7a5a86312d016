import numpy as np
import pytest

from gearing.market import synthetic_market
from gearing.market.synthetic.market_a import STEPS_A_YEAR, VARIANTS, from_json, market_a


@pytest.fixture(scope="module")
def market():
    return synthetic_market("market-a", seed=1, years=200)


def test_stationary_shares_and_mean_funding_are_those_of_the_protocol():
    model = market_a()
    share = model.stationary.reshape(model.shape)
    np.testing.assert_allclose(share.sum(axis=(0, 2)), [0.40, 0.46, 0.13, 0.01], atol=0.004)
    # uniform exits: proportional to the mean stays 25, 20, 30
    np.testing.assert_allclose(share.sum(axis=(1, 2)), np.array([25, 20, 30]) / 75, atol=1e-9)
    assert model.stationary @ model.of_state(model.funding, 2) * 1e4 == pytest.approx(1.5, abs=0.002)


@pytest.mark.parametrize("variant", VARIANTS)
def test_transition_rows_add_up_and_states_stay_as_long_as_the_protocol_says(variant):
    model = market_a(variant)
    np.testing.assert_allclose(model.transitions.sum(axis=1), 1.0, atol=1e-12)
    assert (model.transitions >= 0.0).all()


def test_the_mean_stay_in_a_storm_is_a_day_and_a_half(market):
    storm = market.truth["volatility_regime"][:, 0] == 3
    leaves = (storm[:-1] & ~storm[1:]).sum()
    assert storm.sum() / leaves / 3 == pytest.approx(1.5, rel=0.1)


def test_returns_have_the_mean_and_variance_of_their_state(market):
    # drift-adjusted returns of the calm state: variance per step 0.28^2 / 1095 + jumps 6 / 1095 x E[J^2]
    simple = (market.close / market.open - 1.0)[:, 0]
    calm = market.truth["volatility_regime"][:, 0] == 0
    jump = 0.55 * 2 * 0.022**2 + 0.45 * 2 * 0.018**2
    assert simple[calm].var() == pytest.approx((0.28**2 + 6 * jump) / STEPS_A_YEAR, rel=0.06)
    error = simple - market.truth["drift"][:, 0] / STEPS_A_YEAR
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(error.size)


def test_funding_settles_at_the_close_of_the_step_whose_level_it_is(market):
    rows = market.settlements
    assert rows["time"][0] == market.close_time[0]
    np.testing.assert_array_equal(rows["rate"], market.truth["funding"][:-1, 0])
    # the level of the coming step is published
    np.testing.assert_array_equal(market.predicted_rate[:-1], market.truth["funding"][1:])
    np.testing.assert_array_equal(market.truth["state_at_close"][:-1], market.truth["state"][1:])


def test_a_bars_extremes_are_its_ends_and_mark_is_the_traded_price(market):
    np.testing.assert_array_equal(market.high, np.maximum(market.open, market.close))
    np.testing.assert_array_equal(market.mark, market.last)


def test_the_contract_has_no_maintenance_margin_and_no_rounding(market):
    contract = market.contracts[0]
    assert contract.schedules[0].tiers[0].rate == 0.0
    assert (contract.tick_size, contract.lot_size, contract.min_notional) == (0, 0, 0)


def test_several_contracts_share_the_states_and_are_correlated():
    pair = synthetic_market("market-a", seed=1, years=20, contracts=("A", "B"))
    np.testing.assert_array_equal(pair.truth["state"][:, 0], pair.truth["state"][:, 1])
    z = np.log(pair.close / pair.open)
    assert 0.7 < np.corrcoef(z.T)[0, 1] < 0.9  # 0.75, and jumps in common


def test_the_model_travels_with_the_market(market):
    assert from_json(str(market.truth["parameters"])) == market_a()


def test_an_unknown_variant_names_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'no-jumps'"):
        synthetic_market("market-a", variant="no-jump")
