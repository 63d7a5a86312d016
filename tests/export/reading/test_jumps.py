"""Bars that end in a jump are refused."""

import numpy as np
import pandas as pd
import pytest
from tests.export import cases

from gearing.export import BundleError, load_bundle
from gearing.export.reading import jumps
from gearing.export.reading.table import Table

HOUR = np.timedelta64(3_600_000, "ms")
BARS = cases.bar_table(cases.market())
DUE = pd.Timestamp("2020-10-20T00:00")
KNOWN = BARS[BARS.open_time < DUE].reset_index(drop=True)
FLAT = {"equity": 10_000.0, "positions": {}}


def check_jumps(bars, *settings):
    """Of a table of pandas."""
    jumps.check_jumps(Table({name: bars[name].to_numpy() for name in bars}), *settings)


def flat_bars(n=100, price=100.0):
    """Bars whose closes go up and down by 1 %: a standard deviation of 1 %."""
    close = price * np.exp(np.where(np.arange(n) % 2, 0.005, -0.005))
    frame = pd.DataFrame({"open_time": np.datetime64("2024-01-01", "ms") + np.arange(n) * HOUR})
    return frame.assign(open=close, high=close, low=close, close=close)


@pytest.mark.parametrize(
    ("factor", "refused"),
    [(1.25, False), (1 / 1.25, False), (1.40, True), (1 / 1.40, True), (10.0, True)],
)
def test_a_move_of_more_than_thirty_standard_deviations_is_refused(factor, refused):
    # The returns are +-1 %, their deviation 1 %; the last bar is at the close before times the factor. 30 deviations
    # are exp(0.30) = 1.35.
    bars = flat_bars()
    bars.loc[99, ["open", "high", "low", "close"]] = bars.loc[98, "close"] * factor
    if not refused:
        return check_jumps(bars, "X", 1, HOUR, 30.0)
    with pytest.raises(
        BundleError, match=r"standard deviations of a bar .* more than 30 is taken for a wrong price"
    ):
        check_jumps(bars, "X", 1, HOUR, 30.0)
    check_jumps(bars, "X", 1, HOUR, 300.0)
    return check_jumps(bars, "X", 1, HOUR, "off")


def test_every_price_of_every_bar_since_the_last_decision_is_checked():
    for price in ("open", "high", "low", "close"):
        bars = flat_bars()
        bars.loc[95, price] *= 3.0
        with pytest.raises(BundleError, match=f"{price} of the bar that opens at 2024-01-04T23:00"):
            check_jumps(bars, "X", 10, HOUR, 30.0)
    bars = flat_bars()
    bars.loc[50, ["open", "high", "low", "close"]] *= 3.0  # long ago, and no part of the deviation
    check_jumps(bars, "X", 10, HOUR, 30.0)
    bars.loc[95, "close"] *= 1.5
    with pytest.raises(BundleError, match="wrong price"):
        check_jumps(bars, "X", 10, HOUR, 30.0)


@pytest.mark.parametrize("n", [1, 2, 10])
def test_with_few_bars_a_deviation_of_one_percent_an_hour_is_assumed(n):
    bars = flat_bars(n)
    check_jumps(bars, "X", 1, HOUR, 30.0)
    bars.loc[n - 1, ["high", "close"]] *= 1.6
    with pytest.raises(BundleError, match=r"\(1\.00%\)"):
        check_jumps(bars, "X", 1, HOUR, 30.0)


@pytest.mark.parametrize("column", ["close", "high", "mark_close", "mark_low"])
def test_a_bundle_does_not_decide_on_a_spike(tmp_path, column):
    bundle = load_bundle(cases.small_bundle(tmp_path / "small"))
    bars = KNOWN.copy()
    at = bars.index[-1]
    bars.loc[at, column] *= 0.1 if "low" in column else 10.0
    mine = "mark_" if column.startswith("mark_") else ""
    bars.loc[at, f"{mine}high"] = bars.loc[at, [f"{mine}open", f"{mine}high", f"{mine}close"]].max()
    with pytest.raises(BundleError, match="taken for a wrong price"):
        bundle.decide(bars, FLAT, now=DUE)
    assert bundle.decide(bars, FLAT, now=DUE, max_jump="off", max_outside="off").orders


@pytest.mark.parametrize("limit", [0, -1, "none", None, float("nan")])
def test_a_wrong_limit_is_refused(tmp_path, limit):
    with pytest.raises(BundleError, match="give a positive number of standard deviations, or 'off'"):
        check_jumps(flat_bars(), "X", 1, HOUR, limit)
