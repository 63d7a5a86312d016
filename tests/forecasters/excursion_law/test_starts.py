import numpy as np
import pytest
from tests.features.markets import random_market
from tests.simulation.markets import START, market as tiny_market

from gearing.forecasters.excursion_law.starts import ages_in_days, daily_starts, largest_adverse_move


def test_an_adverse_move_is_the_extreme_of_the_mark_after_the_close():
    market = random_market(24 * 4, n_contracts=1)
    close = market.mark_close[23, 0]
    falls = np.log(close / market.mark_low[24:48, 0].min())
    rises = np.log(market.mark_high[24:48, 0].max() / close)
    assert largest_adverse_move(market, "1d", 1)[23, 0] == pytest.approx(max(falls, 0.0))
    assert largest_adverse_move(market, "1d", -1)[23, 0] == pytest.approx(max(rises, 0.0))
    assert np.isnan(largest_adverse_move(market, "1d", 1)[-24:]).all()


def test_a_price_that_only_rises_never_moves_against_a_long():
    market = tiny_market(100.0 * 1.001 ** np.arange(24 * 3))
    assert largest_adverse_move(market, "1d", 1)[30, 0] == 0.0
    # the highest of the next 24 closes is 24 bars on
    np.testing.assert_allclose(largest_adverse_move(market, "1d", -1)[30, 0], 24 * np.log(1.001))


def test_starts_are_midnights_and_a_symbol_that_comes_twice_is_taken_once():
    market = random_market(24 * 12, n_contracts=2)
    starts = daily_starts([market, market.select(["C1"])], ("7d", "1d"))
    assert starts.symbols == ("C0", "C1")
    assert starts.horizons == ("1d", "7d")
    assert starts.lengths.tolist() == [1, 7]
    day = 3  # the close of bar 71 is the third midnight after the first bar
    np.testing.assert_array_equal(
        starts.excursion[1, 0, :, day], largest_adverse_move(market, "7d", 1)[24 * day - 1]
    )


def test_what_was_known_at_a_midnight_has_no_excursion_that_had_not_ended():
    starts = daily_starts([random_market(24 * 20, n_contracts=1)], ("1d", "7d"))
    day = starts.days[12]
    known = starts.until(day)
    assert known.days[-1] == day
    assert np.isfinite(known.excursion[1, 0, 0]).nonzero()[0].max() == 12 - 7
    assert np.isfinite(known.excursion[0, 0, 0]).nonzero()[0].max() == 12 - 1


def test_an_age_counts_days_since_the_first_bar():
    market = tiny_market(np.full(48, 100.0), start=START)
    np.testing.assert_allclose(ages_in_days(market)[[0, 23, 47], 0], [1 / 24, 1.0, 2.0])
