import numpy as np
import pytest
from tests.simulation.markets import market as tiny_market

from gearing.features.leakage import rewrite_future
from gearing.forecasters.excursion_law.scale import days_of, ewma_scale, mixed_scale


def wave(move, n=24 * 40):
    """A price that goes up and down by the same log move every hour."""
    return tiny_market(100.0 * np.exp(move * (np.arange(n) % 2)))


def test_a_constant_hourly_move_has_its_own_scale_over_every_horizon():
    # 24 hours of 1 %: sqrt(24) x 0.01 a day, times sqrt(7) a week, for any weights that sum to one
    for scale in (mixed_scale, ewma_scale("10d")):
        found = scale(wave(0.01), ("1d", "7d", "12d"))[:, -1, 0]
        np.testing.assert_allclose(found, 0.01 * np.sqrt(24.0 * np.array([1.0, 7.0, 12.0])), rtol=1e-9)


def test_the_short_horizon_forgets_faster():
    closes = 100.0 * np.exp(
        np.cumsum(np.r_[np.full(24 * 60, 0.01), np.full(24, 0.03)] * (-1.0) ** np.arange(24 * 61))
    )
    day, month = mixed_scale(tiny_market(closes), ("1d", "30d"))[:, -1, 0] / np.sqrt([1.0, 30.0])
    assert day > month > 0.01 * np.sqrt(24.0)


def test_a_price_that_stands_still_has_a_scale():
    assert np.isfinite(np.log(mixed_scale(wave(0.0), ("1d",))[0, -1, 0]))


def test_a_scale_knows_nothing_of_a_rewritten_future():
    market = tiny_market(100.0 * np.exp(np.cumsum(np.random.default_rng(1).normal(0.0, 0.01, 24 * 30))))
    row = 24 * 20
    before, after = (
        mixed_scale(m, ("1d", "7d"))[:, : row + 1] for m in (market, rewrite_future(market, row))
    )
    assert before.tobytes() == after.tobytes()


def test_a_contract_has_no_scale_before_its_second_bar():
    scale = mixed_scale(wave(0.01), ("1d",))[0, :, 0]
    assert np.isnan(scale[0])
    assert np.isfinite(scale[1:]).all()


@pytest.mark.parametrize("horizon", ["12h", "36h", "31d", "0d"])
def test_the_law_knows_whole_days_up_to_thirty(horizon):
    with pytest.raises(ValueError, match="whole days from 1d to 30d"):
        days_of(horizon)
