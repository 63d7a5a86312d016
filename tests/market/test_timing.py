from datetime import timedelta

import numpy as np
import pytest

from gearing.market.timing import bars_in, is_duration, parse_duration, positive_duration

HOUR = np.timedelta64(1, "h")


def test_durations_become_bars_of_any_length():
    assert bars_in("24h", HOUR) == 24
    assert bars_in("24h", 8 * HOUR) == 3
    assert bars_in("6h", 8 * HOUR) == 1  # shorter than a bar: one bar
    assert bars_in("0h", HOUR) == 0
    assert bars_in("3bar", 8 * HOUR) == 3


@pytest.mark.parametrize(
    "given", ["90m", "90min", "5400s", "5400000ms", " 90 M ", timedelta(minutes=90), np.timedelta64(90, "m")]
)
def test_a_length_of_time_is_read_the_same_however_it_is_written(given):
    assert parse_duration(given) == positive_duration(given) == np.timedelta64(5_400_000, "ms")


def test_a_week_has_seven_days():
    assert positive_duration("1w") == np.timedelta64(7, "D")


@pytest.mark.parametrize("text", ["24", "h", "1.5h", "day", ""])
def test_a_duration_that_cannot_be_read_is_refused(text):
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize("given", ["0h", timedelta(hours=-1)])
def test_a_bar_takes_time(given):
    with pytest.raises(ValueError, match="not positive"):
        positive_duration(given)


def test_bars_are_counted_only_where_their_length_is_known():
    with pytest.raises(ValueError, match="no bar length is known"):
        positive_duration("3bar")


def test_names_of_columns_spell_durations_one_way():
    assert is_duration("24h")
    assert not is_duration("24H")
