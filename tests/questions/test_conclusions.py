"""Sentences of the questions: an interval that excludes zero is a conclusion, one that includes it is open."""

import numpy as np
import pandas as pd
import pytest

from gearing.questions import conclusions


def table(names, rows):
    """A table from index keys and columns."""
    index = pd.MultiIndex.from_tuples([key for key, _ in rows], names=names)
    return pd.DataFrame([row for _, row in rows], index=index)


def interval(name, value, low, high):
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def test_a_crash_says_which_leverage_survived_and_when_the_next_one_was_liquidated():
    when = pd.Timestamp("2020-03-12 11:00")
    rows = [
        (
            ("2020-03-12", "BTC", series, leverage),
            {"liquidated": time, "equity": equity, "capped": leverage == 3.0},
        )
        for series, twice in (("mark", pd.NaT), ("last", when))
        for leverage, time, equity in ((1.5, pd.NaT, 6e3), (2.0, twice, 4e3), (3.0, when, 0.0))
    ]
    found = conclusions.of_crash_replay(table(["crash", "contract", "series", "leverage"], rows))
    assert found.can == (
        "2020-03-12, BTC: longs up to 2x survived, 3x was liquidated at 2020-03-12 11:00 UTC.",
        "Liquidation on the last price instead of the mark changes who is liquidated in 1 of 3 cases.",
    )
    assert found.cannot[0].startswith("1 crash cannot tell how often one comes")
    assert found.cannot[-1].startswith("1 of 3 positions were cut")


def test_margin_modes_differ_where_the_interval_excludes_zero():
    none = interval("contagion", np.nan, np.nan, np.nan)
    rows = [
        (("30d", "all long", 3.0, "cross"), {**interval("gain", 0.02, 0.01, 0.03), **none, "starts": 600}),
        (("30d", "all long", 9.0, "cross"),
         {**interval("gain", -0.1, -0.3, 0.1), **interval("contagion", 0.4, 0.2, 0.6), "starts": 600}),
    ]  # fmt: skip
    found = conclusions.of_margin_modes(table(["horizon", "book", "leverage", "mode"], rows))
    assert found.can == (
        "Cross margin ended with more than isolated margin: +0.020 [+0.010, +0.030] of the equity, all long at 3x for "
        "30d.",
        "Of the positions that cross margin liquidated, 40% [20%, 60%] would have survived in isolated margin, "
        "all long at 9x for 30d.",
    )
    assert "is open for all long at 9x for 30d (-0.100 [-0.300, +0.100])" in found.cannot[0]
    assert "as good as about 20 of 30d" in found.cannot[1]  # 600 daily starts


def test_a_leverage_is_safe_where_the_upper_bound_is_and_the_windows_are_enough():
    names = ["contract", "event", "arrangement", "direction", "leverage", "horizon"]

    def row(leverage, horizon, *values):
        key = ("BTC", "liquidation", "all posted", "long", leverage, horizon)
        return key, {**dict(zip(("probability", "low", "high"), values, strict=True)), "n_starts": 600}

    rows = [
        row(2.0, "1d", 0.0, 0.0, 0.0), row(5.0, "1d", 0.02, 0.01, 0.04), row(9.0, "1d", 0.05, 0.02, 0.09),
        row(2.0, "30d", 0.0, 0.0, 0.0), row(5.0, "30d", 0.2, 0.1, 0.3),
    ]  # fmt: skip
    found = conclusions.of_leverage_risk(table(names, rows), 0.05)
    assert found.can == (
        "At 5x a long of BTC held for 1d was liquidated in 2.0% [1.0%, 4.0%] of starts, within 5%.",
    )
    # None in 600 / 30 = 20 separate windows does not exclude 3 / 20.
    assert "none was liquidated up to 2x, in too few separate windows to exclude 15%" in found.cannot[0]


@pytest.mark.parametrize(
    ("effect", "where", "text"),
    [
        (
            (-0.1, -0.2, -0.05),
            "can",
            "Funding took from a 3x long of BTC held for 30d: -10.0% [-20.0%, -5.0%]",
        ),
        ((0.1, 0.05, 0.2), "can", "Funding added to a 3x long of BTC held for 30d: +10.0% [+5.0%, +20.0%]"),
        ((-0.1, -0.2, 0.1), "cannot", "Whether funding takes or adds is open for a 3x long of BTC"),
    ],
)
def test_funding_takes_or_adds_where_the_interval_says_so(effect, where, text):
    rows = [(("BTC", "30d", "long", 3.0), {**interval("effect", *effect), "starts": 600})]
    found = conclusions.of_funding_erosion(table(["contract", "horizon", "direction", "leverage"], rows))
    assert getattr(found, where)[0].startswith(text)


def test_a_method_is_concluded_upon_after_correction_alone():
    columns = {
        "fewer_same_leverage": [4, 2],
        "fewer_same_leverage_family": [3, 0],
        "worse_same_leverage": [0, 1],
    }
    counts = pd.DataFrame({"cells": 6, **columns}, index=["tiered", "kelly"])
    advice = pd.DataFrame({"verdict": ["not shown", "most are worse off"]}, index=["tiered", "kelly"])
    found = conclusions.of_methods(counts, advice)
    assert found.can == (
        "tiered had fewer liquidations in 3 of 6 cells than fixed leverage of the same mean, corrected for all tests.",
        "Traders who move their leverage by kelly: most are worse off.",
    )
    assert found.cannot[0] == (
        "After correction no cell shows that kelly differs from fixed leverage of the same mean; one by one it has "
        "fewer liquidations in 2 and less growth in 1 of 6."
    )


def test_the_case_study_concludes_from_corrected_counts():
    row = {"cells": 9, "least": 0.8, "largest": 1.3, "better_corrected": 0, "worse_corrected": 0}
    rows = [
        (("BTC", "weighted"), row | {"better_corrected": 2}), (("BTC", "tiered"), row), (("BTC", "fixed_10x"), row),
    ]  # fmt: skip
    found = conclusions.of_case_study(table(["contract", "rule"], rows), "fixed_10x")
    assert found.can == (
        "BTC: the Sharpe ratio of weighted is above that of fixed_10x in 2 of 9 cells, corrected for all tests.",
    )
    assert found.cannot[0].startswith(
        "BTC: the Sharpe ratio of tiered is 0.80 to 1.30 times that of fixed_10x;"
    )


def test_what_the_simulator_earns_agrees_within_three_errors():
    full = pd.DataFrame(
        {"played": [0.90, 0.50], "computed_moved": [0.91, 0.60], "played_error": [0.01, 0.02]},
        index=["oracle", "half"],
    )
    found = conclusions.of_market_a(full, 8000)
    # 0.01 is one error, 0.10 is five.
    assert found.can == (
        "Of 2 policies 1 grow in the simulator as computed, within 3 standard errors; the largest distance is 0.010 "
        "a year (oracle).",
    )
    assert found.cannot[0].startswith("half grows +0.500 in the simulator and +0.600 as computed")


def test_figures_of_the_reference_agree_are_explained_or_not():
    text = [
        "agrees",
        "no slippage",
        "not found",
        "momentum, which the reference does not state: other windows span it",
    ]
    found = conclusions.of_reference_ablation(pd.DataFrame({"explanation": text}, index=list("abcd")))
    assert found.can == ("1 of 4 figures agree with the reference.", "The change 'no slippage' explains b.")
    assert found.cannot == (
        "d depend on the definition of momentum, which the reference does not state.",
        "No change that was tried explains c.",
    )
