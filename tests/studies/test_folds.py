"""Cuts of time leave a gap on either side of validation and never overlap."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st

from gearing.studies.folds import Folds, Split

DAY = np.timedelta64(1, "D")
FIRST = np.datetime64("2020-01-01", "ms")


def folds(**settings):
    return Folds.model_validate(settings)


def days(*spans):
    return [tuple(int((moment - FIRST) / DAY) for moment in span) for span in spans]


def test_a_fold_is_train_gap_validate_gap_test():
    fold = folds(train="365d", validate="90d", test="60d", embargo="1d").folds(FIRST, FIRST + 600 * DAY)[0]
    # 365 + 1 + 90 + 1 + 60 = 517
    assert days(fold.train, fold.validate, fold.test) == [(0, 365), (366, 456), (457, 517)]


def test_an_expanding_window_keeps_its_beginning_and_a_rolling_one_its_length():
    end = FIRST + 640 * DAY  # two tests of 60 days beyond 517, less 517 + 60 + 60 = 637
    expanding = folds(train="365d", validate="90d", test="60d").folds(FIRST, end)
    rolling = folds(train="365d", validate="90d", test="60d", window="rolling").folds(FIRST, end)
    assert days(*(fold.train for fold in expanding)) == [(0, 365), (0, 425), (0, 485)]
    assert days(*(fold.train for fold in rolling)) == [(0, 365), (60, 425), (120, 485)]


def test_folds_that_begin_on_a_day_are_the_same_whatever_the_data_begin_with():
    begun = folds(**{"from": "2020-03-01"})
    first, second = (begun.folds(FIRST + start * DAY, FIRST + 900 * DAY) for start in (0, 60))
    assert first == second
    assert days(first[0].train) == [(60, 425)]  # 2020-03-01 is day 60 of a leap year
    with pytest.raises(
        ValueError, match=r"folds\.from is 2020-03-01, and the data have all columns from 2020-03-02"
    ):
        begun.folds(FIRST + 61 * DAY, FIRST + 900 * DAY)


def test_only_as_many_folds_as_requested():
    assert len(folds(count=2).folds(FIRST, FIRST + 3000 * DAY)) == 2


def test_too_little_data_for_one_fold_is_refused_with_both_lengths():
    with pytest.raises(ValueError, match=r"365d \+ 90d \+ 90d .* 2020-01-01 to 2020-04-10"):
        folds().folds(FIRST, FIRST + 100 * DAY)


@given(
    train=st.integers(1, 300),
    validate=st.integers(1, 100),
    test=st.integers(20, 100),
    embargo=st.integers(1, 72),
    length=st.integers(600, 1500),
    window=st.sampled_from(["expanding", "rolling"]),
)
def test_no_fold_sees_into_what_it_is_judged_on_and_tests_follow_without_gap(
    train, validate, test, embargo, length, window
):
    cuts = folds(
        train=f"{train}d", validate=f"{validate}d", test=f"{test}d", embargo=f"{embargo}h", window=window
    )
    last = FIRST + length * DAY
    found = cuts.folds(FIRST, last)
    gap = np.timedelta64(embargo, "h")
    for fold in found:
        assert fold.train[0] < fold.train[1]
        assert fold.train[1] + gap == fold.validate[0]
        assert fold.validate[1] + gap == fold.test[0]
        assert fold.test[1] <= last
    for before, after in pairwise(found):
        assert before.test[1] == after.test[0]
    assert found[-1].test[1] + test * DAY > last  # as many as fit


def test_a_split_by_dates_is_one_fold_and_must_lie_in_the_data():
    spans = {
        "train": {"from": "2020-01-01", "to": "2021-01-01"},
        "validate": {"from": "2021-01-01", "to": "2021-06-01T08:00"},
        "test": {"from": "2021-07-01", "to": "2022-01-01"},
    }
    split = Split.model_validate(spans)
    (fold,) = split.folds(FIRST, FIRST + 1000 * DAY)
    assert fold.validate[1] == np.datetime64("2021-06-01T08:00")
    assert str(fold).endswith("test 2021-07-01 to 2022-01-01")
    with pytest.raises(ValueError, match="Choose periods inside"):
        split.folds(FIRST, FIRST + 400 * DAY)
