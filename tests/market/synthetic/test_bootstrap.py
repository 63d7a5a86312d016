import numpy as np
import pytest

from gearing.market import synthetic_market


@pytest.fixture(scope="module")
def source():
    return synthetic_market("market-b", seed=2, years=1, contracts=("A", "B"))


@pytest.fixture(scope="module")
def resampled(source):
    return synthetic_market("bootstrap", seed=3, years=2, source=source)


def test_every_return_is_one_of_the_source_and_contracts_stay_together(source, resampled):
    rows = resampled.truth["source_bar"]
    returns = np.log(resampled.close[1:] / resampled.close[:-1])
    np.testing.assert_allclose(
        returns, np.log(source.close[rows[1:]] / source.close[rows[1:] - 1]), atol=1e-10
    )


def test_bars_inside_a_block_keep_their_shape_and_their_mark(source, resampled):
    rows = resampled.truth["source_bar"]
    np.testing.assert_allclose(resampled.high / resampled.open, source.high[rows] / source.open[rows])
    np.testing.assert_allclose(resampled.mark_low / resampled.low, source.mark_low[rows] / source.low[rows])


def test_the_hour_of_the_week_survives(source, resampled):
    rows = resampled.truth["source_bar"]
    assert not ((resampled.open_time - source.open_time[rows]) % np.timedelta64(7, "D")).astype(int).any()


def test_settlements_move_with_their_bar(source, resampled):
    rates = {(t, c): r for t, c, r, _ in source.settlements.tolist()}
    rows = resampled.truth["source_bar"]
    for new in resampled.settlements[::101]:
        bar = int((new["time"] - resampled.open_time[0]) / resampled.bar)
        assert rates[(source.open_time[rows[bar]].item(), new["contract"].item())] == new["rate"]
    assert resampled.settlements.size == pytest.approx(2 * 3 * 730, abs=60)


def test_blocks_are_as_long_as_requested(source):
    market = synthetic_market("bootstrap", seed=1, years=20, source=source, block="10d")
    seams = (np.diff(market.truth["source_bar"]) != 1).sum()
    assert 20 * 365 / seams == pytest.approx(10, rel=0.15)


def test_seeds_decide(source):
    make = lambda seed: synthetic_market("bootstrap", seed=seed, years=0.2, source=source).fingerprint  # noqa: E731
    assert make(1) == make(1) != make(2)


def test_without_a_source_it_says_what_to_pass():
    with pytest.raises(ValueError, match="pass source="):
        synthetic_market("bootstrap")
