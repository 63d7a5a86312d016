from datetime import datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from gearing.market.timing import bars_in, is_duration, parse_duration, positive_duration, stamp, stamps

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


@pytest.mark.parametrize("text", ["24", "h", "1.5h", "day", "", "1000000000000d", "9" * 400 + "h"])
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


MOMENT = np.datetime64("2025-01-01T08:00", "ms")
MILLISECONDS = (
    1_735_718_400_000  # of it since 1970: 20,089 days and 8 hours; 20,089 x 86,400,000 + 8 x 3,600,000
)


@pytest.mark.parametrize(
    "given",
    [
        MILLISECONDS // 1_000, MILLISECONDS, MILLISECONDS * 1_000, MILLISECONDS * 1_000_000,
        float(MILLISECONDS), MILLISECONDS / 1_000, np.float64(MILLISECONDS), Decimal(MILLISECONDS),
        "1735718400", "1735718400000.0", "1.7357184E+12", "1,735,718,400,000",
        45_658 + 8 / 24, "45658.3333333333", "45658.33333",  # 45,658 = 25,569 + 20,089; 0.43 s short in the last
        "20250101080000", 202501010800, "20250101T080000Z",
        "2025-01-01T08:00Z", "2025-01-01 08:00:00 UTC", "2025-01-01T09:00+01:00", "2025-01-01T03:00:00-0500",
        "1 Jan 2025 08:00", "Jan 1, 2025 8:00 AM", "Wed, 01 Jan 2025 08:00:00 GMT",
        "2025/01/01 08:00", "2025.1.1 08:00", "01/01/2025 08:00", "01.01.2025 08:00:00",
        datetime(2025, 1, 1, 8), datetime(2025, 1, 1, 9, tzinfo=timezone(timedelta(hours=1))),
        pd.Timestamp("2025-01-01 09:00", tz="Europe/Berlin"),
    ],
)  # fmt: skip
def test_a_moment_is_read_the_same_in_every_unit_and_notation(given):
    assert stamp(given) == MOMENT
    assert stamps([given]).tolist() == [MOMENT.item()]
    assert stamps(pd.Series([given])).tolist() == [MOMENT.item()]


@pytest.mark.parametrize(
    "given",
    [
        "", None, float("nan"), "nan", pd.NaT, np.datetime64("NaT"), True, "abc", 0, 1, -5, 1e30, float("inf"),
        10**40, "2025-02-30", "31/02/2025", "2025-01-01T25:00", "01/02/25", b"x", [], timedelta(1), 94_000.5,
        "1970-01-01", "2200-01-01", "0001-01-01", np.datetime64(1_735_718_400_000, "ns"),
    ],
)  # fmt: skip
def test_what_is_no_moment_between_2009_and_2100_is_refused(given):
    with pytest.raises(ValueError, match=r"--now: .*(not a date|is empty|outside the years|two digits)"):
        stamp(given, "--now")


def test_each_row_of_a_column_has_its_own_unit():
    given = [
        MILLISECONDS,
        MILLISECONDS // 1_000,
        "2025-01-01T08:00",
        np.int64(MILLISECONDS * 1_000),
        "01/01/2025 08:00",
    ]
    assert set(stamps(given).tolist()) == {MOMENT.item()}


@pytest.mark.parametrize("written", ["%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M"])
def test_the_order_of_day_and_month_is_the_one_without_holes(written):
    hours = pd.date_range("2025-01-01", periods=7 * 24, freq="h")  # no day after the 12th
    assert (stamps(hours.strftime(written)) == hours.to_numpy()).all()
    assert (stamps(hours[::-1].strftime(written)) == hours[::-1].to_numpy()).all()


def test_one_day_after_the_twelfth_decides_for_all_rows():
    # the second of March, not the third of February
    assert stamps(["02/03/2025", "25/03/2025"]).tolist()[0] == datetime(2025, 3, 2)


def test_dates_of_two_readings_are_refused_unless_their_format_is_given():
    given = ["01/02/2025", "05/02/2025"]
    with pytest.raises(
        ValueError, match=r"f.csv: time, row 0: '01/02/2025' can be read .* --date-format day-first"
    ):
        stamps(given, "f.csv: time")
    assert stamps(given, date_format="day-first").tolist()[1] == datetime(2025, 2, 5)
    assert stamps(given, date_format="month-first").tolist()[1] == datetime(2025, 5, 2)
    assert stamps(["01/02/25"], date_format="%d/%m/%y").tolist() == [datetime(2025, 2, 1)]
    with pytest.raises(ValueError, match="the date format is 'dmy'"):
        stamps(given, date_format="dmy")


def test_a_row_that_is_no_moment_is_named_by_its_row_or_line():
    with pytest.raises(ValueError, match=r"time, row 1: the time is empty"):
        stamps([MILLISECONDS, None])
    lines = pd.Series(["2025-01-01", "Total"], index=pd.Index([2, 3], name="line"))
    with pytest.raises(ValueError, match=r"f.csv: time, line 3: 'Total' is not a date"):
        stamps(lines, "f.csv: time")


def test_parts_finer_than_a_millisecond_are_cut_off():
    assert stamps([1_735_718_400_000_999]).tolist() == [MOMENT.item()]
    assert stamps(["2025-01-01T08:00:00.000999"]).tolist() == [MOMENT.item()]


def test_a_date_format_that_is_none_is_refused_for_numbers_as_well():
    with pytest.raises(ValueError, match="the date format is 'european'; give day-first"):
        stamps([1735689600000], date_format="european")


@pytest.mark.parametrize(
    "written", ["2025-01-31T08:00+99:00", "2025-01-31 08:00 +02:75", "31.01.2025 08:00 -15:00"]
)
def test_a_zone_that_no_place_has_is_refused(written):
    with pytest.raises(ValueError, match="is not a date"):
        stamp(written)


@pytest.mark.parametrize("zone", ["GMT+0100", "UTC+01:00", "+01:00"])
def test_a_zone_after_gmt_or_utc_is_ahead_of_it(zone):
    assert stamp(f"31.01.2025 08:00:00.000 {zone}") == np.datetime64("2025-01-31T07:00")
