"""Plain values of JSON: numbers that JSON has none for."""

import math

import pytest

from gearing.contracts import MarginTier
from gearing.export.bundle.plain import made, plain


def test_a_largest_position_without_limit_is_written_as_a_word_and_read_back():
    tier = MarginTier(0.0, math.inf, 0.01, 0.0, 100.0)
    assert plain(tier)["cap"] == "Infinity"
    assert made(MarginTier, plain(tier)) == tier


@pytest.mark.parametrize("value", [1e301, -1e301, True, "inf"])
def test_a_number_beyond_any_price_or_of_another_type_is_refused(value):
    with pytest.raises(ValueError, match="tick is"):
        made(float, value, "tick")
