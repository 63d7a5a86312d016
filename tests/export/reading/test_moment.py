"""A decision needs the present moment, and bars that reach it."""

import math

import numpy as np
import pandas as pd
import pytest
from tests.export import cases

from gearing.export import BundleError, load_bundle

BARS = cases.bar_table(cases.market())
FLAT = {"equity": 10_000.0, "positions": {}}
DUE = pd.Timestamp("2020-10-20T00:00")  # decisions fall every 24 h, at midnight


def known_at(moment):
    """Bars that are closed at a moment."""
    return BARS[BARS.open_time + pd.Timedelta("1h") <= moment]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return load_bundle(cases.small_bundle(tmp_path_factory.mktemp("bundles") / "small"))


@pytest.mark.parametrize("now", [None, "", "  "])
def test_without_a_moment_nothing_is_decided(bundle, now):
    with pytest.raises(BundleError, match=r"now is missing.*'last-bar'"):
        bundle.decide(BARS, FLAT, now=now)


@pytest.mark.parametrize(
    "now", ["nan", "NaT", "soon", math.nan, pd.NaT, np.datetime64("NaT"), [], "2020-13-01"]
)
def test_what_is_no_moment_does_not_switch_the_check_off(bundle, now):
    with pytest.raises(BundleError, match="now"):
        bundle.decide(BARS, FLAT, now=now)


@pytest.mark.parametrize(
    "now", [DUE, str(DUE), DUE.to_pydatetime(), "2020-10-20T02:00+02:00", 1_603_152_000_000]
)
def test_a_moment_is_read_in_every_usual_form(bundle, now):
    assert bundle.decide(known_at(DUE), FLAT, now=now).time == np.datetime64(DUE)


def test_the_bar_that_closed_last_must_be_there(bundle):
    now = DUE + pd.Timedelta("5h30min")
    assert bundle.decide(known_at(now), FLAT, now=now).time == np.datetime64(DUE)
    # the newest bar closes at 04:00: 90 minutes are more than a bar and the minute of tolerance
    with pytest.raises(
        BundleError, match=r"closes at 2020-10-20T04:00.*1\.5 h before.*more than 1bar is too old"
    ):
        bundle.decide(known_at(now - pd.Timedelta("1h")), FLAT, now=now)
    assert bundle.decide(known_at(now - pd.Timedelta("1h")), FLAT, now=now, max_age="2bar").time == DUE


@pytest.mark.parametrize("hours", [20, 24 * 17, 24 * 520])
def test_old_bars_are_refused_whatever_the_decision_interval_is(bundle, hours):
    with pytest.raises(BundleError, match="too old to decide on"):
        bundle.decide(known_at(DUE), FLAT, now=DUE + pd.Timedelta(hours=hours))


def test_a_minute_is_left_for_the_venue_to_publish_a_bar_but_not_at_a_decision(bundle):
    now = DUE + pd.Timedelta("5h30s")
    assert bundle.decide(known_at(DUE + pd.Timedelta("4h")), FLAT, now=now).time == DUE
    with pytest.raises(
        BundleError, match=r"a decision is due at 2020-10-20T00:00.*closes at 2020-10-19T23:00"
    ):
        bundle.decide(known_at(DUE - pd.Timedelta("1h")), FLAT, now=DUE + pd.Timedelta("30s"))


def test_an_unfinished_bar_is_left_out_and_changes_nothing(bundle):
    now = DUE + pd.Timedelta("10min")
    unfinished = BARS[BARS.open_time <= now].copy()
    unfinished.loc[unfinished.index[-1], ["close", "high", "mark_close", "mark_high"]] *= 1.01
    one, other = (bundle.decide(bars, FLAT, now=now) for bars in (known_at(now), unfinished))
    assert one.target_leverage == other.target_leverage
    assert one.orders == other.orders


def test_a_clock_before_the_bars_is_refused(bundle):
    with pytest.raises(
        BundleError, match=r"the last opens at .*, after .*: the clock is behind, or the bars"
    ):
        bundle.decide(known_at(DUE + pd.Timedelta("3h")), FLAT, now=DUE)


def test_a_gap_between_the_deciding_close_and_the_newest_bar_is_refused(bundle):
    now = DUE + pd.Timedelta("5h")
    bars = known_at(now)
    with pytest.raises(
        BundleError, match=r"1 missing after the deciding close, the first at 2020-10-20T02:00"
    ):
        bundle.decide(bars[bars.open_time != DUE + pd.Timedelta("2h")], FLAT, now=now)


@pytest.mark.parametrize("max_age", ["0h", "-1h", "soon", "", "24"])
def test_a_wrong_budget_is_refused(bundle, max_age):
    with pytest.raises(ValueError, match="duration"):
        bundle.decide(known_at(DUE), FLAT, now=DUE, max_age=max_age)


def test_back_testing_says_so(bundle):
    assert "no moment was given" in " ".join(bundle.decide(BARS, FLAT, now="last-bar").reasons)


@pytest.mark.parametrize("now", [DUE, "last-bar"])
@pytest.mark.parametrize("max_age", ["", "0h", "-1h", 5, True, "1000000000000d"])
def test_an_age_that_is_no_duration_is_refused_by_its_name_and_not_by_a_files(bundle, tmp_path, now, max_age):
    known_at(DUE).to_csv(tmp_path / "bars.csv", index=False)
    with pytest.raises(BundleError, match=r"^max_age"):
        bundle.decide(tmp_path / "bars.csv", FLAT, now=now, max_age=max_age)


@pytest.mark.parametrize("max_jump", ["", "nan", -1, True, None])
def test_a_jump_that_is_no_number_is_refused_by_its_name_and_not_by_a_files(bundle, tmp_path, max_jump):
    known_at(DUE).to_csv(tmp_path / "bars.csv", index=False)
    with pytest.raises(BundleError, match=r"^max_jump"):
        bundle.decide(tmp_path / "bars.csv", FLAT, now=DUE, max_jump=max_jump)
