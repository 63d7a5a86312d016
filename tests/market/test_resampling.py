import numpy as np
import pytest

from gearing.market import open_store, resample, resampling, synthetic_market
from gearing.market.store import write_store


@pytest.fixture(scope="module")
def market():
    return synthetic_market("market-b", seed=1, years=0.05, contracts=("A", "B"))


def test_longer_bars_hold_the_first_open_the_extremes_and_the_last_close(market):
    long = resample(market, "4h")
    np.testing.assert_array_equal(long.open[1], market.open[4])
    np.testing.assert_array_equal(long.high[1], market.high[4:8].max(axis=0))
    np.testing.assert_array_equal(long.mark_low[1], market.mark_low[4:8].min(axis=0))
    np.testing.assert_array_equal(long.close[1], market.close[7])
    np.testing.assert_allclose(long.volume[1], market.volume[4:8].sum(axis=0))
    assert long.finer.n_bars == 4 * long.n_bars


def test_bars_open_on_multiples_of_their_length_and_parts_are_dropped(market):
    long = resample(market.between("2020-01-01T03:00", "2020-01-03T02:00"), "8h")
    assert long.open_time[0] == np.datetime64("2020-01-01T08:00")
    assert long.n_bars == 5
    assert long.settlements["time"].max() < long.close_time[-1]


def test_two_steps_give_the_same_as_one(market):
    two, one = resample(resample(market, "2h"), "8h"), resample(market, "8h")
    np.testing.assert_array_equal(two.last, one.last)
    np.testing.assert_array_equal(two.mark, one.mark)
    np.testing.assert_allclose(two.volume, one.volume)


@pytest.mark.parametrize(
    ("bar", "words"), [("90m", "not a multiple"), ("30m", "not a multiple"), ("60d", "no whole bar")]
)
def test_lengths_that_do_not_fit_are_refused(market, bar, words):
    with pytest.raises(ValueError, match=words):
        resample(market, bar)


def test_longer_bars_of_a_store_are_made_once_and_equal_those_made_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(resampling, "CACHED_FROM", 1)
    market = synthetic_market("market-b", seed=3, years=0.1, contracts=("A", "B")).replace(truth=None)
    stored = open_store(write_store(tmp_path / "s", [market]))
    made = [resample(stored.select("B"), "4h") for _ in range(2)]
    assert len(list((tmp_path / "s" / "derived").glob("bars-*"))) == 1
    for one in made:
        assert one.fingerprint == resample(market.select("B"), "4h").fingerprint
        assert np.shares_memory(one.finer.last, stored.last)
    other = resample(stored.select("B").between("2020-01-02"), "4h")
    assert other.fingerprint == resample(market.select("B").between("2020-01-02"), "4h").fingerprint
